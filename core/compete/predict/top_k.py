"""The best classes of each row in place of all C columns, for tables of which (N, C) would not fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from compete.types import Array, Predictions


@dataclass(frozen=True)
class TopK:
    """The k best of `classes` columns in each of R rows, best first; all others count as 0.

    `labels` are column numbers int32 (R, k) and `values` their predictions float32 (R, k), NaN in a row that has
    none.
    """

    labels: Array
    values: Array
    classes: int

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C), as of the array that it stands for."""
        return len(self.values), self.classes

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Array | slice) -> TopK:
        """Return some of the rows."""
        return TopK(self.labels[rows], self.values[rows], self.classes)

    def dense(self) -> Array:
        """Return float32 (R, C): for a few rows at a time."""
        array = np.zeros(self.shape, np.float32)
        np.put_along_axis(array, self.labels.astype(np.int64), self.values, axis=1)
        array[~known_rows(self)] = np.nan
        return array


def known_rows(predictions: Predictions) -> Array:
    """Return which rows (R,) have a prediction at all."""
    values = predictions.values if isinstance(predictions, TopK) else predictions
    return np.asarray(~np.isnan(values).any(axis=1))


def top_labels(predictions: Predictions, k: int) -> Array:
    """Return the column numbers of the k best predictions of each row, int64 (R, k); of equals the first is better."""
    if isinstance(predictions, TopK):
        return predictions.labels[:, :k].astype(np.int64)
    if k == 1:
        return np.asarray(predictions.argmax(axis=1)[:, None])
    return np.asarray(np.argsort(-predictions, axis=1, kind="stable")[:, :k])


def keep_top(predictions: Array, k: int, columns: Array, classes: int) -> TopK:
    """Return the k best of predictions (R, U), whose columns are the numbers `columns` of all classes."""
    best = top_labels(np.nan_to_num(predictions, nan=-np.inf), k)
    values = np.take_along_axis(predictions, best, axis=1).astype(np.float32)
    return TopK(columns[best].astype(np.int32), values, classes)


def concatenate(parts: list[TopK]) -> TopK:
    """Join rows."""
    labels, values = (np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "values"))
    return TopK(labels, values, parts[0].classes)
