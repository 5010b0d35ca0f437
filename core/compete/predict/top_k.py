"""The best classes of each row instead of all C columns, for tables whose (N, C) would not fit in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compete.types import TopK

if TYPE_CHECKING:
    from compete.types import Array, Predictions


def known_rows(predictions: Predictions) -> Array:
    """Return whether each row has a prediction, bool (R,)."""
    values = predictions.values if isinstance(predictions, TopK) else predictions
    return np.asarray(~np.isnan(values).any(axis=1))


def top_labels(predictions: Predictions, k: int) -> Array:
    """Return the column numbers of each row's k best predictions, int64 (R, k); of equal ones the first is better."""
    if isinstance(predictions, TopK):
        return predictions.labels[:, :k].astype(np.int64)
    if k == 1:
        return np.asarray(predictions.argmax(axis=1)[:, None])
    return np.asarray(np.argsort(-predictions, axis=1, kind="stable")[:, :k])


def keep_top(predictions: Array, k: int, columns: Array, classes: int) -> TopK:
    """Return the k best of predictions (R, U), whose columns have the class numbers `columns` (U,)."""
    best = top_labels(np.nan_to_num(predictions, nan=-np.inf), k)
    values = np.take_along_axis(predictions, best, axis=1).astype(np.float32)  # (R, U), (R, k) -> (R, k)
    return TopK(columns[best].astype(np.int32), values, classes)


def concatenate(parts: list[TopK]) -> TopK:
    """Concatenate rows."""
    labels, values = (np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "values"))
    return TopK(labels, values, parts[0].classes)
