"""What a platform that takes submissions offers, and what can go wrong with one.

An `uploads` component returns an `Uploader`. Core records, retries, waits and counts, so that a
plugin only has to know its platform.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from compete.errors import CompeteError, UserError

State = dict[str, Any]
Save = Callable[[], None]
Progress = Callable[[int], None]


class PlatformError(CompeteError):
    """The platform refused, or cannot do what was asked; nothing was submitted."""


class BusyError(PlatformError):
    """The platform asks to slow down (HTTP 429); nothing was done."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class UnreachableError(PlatformError):
    """No usable answer came: a broken connection, a failing server, or (`silent`) none in time.

    What was asked for may have happened all the same, unless it was never `sent`: no connection could be opened.
    """

    def __init__(self, message: str, *, silent: bool = False, sent: bool = True) -> None:
        super().__init__(message)
        self.silent = silent
        self.sent = sent


class PendingError(PlatformError):
    """The platform is at work on an earlier step of `send`, which is called again after a while."""


class AccessError(UserError):
    """The user has to act: a token, rules to accept, a misspelt competition, a quota used up."""


@dataclass(frozen=True)
class Limits:
    """The rules that a platform does not report, from the TOML. `max_per_day` counts days in `timezone`."""

    max_per_day: int | None = None
    min_interval_minutes: float = 0.0
    final_picks: int | None = None
    timezone: str = "UTC"


@dataclass(frozen=True)
class Quota:
    """How many submissions the platform takes now, and advice for the user when it takes none."""

    remaining: int
    renewal: str = "Try again tomorrow."


@dataclass(frozen=True)
class Receipt:
    """A submission that the platform has: its number there, and lines to show the user."""

    reference: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """What became of a submission. `reason` is why it failed, or the name of an unknown state."""

    state: Literal["pending", "complete", "error", "unknown"]
    public: float | None = None
    private: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class CodeEntry:
    """What a code competition runs on its own machines, without a network.

    `model` is one file with everything that predicts; its name has a digest of its content. `program` is Python source
    that defines `run(model, inputs, competition, output)`: it searches the folder `inputs` for the file called `model`
    and for the folder `competition`, and writes `submission.csv` to the folder `output`. `name` is the run's, such as
    "run-001".
    """

    name: str
    model: Path
    program: str


@dataclass(frozen=True)
class Uploader:
    """A platform and a competition on it, as functions; a function that is None is something it cannot do.

    Every function returns or raises within a time of its own. Each may raise `AccessError`, `PlatformError`,
    `BusyError` and `UnreachableError`; core tries again after the last two.

    - `create(path, message, state) -> Receipt` makes the submission. It is the only function that does. It is called
      again only after `BusyError`, after an `UnreachableError` that says that nothing was `sent`, or when `find` shows
      long after a lost call that nothing was made.
    - `check()` raises when a submission could not be made. It changes nothing.
    - `quota() -> Quota | None`; None when the platform does not report it; then `limits` apply.
    - `send(path, state, save)` brings the bytes over before `create`, where a platform has two steps. It keeps what it
      needs to go on in `state` (JSON) and calls `save()` after each step; it may be called again with that state, and
      is after a `PendingError`.
    - `find(marker) -> Receipt | None` finds the submission with the marker in its message, among all of the user's.
    - `status(reference) -> Status`; without it, the score is typed in with `compete score`.
    - `download(folder, progress) -> Path` fetches the competition's files and returns the archive; it resumes where an
      earlier call stopped. `progress` gets the percentage.
    - `code(entry) -> Uploader` is the same platform for an entry of code: its `send` brings the model over, has the
      program run and waits for its end by `PendingError`; its `create` submits what the program wrote.
    - `close()` ends what the others opened.
    """

    platform: str
    competition: str
    create: Callable[[Path, str, State], Receipt]
    limits: Limits = Limits()
    check: Callable[[], None] | None = None
    quota: Callable[[], Quota | None] | None = None
    send: Callable[[Path, State, Save], None] | None = None
    find: Callable[[str], Receipt | None] | None = None
    status: Callable[[str], Status] | None = None
    download: Callable[[Path, Progress], Path] | None = None
    code: Callable[[CodeEntry], Uploader] | None = None
    close: Callable[[], None] | None = None
