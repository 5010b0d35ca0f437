"""Checks shared by the platforms whose rules stand in the TOML."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo, available_timezones

from compete import did_you_mean


def check_timezone(*, timezone: str, **_: object) -> Iterator[str]:
    """Refuse a time zone that does not exist."""
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        hint = did_you_mean(timezone, available_timezones())
        yield f"timezone = \"{timezone}\": there is no such time zone.{hint} For example 'Asia/Seoul'."
