"""Send the bytes, take the one step that must not happen twice, make the submission, and wait for its score.

It is recorded before it is tried. Only a definite refusal, or a connection that was never opened, proves that nothing
was made. After anything else the platform's list is searched, and nothing is tried again until the lost request is
certain to be over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from compete.errors import CompeteError, UserError
from compete.identity import digest_file
from compete.leaderboard.platform import (
    AccessError,
    BusyError,
    PendingError,
    PlatformError,
    Receipt,
    UnreachableError,
    Uploader,
)
from compete.leaderboard.records import Candidate, Record, time_text, update_record
from compete.leaderboard.retry import CLOCK, Clock, Log, retry

T = TypeVar("T")

# A server can be at work for minutes after it hung up or answered with 5xx.
SEARCH_PAUSES_SECONDS = (1.0, 4.0, 10.0, 15.0, 30.0, 60.0)
SETTLED_PAUSES_SECONDS = (0.0, 4.0, 10.0)
# By then no server and no gateway is still at a lost request, and no list lags behind.
SETTLED_SECONDS = 3600.0
LONGEST_POLL_SECONDS = 30.0


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


def send_and_create(job: Job) -> Record:
    """Send the bytes, then make the submission, unless an earlier try has.

    While the platform is at work on what was sent, return the record as it is, with the reason.
    """
    receipt = find_earlier(job)
    if receipt is None:
        if waiting := _send(job):
            return job.update(reason=waiting)
        receipt = create_once(job)
    for note in receipt.notes:
        job.log(note)
    phase = "submitted" if job.uploader.status is not None else "unscored"
    return job.update(phase=phase, reference=receipt.reference, submitted_at=job.now, reason="", state={})


def _send(job: Job) -> str:
    """Bring the bytes over, or those that are still missing; return what has to be waited for, if anything."""
    send, path, state = job.uploader.send, job.candidate.file, dict(job.record.state)
    if send is None:
        return ""

    def save() -> None:
        job.update(state=dict(state))

    if not job.record.reason:
        job.log(f"sending {path} to {job.uploader.platform}")
    waiting = ""
    try:
        job.ask(lambda: send(path, state, save))
    except PendingError as pending:
        waiting = str(pending)
    except (PlatformError, AccessError) as error:
        record_refusal(job, error)
        raise
    save()
    return waiting


def create_once(job: Job) -> Receipt:
    """Make the submission, whose bytes are sent, and find it when the answer is lost."""
    return job.ask(lambda: _create(job))


def find_earlier(job: Job) -> Receipt | None:
    """Return what an earlier try has made; None when it certainly made nothing, and then the record says so.

    Raise `PlatformError` while that is not certain.
    """
    if job.record.phase != "creating":
        return None
    settled = job.clock.now() >= _settled_at(job)
    job.log("checking whether the submission was made")
    if found := search(job, SETTLED_PAUSES_SECONDS if settled else SEARCH_PAUSES_SECONDS):
        return found
    if not settled:
        raise PlatformError(_unsure(job))
    # Fewer left than before means that something was counted, perhaps a teammate's.
    quota = job.ask(job.uploader.quota) if job.uploader.quota is not None else None
    before = job.record.quota_before
    if quota is not None and before is not None and quota.remaining < before:
        raise PlatformError(
            f"{_unsure(job)} Its list does not have the submission, yet something was counted since: "
            f"{before} were left before, {quota.remaining} are now."
        )
    job.log("the lost try made no submission; making it now")
    job.update(phase="sending")
    return None


def check_unchanged(job: Job) -> None:
    """Raise `UserError` unless the file still is what the record says."""
    file = job.candidate.file
    if not file.is_file() or digest_file(file) != job.record.file_hash:
        raise UserError(
            f"{file} {'has changed' if file.is_file() else 'was removed'} since its submission was begun. "
            f"Submit the new one with: compete submit {job.candidate.name} --again"
        )


def record_refusal(job: Job, error: CompeteError) -> None:
    """Record a definite no. What may still succeed stays as it is, for --resume."""
    if not isinstance(error, BusyError | UnreachableError):
        job.update(phase="refused", reason=str(error), state={})


def search(job: Job, pauses: Sequence[float]) -> Receipt | None:
    """Search the platform's list after each pause. Raise `PlatformError` when it cannot be read in the end."""
    find = job.uploader.find
    if find is None:
        raise PlatformError(_unsure(job))
    for number, pause in enumerate(pauses, start=1):
        job.clock.pause(pause)
        try:
            found = job.ask(lambda: find(job.record.id))
        except (UnreachableError, BusyError) as error:
            if number == len(pauses):
                raise PlatformError(f"{error}; {_unsure(job)}") from error
        else:
            if found is not None:
                return found
    return None


