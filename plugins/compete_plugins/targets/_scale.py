"""Targets on a number scale: ordered levels, and values."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from compete import DataError, Number, Target

from ._cells import Array, numbers, refuse_rows
from ._outputs import nearest_level, plain_values, scaled_sigmoid, steps_climbed

MOST_LEVELS = 10_000


def ordinal(
    train: pd.DataFrame,
    *,
    column: str = "label",
    levels: Annotated[int, Field(ge=2, le=1_000_000)] | None = None,
    method: Literal["regression", "cumulative"] = "regression",
) -> Target:
    """Ordered levels, 0 to k - 1, predicted as one number on that scale.

    `column` holds the level. `levels` is k, by default the highest level of the table plus one. `method` is
    `regression`, one output scaled by a sigmoid to 0..k-1, or `cumulative`, k - 1 outputs for whether the level is
    higher (Frank and Hall 2001). Predictions are (N, 1) on the label scale and decoded by rounding; the postprocessor
    `cut_points` rounds better. Labels are int64 (N,).
    """
    highest = int(numbers(train, column).max()) if levels is None else levels - 1
    if levels is None and highest >= MOST_LEVELS:
        raise DataError(
            f"train table: column '{column}' holds the level {highest:g}. For values set "
            "[target] name = 'regression'; for so many levels, set 'levels'."
        )
    if highest < 1:
        raise DataError(f"train table: column '{column}' has no level above 0.")
    labels = partial(_levels, column=column, highest=highest)
    labels(train)
    cumulative = method == "cumulative"
    encode = partial(_exceeded if cumulative else _scaled_level, column=column, highest=highest)
    activation = steps_climbed if cumulative else partial(scaled_sigmoid, low=0.0, high=float(highest))
    outputs = highest if cumulative else 1
    return Target((column,), encode, labels, activation, partial(nearest_level, highest=highest), (outputs,))


def regression(
    train: pd.DataFrame, *, column: str = "label", low: Number | None = None, high: Number | None = None
) -> Target:
    """A number between two bounds, learnt as a sigmoid scaled to them.

    `column` holds the value. `low` and `high` are the bounds, by default the smallest and the largest value of the
    table; values outside are an error. Encoded targets are scaled to 0..1, float32 (N, 1); predictions and labels are
    (N, 1) in the column's own unit.
    """
    values = numbers(train, column)
    least = float(values.min()) if low is None else low
    most = float(values.max()) if high is None else high
    if least >= most:
        raise DataError(f"train table: column '{column}' has no range: low {least:g}, high {most:g}.")
    refuse_rows(train, (values < least) | (values > most), f"column '{column}' is outside {least:g} to {most:g}")
    return Target(
        classes=(column,),
        encode=partial(_scaled, column=column, low=least, high=most),
        labels=partial(_values, column=column),
        activation=partial(scaled_sigmoid, low=least, high=most),
        decode=plain_values,
        heads=(1,),
    )


def _levels(table: pd.DataFrame, *, column: str, highest: int) -> Array:
    values = numbers(table, column)
    wrong = (values % 1 != 0) | (values < 0) | (values > highest)
    refuse_rows(table, wrong, f"column '{column}' must hold an integer from 0 to {highest}")
    return values.astype(np.int64)


def _scaled_level(table: pd.DataFrame, *, column: str, highest: int) -> Array:
    levels = _levels(table, column=column, highest=highest)
    return (levels / highest).astype(np.float32)[:, None]


def _exceeded(table: pd.DataFrame, *, column: str, highest: int) -> Array:
    levels = _levels(table, column=column, highest=highest)
    return (levels[:, None] > np.arange(highest)).astype(np.float32)  # (N, 1) > (k - 1,) -> (N, k - 1)


def _values(table: pd.DataFrame, *, column: str) -> Array:
    return numbers(table, column).astype(np.float32)[:, None]


def _scaled(table: pd.DataFrame, *, column: str, low: float, high: float) -> Array:
    return ((numbers(table, column) - low) / (high - low)).astype(np.float32)[:, None]
