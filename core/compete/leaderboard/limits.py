"""The rules of a platform that does not tell its quota: so many a day, so long between two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from compete.errors import UserError
from compete.leaderboard.platform import AccessError, Limits


def refuse_over_limits(limits: Limits, earlier: Sequence[datetime], now: datetime, where: str) -> int | None:
    """Raise `AccessError` when another submission would break the rules; return how many are left today, if known."""
    if earlier and limits.min_interval_minutes:
        free_at = max(earlier) + timedelta(minutes=limits.min_interval_minutes)
        if now < free_at:
            minutes = -(-(free_at - now).total_seconds() // 60)
            raise AccessError(
                f"{where}: {limits.min_interval_minutes:g} minutes must lie between two submissions. "
                f"The next one is possible in {minutes:.0f} min."
            )
    if limits.max_per_day is None:
        return None
    today = _midnight(now, limits.timezone)
    left = limits.max_per_day - sum(time >= today for time in earlier)
    if left <= 0:
        raise AccessError(
            f"{where}: all {limits.max_per_day} submissions of today are used up. "
            f"The day ends at midnight, {limits.timezone}."
        )
    return left


def _midnight(now: datetime, timezone: str) -> datetime:
    """Return when the platform's day began."""
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise UserError(f'[upload] timezone = "{timezone}": there is no such time zone.') from error
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
