"""Checks shared by the platforms whose rules are in the TOML."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo, available_timezones

from compete import did_you_mean


def check_timezone(*, timezone: str, **_: object) -> Iterator[str]:
    """Refuse an unknown time zone."""
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        hint = did_you_mean(timezone, available_timezones())
        yield f"timezone = \"{timezone}\": unknown time zone.{hint} For example 'Asia/Seoul'."
