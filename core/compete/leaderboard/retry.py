"""Ask a platform until it answers: pauses when it is busy or cannot be reached, and an end to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from compete.leaderboard.platform import BusyError, UnreachableError

T = TypeVar("T")
Log = Callable[[str], None]

TRIES = 5
SILENT_TRIES = 2
LONGEST_PAUSE_SECONDS = 120.0


@dataclass(frozen=True)
class Clock:
    """Time, so that tests need not wait."""

    pause: Callable[[float], None] = time.sleep
    seconds: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


CLOCK = Clock()


def retry(question: Callable[[], T], log: Log, clock: Clock = CLOCK) -> T:
    """Ask, and ask again after a pause when the platform is busy or cannot be reached; in the end, raise."""
    for attempt in range(1, TRIES + 1):
        try:
            return question()
        except (BusyError, UnreachableError) as error:
            pause = 2.0 ** (attempt - 1)
            last = attempt == TRIES
            if isinstance(error, BusyError):
                pause = pause * 2 if error.wait_seconds is None else error.wait_seconds
            elif error.silent:
                last = attempt >= SILENT_TRIES
            if last or pause > LONGEST_PAUSE_SECONDS:
                raise
            log(f"{error}; asking again in {pause:g} s")
            clock.pause(pause)
    raise AssertionError("unreachable")
