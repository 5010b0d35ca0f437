"""Areas under the ROC curve. Any real score will do, probabilities or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from compete import Metric, component, did_you_mean, format_list

from ._arrays import Array, binary, finite, indicators, misfit


def roc_auc() -> Metric:
    """Area under the ROC curve; of three classes or more, the mean of one class against the rest.

    A single column, or the second of two, is the score of class 1. Classes without rows are left out.
    """
    return Metric(_roc_auc)


def mean_column_auc(
    *,
    columns: list[Annotated[int, Field(ge=0, le=100_000)] | str] | None = None,
    one_class: Literal["skip", "error"] = "skip",
) -> Metric:
    """Area under the ROC curve of each column, averaged.

    `columns` are the names of the columns that count, or their numbers from 0; by default all do. `one_class` decides
    about a column in which all labels are the same, as can happen in a small fold: `skip` leaves it out of the mean,
    `error` refuses it.
    """
    given: Sequence[int | str] = columns or ()
    score = partial(_mean_column_auc, skip=one_class == "skip")

    def named(classes: Sequence[str]) -> Metric:
        unknown = [name for name in given if isinstance(name, str) and name not in classes]
        if unknown:
            raise misfit(
                f"has columns = '{unknown[0]}', which is not a class.{did_you_mean(unknown[0], classes)} "
                f"Classes: {format_list(classes)}."
            )
        return Metric(partial(score, columns=[_place(name, classes) for name in given]))

    return Metric(partial(score, columns=columns), named=named if columns else None)


def flat_auc() -> Metric:
    """One area under the ROC curve over all cells of all columns."""
    return Metric(_flat_auc)


def check_weighted_auc(*, tpr_thresholds: tuple[float, ...], weights: tuple[float, ...]) -> Iterator[str]:
    """Yield what is wrong with the bands."""
    rising = all(low < high for low, high in pairwise(tpr_thresholds))
    if not rising or tpr_thresholds[:1] != (0,) or tpr_thresholds[-1:] != (1,):
        yield f"tpr_thresholds = {list(tpr_thresholds)} must rise from 0 to 1."
    if len(weights) != len(tpr_thresholds) - 1:
        yield f"weights = {list(weights)} must hold one weight for each of the {len(tpr_thresholds) - 1} bands."
    if sum(weights) == 0:
        yield f"weights = {list(weights)} must not all be 0."


@component(check=check_weighted_auc)
def weighted_auc(
    *,
    tpr_thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] = (0.0, 0.4, 1.0),
    weights: tuple[Annotated[float, Field(ge=0, le=1e6)], ...] = (2.0, 1.0),
) -> Metric:
    """Area under the ROC curve, weighted by bands of the true positive rate.

    `tpr_thresholds` are the edges of the bands, from 0 to 1, and `weights` their weights; the result is divided by that
    of a perfect curve. The defaults are those of ALASKA2.
    """
    return Metric(partial(_weighted_auc, tpr_thresholds=tpr_thresholds, weights=weights))


def _roc_auc(y_true: Array, predictions: Array) -> float:
    columns = finite(y_true, predictions)
    if columns.shape[1] <= 2:
        true, scores = binary(y_true, predictions)
        return _mean_area(true[:, None], scores[:, None])
    return _mean_area(indicators(y_true, columns.shape[1]), columns)


def _mean_column_auc(y_true: Array, predictions: Array, *, columns: list[int] | None, skip: bool) -> float:
    scores = finite(y_true, predictions)
    true = indicators(y_true, scores.shape[1])
    if columns is not None:
        if max(columns, default=0) >= scores.shape[1]:
            raise misfit(f"has columns = {columns}, but there are {scores.shape[1]}, numbered from 0.")
        true, scores = true[:, columns], scores[:, columns]
    return _mean_area(true, scores, skip)


def _place(name: int | str, classes: Sequence[str]) -> int:
    return name if isinstance(name, int) else list(classes).index(name)


def _flat_auc(y_true: Array, predictions: Array) -> float:
    scores = finite(y_true, predictions)
    true = indicators(y_true, scores.shape[1])
    return _mean_area(true.reshape(-1, 1), scores.reshape(-1, 1))


def _weighted_auc(
    y_true: Array, predictions: Array, *, tpr_thresholds: tuple[float, ...], weights: tuple[float, ...]
) -> float:
    from sklearn.metrics import roc_curve

    true, scores = binary(y_true, predictions)
    if not _two_sided(true[:, None]).all():
        raise misfit(_ONE_SIDED)
    fpr, tpr, _ = roc_curve(true, scores)
    areas = [_band_area(fpr, tpr, low, high) for low, high in pairwise(tpr_thresholds)]
    return float(np.dot(weights, areas) / np.dot(weights, np.diff(tpr_thresholds)))


def _band_area(fpr: Array, tpr: Array, low: float, high: float) -> float:
    """Return the area right of the curve between two true positive rates, exact for straight segments."""
    edges = tpr.clip(low, high)
    height, middle = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    rise = np.diff(tpr)
    along = (middle - tpr[:-1]) / np.where(rise > 0, rise, 1)
    return float((height * (1 - fpr[:-1] - along * np.diff(fpr))).sum())


_ONE_SIDED = "needs a column with both positive and negative rows; every column holds one kind only."


def _mean_area(true: Array, scores: Array, skip: bool = True) -> float:
    """Return the mean area of the columns (N, C) whose labels are not all the same."""
    usable = _two_sided(true)
    if not usable.all() and not skip:
        numbers = ", ".join(str(number) for number in np.flatnonzero(~usable))
        raise misfit(f'has one_class = "error", and all labels are the same in column {numbers}.')
    if not usable.any():
        raise misfit(_ONE_SIDED)
    return float(np.mean([_area(true[:, column], scores[:, column]) for column in np.flatnonzero(usable)]))


def _two_sided(true: Array) -> Array:
    positive = true.sum(axis=0)
    both: Array = (positive > 0) & (positive < len(true))
    return both


def _area(true: Array, scores: Array) -> float:
    """Return the probability that a positive row scores above a negative one, ties counted half (Mann-Whitney)."""
    positive, negative = np.sort(scores[true]), np.sort(scores[~true])
    # Not scipy's rankdata: 18 million cells took it 12.9 s on one core, and this 0.8 s (n = 1).
    below, not_above = (np.searchsorted(negative, positive, side).sum() for side in ("left", "right"))
    return float((below + not_above) / (2 * len(positive) * len(negative)))
