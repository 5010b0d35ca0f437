"""How fast a member trains, from the host's clock alone: nothing here waits for the device."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compete import TrainerView


class Throttle:
    """Limits how often something is shown: at most once in so many seconds, for each key."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: dict[str, float] = {}

    def ready(self, key: str) -> bool:
        """Return whether the time is up; the first call for a key only starts its clock."""
        now = time.monotonic()
        if now - self._last.setdefault(key, now) < self._seconds:
            return False
        self._last[key] = now
        return True

    def forget(self, key: str) -> None:
        """Restart this key's clock at its next call."""
        self._last.pop(key, None)


class Pace:
    """A member's images per second in this epoch, and the seconds left until its last epoch."""

    def __init__(self) -> None:
        self._member_start: tuple[float, int] | None = None
        self._epoch_start = (0.0, 0)
        self._epoch = -1

    def step(self, trainer: TrainerView) -> bool:
        """Count a step; return whether it is the first one of a member that resumes from a checkpoint.

        The clocks start after the first step, which also pays for warming up.
        """
        now = time.monotonic()
        if trainer.epoch != self._epoch:
            self._epoch, self._epoch_start = trainer.epoch, (now, trainer.samples_seen)
        if self._member_start is not None:
            return False
        self._member_start = (now, _steps_made(trainer))
        return _steps_made(trainer) > 1

    def images_per_second(self, trainer: TrainerView) -> float | None:
        """Return the throughput of this epoch so far, without validation."""
        began, seen = self._epoch_start
        passed = time.monotonic() - began
        return (trainer.samples_seen - seen) / passed if trainer.samples_seen > seen and passed > 0 else None

    def seconds_left(self, trainer: TrainerView) -> float | None:
        """Return the time to the member's last epoch at the pace so far, validation included."""
        made = _steps_made(trainer)
        began, first = self._member_start or (0.0, made)
        if made <= first:
            return None
        left = trainer.epochs * trainer.steps_per_epoch - made
        return left * (time.monotonic() - began) / (made - first)


def _steps_made(trainer: TrainerView) -> int:
    return trainer.epoch * trainer.steps_per_epoch + trainer.step
