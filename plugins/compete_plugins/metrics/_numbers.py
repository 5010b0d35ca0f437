"""Metrics of predicted values."""

from __future__ import annotations

import numpy as np

from compete import Metric, plural

from ._arrays import Array, finite, misfit


def rmse() -> Metric:
    """Root of the mean squared difference, in the unit of the target; lower is better.

    With several columns, the mean of their roots.
    """
    return Metric(_rmse, higher_is_better=False)


def _rmse(y_true: Array, predictions: Array) -> float:
    values = finite(y_true, predictions)
    true = y_true[:, None] if y_true.ndim == 1 else y_true  # (N,) -> (N, 1)
    if true.shape != values.shape:
        raise misfit(
            f"compares numbers; the labels have {plural(true.shape[1], 'column')}, the predictions {values.shape[1]}."
        )
    return float(np.sqrt(np.square(true - values, dtype=np.float64).mean(axis=0)).mean())
