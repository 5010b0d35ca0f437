"""Metrics of independent labels."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from compete import Metric, plural

from ._arrays import Array, finite, in_unit_range, indicators, misfit

Weight = Annotated[float, Field(ge=1e-6, le=1e6)]


def label_set_f1(*, threshold: Annotated[float, Field(ge=0, le=1)] = 0.5) -> Metric:
    """Micro F1 over label sets: F1 of all (row, label) pairs together.

    A label is predicted where its probability is at least `threshold`. Labels that no row has are left out, as by
    graders that only know the labels of their own rows. The score is 0 where nothing is true or predicted.
    """
    return Metric(partial(_label_set_f1, threshold=threshold))


def multilabel_log_loss(
    *,
    weights: list[Weight] | None = None,
    positive_weight: Weight = 1.0,
) -> Metric:
    """Binary log loss of every label, weighted and averaged within each row, then over rows; lower is better.

    `weights` holds one weight per label; by default all are equal. `positive_weight` multiplies the weight of
    the labels that are true (2 in RSNA 2022). Predictions are clipped at 1e-15.
    """
    score = partial(_multilabel_log_loss, weights=weights, positive_weight=positive_weight)
    return Metric(score, higher_is_better=False)


def _label_set_f1(y_true: Array, predictions: Array, *, threshold: float) -> float:
    columns = finite(y_true, predictions)
    true = indicators(y_true, columns.shape[1])
    predicted = (columns >= threshold) & true.any(axis=0)
    both = int(true.sum()) + int(predicted.sum())
    return 2 * int((true & predicted).sum()) / both if both else 0.0


def _multilabel_log_loss(
    y_true: Array, predictions: Array, *, weights: list[float] | None, positive_weight: float
) -> float:
    columns = in_unit_range(finite(y_true, predictions)).clip(1e-15, 1 - 1e-15)
    labels = columns.shape[1]
    true = indicators(y_true, labels)
    if weights is not None and len(weights) != labels:
        raise misfit(f"has {plural(len(weights), 'weight')}, but there are {labels} labels.")
    weight = np.ones(labels) if weights is None else np.asarray(weights)
    cells = weight * np.where(true, positive_weight, 1.0)  # (C,) * (N, C)
    losses = -np.log(np.where(true, columns, 1 - columns))
    return float(np.average(losses, axis=1, weights=cells).mean())
