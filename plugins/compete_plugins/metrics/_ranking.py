"""Metrics of order: areas under the ROC curve. Any real score will do, probabilities or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from compete import Metric, component, did_you_mean, format_list

from ._arrays import Array, finite, indicators, misfit, yes_or_no


def roc_auc() -> Metric:
    """Area under the ROC curve; of three classes or more, the mean over the classes, each against the rest.

    A single column, or the second of two, is the score of class 1. Classes that the y_true lack are left out.
    """
    return Metric(_roc_auc)


def mean_column_auc(
    *,
    columns: list[Annotated[int, Field(ge=0)] | str] | None = None,
    one_class: Literal["skip", "error"] = "skip",
) -> Metric:
    """Area under the ROC curve of each column, averaged.

    `columns` holds the names of the columns that count, or their numbers from 0; by default all do. `one_class` says
    what becomes of a column in which all y_true are the same, as may happen in a small fold: it is left out of the
    mean, or it is an error.
    """
    given: Sequence[int | str] = columns or ()
    score = partial(_mean_column_auc, skip=one_class == "skip")

    def named(classes: Sequence[str]) -> Metric:
        unknown = [name for name in given if isinstance(name, str) and name not in classes]
        if unknown:
            raise misfit(
                f"has columns = '{unknown[0]}', which is no class.{did_you_mean(unknown[0], classes)} "
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
    if any(weight < 0 for weight in weights) or sum(weights) == 0:
        yield f"weights = {list(weights)} must not be negative, nor all 0."


@component(check=check_weighted_auc)
def weighted_auc(
    *, tpr_thresholds: tuple[float, ...] = (0.0, 0.4, 1.0), weights: tuple[float, ...] = (2.0, 1.0)
) -> Metric:
    """Area under the ROC curve in which bands of the true positive rate have different weights.

    `tpr_thresholds` are the bands' borders from 0 to 1, `weights` their weights; the result is divided by what
    a perfect curve would get. The defaults are those of ALASKA2.
    """
    return Metric(partial(_weighted_auc, tpr_thresholds=tpr_thresholds, weights=weights))


def _roc_auc(y_true: Array, predictions: Array) -> float:
    columns = finite(y_true, predictions)
    if columns.shape[1] <= 2:
        truth, scores = yes_or_no(y_true, predictions)
        return _mean_area(truth[:, None], scores[:, None])
    return _mean_area(indicators(y_true, columns.shape[1]), columns)


def _mean_column_auc(y_true: Array, predictions: Array, *, columns: list[int] | None, skip: bool) -> float:
    scores = finite(y_true, predictions)
    truth = indicators(y_true, scores.shape[1])
    if columns is not None:
        if max(columns, default=0) >= scores.shape[1]:
            raise misfit(f"has columns = {columns}, but there are {scores.shape[1]}, numbered from 0.")
        truth, scores = truth[:, columns], scores[:, columns]
    return _mean_area(truth, scores, skip)


def _place(name: int | str, classes: Sequence[str]) -> int:
    return name if isinstance(name, int) else list(classes).index(name)


def _flat_auc(y_true: Array, predictions: Array) -> float:
    scores = finite(y_true, predictions)
    truth = indicators(y_true, scores.shape[1])
    return _mean_area(truth.reshape(-1, 1), scores.reshape(-1, 1))


def _weighted_auc(
    y_true: Array, predictions: Array, *, tpr_thresholds: tuple[float, ...], weights: tuple[float, ...]
) -> float:
    from sklearn.metrics import roc_curve

    truth, scores = yes_or_no(y_true, predictions)
    if not _two_sided(truth[:, None]).all():
        raise misfit(_ONE_SIDED)
    fpr, tpr, _ = roc_curve(truth, scores)
    areas = [_band_area(fpr, tpr, low, high) for low, high in pairwise(tpr_thresholds)]
    return float(np.dot(weights, areas) / np.dot(weights, np.diff(tpr_thresholds)))


def _band_area(fpr: Array, tpr: Array, low: float, high: float) -> float:
    """Return the area right of the curve between two true positive rates, exact for straight segments."""
    edges = tpr.clip(low, high)
    height, middle = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    rise = np.diff(tpr)
    along = (middle - tpr[:-1]) / np.where(rise > 0, rise, 1)
    return float((height * (1 - fpr[:-1] - along * np.diff(fpr))).sum())


_ONE_SIDED = "needs y_true of both kinds in some column; every column holds one kind only."


def _mean_area(truth: Array, scores: Array, skip: bool = True) -> float:
    """Return the mean area of the columns (N, C) whose y_true are not all the same."""
    usable = _two_sided(truth)
    if not usable.all() and not skip:
        numbers = ", ".join(str(number) for number in np.flatnonzero(~usable))
        raise misfit(f'has one_class = "error", and all y_true are the same in column {numbers}.')
    if not usable.any():
        raise misfit(_ONE_SIDED)
    return float(np.mean([_area(truth[:, column], scores[:, column]) for column in np.flatnonzero(usable)]))


def _two_sided(truth: Array) -> Array:
    positive = truth.sum(axis=0)
    both: Array = (positive > 0) & (positive < len(truth))
    return both


def _area(truth: Array, scores: Array) -> float:
    """Return the chance that a positive row scores above a negative one, ties counted half (Mann-Whitney)."""
    positive, negative = np.sort(scores[truth]), np.sort(scores[~truth])
    # Not scipy's rankdata: 18 million cells took it 12.9 s on one core, and this 0.8 s (n = 1).
    below, not_above = (np.searchsorted(negative, positive, side).sum() for side in ("left", "right"))
    return float((below + not_above) / (2 * len(positive) * len(negative)))
