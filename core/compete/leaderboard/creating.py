"""The one step that must not happen twice: make the submission, and find out whether it was made.

It is recorded before it is tried. When its answer is lost, or the process died in it, the platform's list is searched
before it is tried again; where that cannot tell, nothing is tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from compete.errors import CompeteError
from compete.leaderboard.platform import AccessError, BusyError, PlatformError, Receipt, UnreachableError, Uploader
from compete.leaderboard.records import Candidate, Record, time_text, update_record
from compete.leaderboard.retry import LONGEST_PAUSE_SECONDS, Clock, Log, retry

T = TypeVar("T")

SEARCH_PAUSES_SECONDS = (1.0, 4.0, 10.0)
# By then a server is done with a lost request, one way or the other.
SETTLED_SECONDS = 120.0


@dataclass
class Job:
    """A submission under way. `record` is what is on disk."""

    uploader: Uploader
    candidate: Candidate
    record: Record
    log: Log
    clock: Clock

    def update(self, **changes: Any) -> Record:  # noqa: ANN401 - a field's value
        """Change the record, on disk too."""
        self.record = update_record(self.candidate, self.record, **changes)
        return self.record

    @property
    def now(self) -> str:
        """This moment, as the record writes it."""
        return time_text(self.clock.now())

    def ask(self, question: Callable[[], T]) -> T:
        """Ask the platform, again if necessary."""
        return retry(question, self.log, self.clock)


def resume_command(candidate: Candidate) -> str:
    """Return what to type to finish a submission."""
    return f"compete submit {candidate.name} --resume"


def create_once(job: Job) -> Receipt:
    """Make the submission, or find the one that an earlier try has made."""
    if job.record.phase == "creating":
        _let_settle(job)
        if found := _search(job):
            return found
    busy = lost = 0
    while True:
        job.update(phase="creating", tried_at=job.now)
        try:
            return job.uploader.create(job.candidate.file, job.record.message, dict(job.record.state))
        except BusyError as error:  # a plain "slow down": nothing was made
            job.update(phase="sending")
            busy += 1
            pause = 10.0 if error.wait_seconds is None else error.wait_seconds
            if busy > 1 or pause > LONGEST_PAUSE_SECONDS:
                raise
            job.log(f"{error}; asking again in {pause:g} s")
            job.clock.pause(pause)
        except UnreachableError as error:
            lost += 1
            job.log(f"{error}; checking whether the submission was made")
            if found := _search(job):
                return found
            if lost > 1 or error.silent:  # a silent server may still be at it
                raise PlatformError(_unsure(job)) from error
        except (PlatformError, AccessError) as error:
            record_refusal(job, error)
            raise


def record_refusal(job: Job, error: CompeteError) -> None:
    """Record a definite no. What may still succeed stays as it is, for --resume."""
    if not isinstance(error, BusyError | UnreachableError):
        job.update(phase="refused", reason=str(error), state={})


def _let_settle(job: Job) -> None:
    """Wait until a request that was lost a moment ago can no longer be under way."""
    tried = datetime.fromisoformat(job.record.tried_at or job.record.begun_at)
    # If the clock was put back since, the wait would be long.
    left = min(SETTLED_SECONDS, SETTLED_SECONDS - (job.clock.now() - tried).total_seconds())
    if left > 0 and job.uploader.find is not None:
        job.log(f"the last try was a moment ago; checking again in {left:.0f} s")
        job.clock.pause(left)


def _search(job: Job) -> Receipt | None:
    """Search the platform's list for the submission. Raise when that cannot tell whether it was made."""
    find = job.uploader.find
    if find is None:
        raise PlatformError(_unsure(job))
    try:
        for pause in SEARCH_PAUSES_SECONDS:
            job.clock.pause(pause)
            found = job.ask(lambda: find(job.record.id))
            if found is not None:
                return found
        # A list may lag behind. Fewer left than before means that something was counted, perhaps a teammate's.
        quota = job.ask(job.uploader.quota) if job.uploader.quota is not None else None
    except (UnreachableError, BusyError) as error:
        raise PlatformError(_unsure(job)) from error
    before = job.record.quota_before
    if quota is not None and before is not None and quota.remaining < before:
        raise PlatformError(_unsure(job))
    return None


def _unsure(job: Job) -> str:
    name, platform = job.candidate.name, job.uploader.platform
    if job.uploader.find is not None:
        return (
            f"the answer of {platform} was lost, and it is unknown whether the submission was made. "
            f"Nothing is sent twice: check again in a few minutes with: {resume_command(job.candidate)}"
        )
    return (
        f"the answer of {platform} was lost, and it has no list to search. Look at its page: if the submission is "
        f"there, enter its score with: compete score {name} VALUE; if not, submit with: compete submit {name} --again"
    )
