"""Targets on a number scale: ordered levels, and values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from compete import DataError, Number, Target, component, format_list

from ._cells import Array, numbers, refuse_rows, spelled, text
from ._outputs import level_numbers, nearest_level, plain_values, scaled_sigmoid, steps_climbed

MOST_LEVELS, LARGEST_LEVEL = 10_000, 2**31 - 1
Level = Annotated[int, Field(ge=-LARGEST_LEVEL, le=LARGEST_LEVEL)]
Levels = Annotated[int, Field(ge=2, le=MOST_LEVELS)] | list[Level] | None


def check_ordinal(*, levels: Levels, **_: object) -> Iterator[str]:
    """Yield what is wrong with a list of levels."""
    if isinstance(levels, list) and (len(levels) < 2 or levels != sorted(set(levels))):
        yield f"levels = {levels} must list at least two integers, in ascending order."


@component(check=check_ordinal)
def ordinal(
    train: pd.DataFrame,
    *,
    column: str = "label",
    levels: Levels = None,
    method: Literal["regression", "cumulative"] = "regression",
) -> Target:
    """Ordered levels, such as 0 to 4 or 1, 2 and 5, predicted as one number on their scale.

    `column` holds the level, an integer. `levels` lists them in ascending order, or is k for 0 to k - 1; by default
    they are the column's own. `method` is `regression`, one output scaled by a sigmoid to the lowest and the highest
    level, or `cumulative`, k - 1 outputs for whether the level is higher (Frank and Hall 2001). Predictions are (N, 1)
    on the label scale and decoded as the nearest level, spelled as in the table; the postprocessor `cut_points` divides
    the scale better. Labels are int64 (N,). Metrics of classes, such as kappa, count levels by place in the order.
    """
    known = _known_levels(train, column, levels)
    labels = partial(_levels, column=column, known=known)
    labels(train)
    low, high = float(known[0]), float(known[-1])
    cumulative = method == "cumulative"
    return Target(
        classes=(column,),
        encode=partial(_exceeded, labels=labels, known=known)
        if cumulative
        else partial(_scaled, column=column, low=low, high=high),
        labels=labels,
        activation=partial(steps_climbed, levels=known) if cumulative else partial(scaled_sigmoid, low=low, high=high),
        decode=partial(nearest_level, levels=known, spelled=_spelled_levels(train, column, known)),
        heads=(len(known) - 1 if cumulative else 1,),
        ranks=partial(level_numbers, levels=known),
    )


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


def _known_levels(train: pd.DataFrame, column: str, levels: Levels) -> Array:
    """Return the levels in ascending order, int64 (k,)."""
    if levels is not None:
        return np.array(levels if isinstance(levels, list) else range(levels))
    values = numbers(train, column)
    refuse_rows(
        train,
        (values % 1 != 0) | (np.abs(values) > LARGEST_LEVEL),
        f"column '{column}' must hold integers; for other numbers set [target] name = 'regression'",
    )
    known = np.unique(values.astype(np.int64))
    if len(known) < 2:
        raise DataError(f"train table: column '{column}' has only one level, {known[0]}.")
    if len(known) > MOST_LEVELS:
        raise DataError(
            f"train table: column '{column}' has {len(known):,} levels. Set [target] name = 'regression' for values."
        )
    return known


def _levels(table: pd.DataFrame, *, column: str, known: Array) -> Array:
    values = numbers(table, column)
    named = [str(level) for level in known]
    what = f"column '{column}' must hold one of the levels {format_list(named)}"
    if known[0] == 0 and (values >= 1).all():
        what += "; for levels that do not start at 0, list them: levels = [1, 2, ...]"
    refuse_rows(table, ~np.isin(values, known), what)
    return values.astype(np.int64)


def _exceeded(table: pd.DataFrame, *, labels: Callable[[pd.DataFrame], Array], known: Array) -> Array:
    return (labels(table)[:, None] > known[:-1]).astype(np.float32)  # (N, 1) > (k - 1,) -> (N, k - 1)


def _spelled_levels(train: pd.DataFrame, column: str, known: Array) -> list[Any]:
    """Return the levels as the table spells them, or as integers where it spells one in several ways."""
    cells = text(train, column).drop_duplicates()
    spellings = dict(zip(cells.astype(float).astype(np.int64), cells, strict=True))
    if len(spellings) < len(cells):
        return [int(level) for level in known]
    return spelled([spellings.get(level, str(level)) for level in known.tolist()])


def _values(table: pd.DataFrame, *, column: str) -> Array:
    return numbers(table, column).astype(np.float32)[:, None]


def _scaled(table: pd.DataFrame, *, column: str, low: float, high: float) -> Array:
    return ((numbers(table, column) - low) / (high - low)).astype(np.float32)[:, None]
