"""Metrics of predicted values."""

from __future__ import annotations

import numpy as np

from compete import Metric

from ._arrays import Array, finite, misfit


def rmse() -> Metric:
    """Root of the mean squared difference, in the unit of the target; lower is better.

    Of several columns, the mean of their roots.
    """
    return Metric(_rmse, higher_is_better=False)


def _rmse(y_true: Array, predictions: Array) -> float:
    values = finite(y_true, predictions)
    truth = y_true[:, None] if y_true.ndim == 1 else y_true
    if truth.shape != values.shape:
        raise misfit(f"compares numbers; y_true have {truth.shape[1]} columns, predictions {values.shape[1]}.")
    return float(np.sqrt(np.square(truth - values, dtype=np.float64).mean(axis=0)).mean())