def _create(job: Job) -> Receipt:
    """Try once. `BusyError` and an `UnreachableError` that was not sent are left for another try."""
    check_unchanged(job)
    job.update(phase="creating", tried_at=job.now)
    try:
        return job.uploader.create(job.candidate.file, job.record.message, dict(job.record.state))
    except (BusyError, UnreachableError) as error:
        if isinstance(error, BusyError) or not error.sent:  # nothing was made
            job.update(phase="sending")
            raise
        job.log(f"{error}; checking whether the submission was made, for up to {sum(SEARCH_PAUSES_SECONDS):.0f} s")
        if found := search(job, SEARCH_PAUSES_SECONDS):
            return found
        raise PlatformError(_unsure(job)) from error
    except (PlatformError, AccessError) as error:
        record_refusal(job, error)
        raise


def _settled_at(job: Job) -> datetime:
    """Return when a lost request can no longer be under way."""
    return datetime.fromisoformat(job.record.tried_at or job.record.begun_at) + timedelta(seconds=SETTLED_SECONDS)


def _unsure(job: Job) -> str:
    name, platform = job.candidate.name, job.uploader.platform
    if job.uploader.find is None:
        return (
            f"the answer of {platform} was lost, and it has no list to search. Look at its page: if the submission is "
            f"there, enter its score with: compete score {name} VALUE; if not, submit with: compete submit {name} "
            "--again"
        )
    return (
        f"the answer of {platform} was lost, and it is unknown whether the submission was made. Nothing is sent twice: "
        f"check again in a few minutes with: {resume_command(job.candidate)}. From {_settled_at(job):%Y-%m-%d %H:%M} "
        "UTC on it is made again if it is still missing in the list."
    )


def wait(
    uploader: Uploader, candidate: Candidate, record: Record, deadline_seconds: float, *, log: Log,
    clock: Clock = CLOCK,
) -> Record:  # fmt: skip
    """Ask for the score until it is there or `deadline_seconds` are over; return the record as it is then."""
    job = Job(uploader, candidate, record, log, clock)
    until = clock.seconds() + deadline_seconds
    pause, reported = 1.0, ""
    while True:
        news = _ask_status(job)
        if job.record.phase != "submitted":
            return job.record
        if news != reported:
            log(news)
            reported = news
        left = until - clock.seconds()
        if left <= 0:
            log(f"no score after {deadline_seconds / 60:g} min. Ask again with: {resume_command(candidate)}")
            return job.record
        clock.pause(min(pause, left))
        pause = min(pause * 1.5, LONGEST_POLL_SECONDS)


def _ask_status(job: Job) -> str:
    """Ask once for the submission's status; record an outcome, or return the news as a sentence."""
    assert job.uploader.status is not None
    status_of, record = job.uploader.status, job.record
    try:
        status = job.ask(lambda: status_of(record.reference))
    except (UnreachableError, BusyError) as error:
        return f"{error}; still waiting for the score of submission {record.reference}"
    match status.state:
        case "complete":
            job.update(phase="scored", public=status.public, private=status.private, scored_at=job.now, reason="")
        case "error":
            job.update(phase="failed", reason=status.reason, scored_at=job.now)
        case "unknown":
            return f"{job.uploader.platform} reports the state '{status.reason}', which compete does not know; waiting"
    return f"submission {record.reference} is waiting for its score"
