"""Submissions: the cells of the file, in each of the shapes that platforms ask for.

The frame always has exactly the sample's columns in the sample's order, and the sample's rows in their order, repeated
ones included. `digits` are significant digits: with fixed decimals the smallest probabilities would tie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import pandas as pd
from pydantic import Field

from compete import ConfigError, Target, hookimpl

from ._frames import class_column, class_columns, column_to_fill, fill, refuse_left_out, rounded, sum_to_one
from ._long import long
from ._sets import tokens, top_k


def label(
    sample: pd.DataFrame,
    predictions: pd.DataFrame,
    target: Target,
    *,
    column: str | None = None,
    numbers: bool = False,
) -> pd.DataFrame:
    """Write the predicted label, in the competition's spelling.

    `column` is the column to fill, by default the only one beside the ids. With `numbers` the class's place is written
    in place of its name, from 0 in the order of the target's classes.
    """
    cells = target.decode(predictions.to_numpy())
    if numbers:
        places = {name: number for number, name in enumerate(target.classes)}
        unknown = [str(cell) for cell in cells if str(cell) not in places]
        if unknown:
            raise ConfigError(f"[submission] numbers = true: '{unknown[0]}' is not one class of the target.")
        cells = [places[str(cell)] for cell in cells]
    return fill(sample, predictions, {column_to_fill(sample, column): cells})


def probabilities(
    sample: pd.DataFrame,
    predictions: pd.DataFrame,
    _target: Target,
    *,
    digits: Annotated[int, Field(ge=1, le=8)] = 8,
    normalise: bool | None = None,
) -> pd.DataFrame:
    """Write one column of probabilities for each class that the sample names.

    Columns are matched by name. `normalise` scales the written columns to sum to one in each row; by default where the
    predictions do, which repairs the rounding of float32. Classes without a column in the sample are left out; where
    predictions sum to one, that needs an explicit `normalise`. `digits` are significant digits.
    """
    values = class_columns(sample, predictions)
    if normalise is None:
        normalise = sum_to_one(predictions.to_numpy())
        if normalise:
            refuse_left_out(sample, predictions)
    if normalise:
        values = values / values.sum(axis=1, keepdims=True)
    columns = dict(zip(sample.columns[1:], rounded(values, digits).T, strict=True))
    return fill(sample, predictions, columns)


def positive(
    sample: pd.DataFrame,
    predictions: pd.DataFrame,
    _target: Target,
    *,
    positive: str | None = None,
    column: str | None = None,
    digits: Annotated[int, Field(ge=1, le=8)] = 8,
) -> pd.DataFrame:
    """Write the probability of one class.

    `positive` names the class, if there are several. `column` is the column to fill, by default the only one
    beside the ids. `digits` are significant digits.
    """
    values = rounded(class_column(predictions, positive), digits)
    return fill(sample, predictions, {column_to_fill(sample, column): values})


def value(
    sample: pd.DataFrame,
    predictions: pd.DataFrame,
    _target: Target,
    *,
    column: str | None = None,
    digits: Annotated[int, Field(ge=1, le=8)] = 8,
) -> pd.DataFrame:
    """Write the predicted number.

    `column` is the column to fill, by default the only one beside the ids. `digits` are significant digits;
    integers, as from the postprocessor `cut_points`, are written without a decimal point.
    """
    values = rounded(class_column(predictions, None), digits)
    return fill(sample, predictions, {column_to_fill(sample, column): values})


@hookimpl
def register_submissions() -> dict[str, Callable[..., pd.DataFrame]]:
    """Offer the bundled submission formats."""
    return {
        "label": label,
        "probabilities": probabilities,
        "positive": positive,
        "value": value,
        "tokens": tokens,
        "top_k": top_k,
        "long": long,
    }
