"""The best classes of each row instead of all C columns, for tables whose (N, C) would not fit in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compete.types import TopK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compete.config.options import BoundComponent
    from compete.types import Array, Metric, Predictions

ROWS_AT_ONCE = 64  # few: each row adds columns of its own, and the work grows with rows x columns


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


def join_rows(parts: Sequence[Predictions]) -> Predictions:
    """Concatenate the rows of predictions, which all are of one kind."""
    top = [part for part in parts if isinstance(part, TopK)]
    return concatenate(top) if top else np.concatenate(parts)  # type: ignore[arg-type]


def join_top(
    ensemble: BoundComponent, members: Sequence[TopK], labels: Array, metric: Metric, test: bool = False
) -> TopK:
    """Join the members' best classes, some rows at a time, by an ensemble that works row by row.

    Only classes that some member has among those rows become columns. A class that a member did not keep counts 0
    there. The ensemble takes and returns OOF and, with `test`, test predictions; `labels` are any rows' own.
    """
    chunks = range(0, max(1, len(members[0])), ROWS_AT_ONCE)
    return concatenate(
        [_join_some(ensemble, [m[at : at + ROWS_AT_ONCE] for m in members], labels[:0], metric, test) for at in chunks]
    )


def _join_some(ensemble: BoundComponent, members: Sequence[TopK], none: Array, metric: Metric, test: bool) -> TopK:
    k, classes = max(member.labels.shape[1] for member in members), members[0].classes
    named = np.unique(np.concatenate([member.labels.ravel() for member in members]))  # M x (R, k) -> (U,)
    columns = np.union1d(named, np.arange(k)) if len(named) < k else named  # rows without an image have no class
    # Class numbers (R, k) -> column numbers below U -> (R, U), for each member: (M, R, U)
    local = [TopK(np.searchsorted(columns, m.labels), m.values, len(columns)) for m in members]
    dense = np.stack([member.dense() for member in local])
    empty = dense[:, :0]
    joined = ensemble.build(*((empty, none, dense) if test else (dense, none, empty)), metric)[int(test)]
    return keep_top(joined, k, columns, classes)


def in_all_rows(best: TopK, rows: Array) -> TopK:
    """Return predictions of some of N rows, bool (N,), for all of them: NaN in the others."""
    shape = len(rows), best.labels.shape[1]
    labels, values = np.zeros(shape, best.labels.dtype), np.full(shape, np.nan, np.float32)
    labels[rows], values[rows] = best.labels, best.values
    return TopK(labels, values, best.classes)
