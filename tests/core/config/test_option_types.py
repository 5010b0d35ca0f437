"""Types of options in words."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import annotated_types
import pytest
from pydantic import Field, PositiveInt

from compete.config.option_types import type_text

Rate = Annotated[float, Field(ge=0, lt=1)]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (str, "text"),
        (bool, "true or false"),
        (Path, "path"),
        (Any, "anything"),
        (Decimal, "decimal.Decimal"),
        (int | None, "whole number or none"),
        (Optional[float], "number or none"),  # noqa: UP045 - as an older plugin may write it
        (Literal["a", "b"], '"a" or "b"'),
        (Literal["a", 2, True], '"a", 2 or true'),
        (Annotated[float, Field(gt=0, le=1)], "number, 0 < x <= 1"),
        (Annotated[float, Field(gt=0)], "number > 0"),
        (Annotated[float, Field(lt=3.14159265)], "number < 3.142"),
        (Annotated[int, Field(ge=2, le=100)], "whole number, 2 <= x <= 100"),
        (Annotated[int, annotated_types.Ge(2)], "whole number >= 2"),
        (Annotated[int, annotated_types.Interval(ge=2, lt=9)], "whole number, 2 <= x < 9"),
        (Annotated[int, Field(ge=8, multiple_of=4)], "whole number >= 8, a multiple of 4"),
        (Annotated[int, "a note of the plugin's own"], "whole number"),
        (PositiveInt, "whole number > 0"),
        (Rate | None, "number, 0 <= x < 1, or none"),
        (str | int | None, "text, whole number or none"),
        (Annotated[str, Field(pattern=r"^\d+$")], r"text that matches ^\d+$"),
        (Annotated[str, Field(min_length=1, max_length=1)], "text, length 1"),
        (Annotated[str, Field(min_length=1)], "text, length at least 1"),
        (Annotated[list[str], Field(min_length=1, max_length=9)], "list of texts, length at least 1 and at most 9"),
        (list[int], "list of whole numbers"),
        (tuple[float, ...], "list of numbers"),
        (tuple[int, int], "list of 2 whole numbers"),
        (tuple[Rate, Rate], "list of 2 numbers, 0 <= x < 1"),
        (tuple[int, str], "list of (whole number, text)"),
        (list[Any], "list of anything"),
        (list[bool], "list of (true or false)"),
        (tuple[Literal[90, 180, 270], ...], "list of (90, 180 or 270)"),
        (list[str | int] | str | None, "list of (text or whole number), text or none"),
        (list[list[int]], "list of lists of whole numbers"),
        (dict[str, Any], "table"),
        (list[dict[str, Any]], "list of tables"),
        (dict[str, str | list[str]], "table of (text or list of texts)"),
    ],
)
def test_types_in_words(annotation, words):
    assert type_text(annotation) == words
