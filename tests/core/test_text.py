"""Wording that several parts share."""

from __future__ import annotations

import pytest

from compete.text import duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.13, "4.1s"), (59.96, "1m00s"), (125, "2m05s"), (3599.7, "1h00m"), (12000, "3h20m")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
