"""Types of options in words."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import annotated_types
import pytest
from pydantic import Field, PositiveInt

from compete.config.option_types import expected_text, type_text

Rate = Annotated[float, Field(ge=0, lt=1)]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (str, "string"),
        (bool, "true or false"),
        (Path, "path"),
        (Any, "anything"),
        (Decimal, "decimal.Decimal"),
        (int | None, "integer or none"),
        (Optional[float], "number or none"),  # noqa: UP045 - as an older plugin may write it
        (Literal["a", "b"], '"a" or "b"'),
        (Literal["a", 2, True], '"a", 2 or true'),
        (Annotated[float, Field(gt=0, le=1)], "number, 0 < x <= 1"),
        (Annotated[float, Field(gt=0)], "number > 0"),
        (Annotated[float, Field(lt=3.14159265)], "number < 3.142"),
        (Annotated[int, Field(ge=2, le=100)], "integer, 2 <= x <= 100"),
        (Annotated[int, annotated_types.Ge(2)], "integer >= 2"),
        (Annotated[int, annotated_types.Interval(ge=2, lt=9)], "integer, 2 <= x < 9"),
        (Annotated[int, Field(ge=8, multiple_of=4)], "integer >= 8, a multiple of 4"),
        (Annotated[int, "a note of the plugin's own"], "integer"),
        (PositiveInt, "integer > 0"),
        (Rate | None, "number, 0 <= x < 1, or none"),
        (str | int | None, "string, integer or none"),
        (Annotated[str, Field(pattern=r"^\d+$")], r"string that matches ^\d+$"),
        (Annotated[str, Field(min_length=1, max_length=1)], "string, length 1"),
        (Annotated[str, Field(min_length=1)], "string, length at least 1"),
        (Annotated[list[str], Field(min_length=1, max_length=9)], "list of strings, length at least 1 and at most 9"),
        (list[int], "list of integers"),
        (tuple[float, ...], "list of numbers"),
        (tuple[int, int], "list of 2 integers"),
        (tuple[Rate, Rate], "list of 2 numbers, 0 <= x < 1"),
        (tuple[int, str], "list of (integer, string)"),
        (list[Any], "list of anything"),
        (list[bool], "list of (true or false)"),
        (tuple[Literal[90, 180, 270], ...], "list of (90, 180 or 270)"),
        (list[str | int] | str | None, "list of (string or integer), string or none"),
        (list[list[int]], "list of lists of integers"),
        (dict[str, Any], "table"),
        (list[dict[str, Any]], "list of tables"),
        (dict[str, str | list[str]], "table of (string or list of strings)"),
    ],
)
def test_types_in_words(annotation, words):
    assert type_text(annotation) == words


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[int, Field(ge=1)], "an integer >= 1"),
        (Optional[float], "a number"),  # noqa: UP045 - as an older plugin may write it
        (Annotated[str, Field(min_length=1)] | None, "a string, length at least 1"),
        (Literal["a", "b"] | list[str], '"a" or "b" or a list of strings'),
        (tuple[int, int], "a list of 2 integers"),
        (bool | dict[str, int], "true or false or a table of integers"),
    ],
)
def test_expected_values_in_words(annotation, words):
    assert expected_text(annotation) == words
