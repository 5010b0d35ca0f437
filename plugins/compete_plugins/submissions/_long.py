"""Submissions with one row for each image and class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from compete import SubmissionError, Target, component, did_you_mean, plural

from ._frames import column_to_fill, replace, rounded


def check_long(*, template: str, **_: object) -> Iterator[str]:
    """Yield what is wrong with the template."""
    try:
        first, second = (_row_id(template, name, name, number) for number, name in enumerate(("a", "b")))
    except KeyError as error:
        yield f"template: unknown field {{{error.args[0]}}}. Available: {{id}}, {{class}} and {{number}}."
    except (ValueError, IndexError) as error:
        yield f"template: {error}."
    else:
        if first == second or first == _row_id(template, "b", "a", 0) or first == _row_id(template, "a", "b", 1):
            yield "template must hold {id} and one of {class} and {number}."


@component(check=check_long, own_ids=True)
def long(
    sample: pd.DataFrame,
    predictions: pd.DataFrame,
    _target: Target,
    *,
    template: str = "{id}_{class}",
    column: str | None = None,
    digits: Annotated[int, Field(ge=1, le=8)] = 8,
) -> pd.DataFrame:
    """Write one row for each image and class, with the class's probability.

    `template` builds a row's id from `{id}`, `{class}` and `{number}` (the class's place, from 0), for example
    `{id}{number:02d}`; where the sample's ids are integers, leading zeros are dropped. `digits` are
    significant digits. `column` is the column to fill, by default the only one beside the ids.
    """
    ids = sample.iloc[:, 0].astype(str)
    integers = bool(ids.str.fullmatch(r"\d+").all())
    cells: dict[str, float] = {}
    for number, name in enumerate(predictions.columns):
        for image, value in zip(predictions.index, predictions.iloc[:, number], strict=True):
            key = _row_id(template, str(image), str(name), number)
            cells[re.sub(r"^0+(?=\d)", "", key) if integers else key] = value
    unknown = [name for name in ids if name not in cells]
    if unknown:
        raise SubmissionError(
            f"{plural(len(unknown), 'row')} of the sample: not an image and class in the form '{template}', "
            f"first '{unknown[0]}'.{did_you_mean(unknown[0], list(cells)[:2000])}"
        )
    values = np.array([cells[name] for name in ids], dtype=np.float64)
    return replace(sample, {column_to_fill(sample, column): rounded(values, digits)})


def _row_id(template: str, image: str, name: str, number: int) -> str:
    return template.format_map({"id": image, "class": name, "number": number})
