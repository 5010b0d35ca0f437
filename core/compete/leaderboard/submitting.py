"""Submit one file once: send it, make the submission, wait for its score, and record every step before it is taken.

One call of `submit` never makes two submissions: see `creating`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from compete.errors import UserError
from compete.identity import digest_file
from compete.leaderboard.creating import Job, create_once, record_refusal, resume_command
from compete.leaderboard.platform import AccessError, BusyError, Limits, PlatformError, UnreachableError, Uploader
from compete.leaderboard.records import (
    UNFINISHED,
    Candidate,
    Record,
    begin_record,
    load_records,
    new_id,
    save_record,
    time_text,
    transfer_lock,
    update_record,
)
from compete.leaderboard.retry import CLOCK, Clock, Log, retry

LONGEST_POLL_SECONDS = 30.0


def submit(
    uploader: Uploader, candidate: Candidate, text: str, *, log: Log, config: str = "", again: bool = False,
    earlier: Sequence[datetime] = (), clock: Clock = CLOCK,
) -> Record:  # fmt: skip
    """Make one submission; return its record, not yet scored.

    `text` is sent along, after the run's name and a marker by which the submission can be found. `earlier` are the
    times of the competition's submissions, for platforms that report no quota. Raise `UserError` when one of this file
    is unfinished, or was made before, unless `again` is given.
    """
    with transfer_lock(candidate.file.parent):
        if not again:
            refuse_repetition(candidate, uploader)
        left = remaining(uploader, earlier, log, clock)
        marker = new_id()
        record = begin_record(
            candidate, time_text(clock.now()), id=marker, platform=uploader.platform, target=uploader.competition,
            message=make_message(candidate, marker, text), phase="sending", quota_before=left, config=config,
        )  # fmt: skip
        for other in load_records(candidate.records):
            if other.phase in UNFINISHED:
                update_record(candidate, other, phase="abandoned", reason="given up for a new one", state={})
        save_record(candidate, record)
        return _send_and_create(Job(uploader, candidate, record, log, clock))


def resume(
    uploader: Uploader, candidate: Candidate, record: Record, *, log: Log, earlier: Sequence[datetime] = (),
    clock: Clock = CLOCK,
) -> Record:  # fmt: skip
    """Take an unfinished submission to where it has a number; one that has is returned as it is."""
    if record.phase not in {"sending", "creating"}:
        return record
    with transfer_lock(candidate.file.parent):
        if digest_file(candidate.file) != record.file_hash:
            raise UserError(
                f"{candidate.file} has changed since its submission was begun. "
                f"Submit the new one with: compete submit {candidate.name} --again"
            )
        job = Job(uploader, candidate, record, log, clock)
        if record.phase == "sending":
            job.update(quota_before=remaining(uploader, earlier, log, clock))
        return _send_and_create(job)


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


def remaining(uploader: Uploader, earlier: Sequence[datetime], log: Log, clock: Clock = CLOCK) -> int | None:
    """Check access and ask what is left today; None if unknown. Raise `AccessError` when nothing is."""
    if uploader.check is not None:
        retry(uploader.check, log, clock)
    quota = retry(uploader.quota, log, clock) if uploader.quota is not None else None
    where = f"{uploader.platform}, {uploader.competition}"
    if quota is None:
        return _left_by_limits(uploader.limits, earlier, clock.now(), where)
    if quota.remaining <= 0:
        raise AccessError(f"{where}: no submission is left; nothing was uploaded. {quota.renewal}")
    return quota.remaining


def refuse_repetition(candidate: Candidate, uploader: Uploader) -> None:
    """Raise `UserError` while a submission of this candidate is unfinished, or when this very file was submitted."""
    digest = digest_file(candidate.file)
    for record in load_records(candidate.records):
        if record.phase in UNFINISHED:
            raise UserError(
                f"a submission of {candidate.name} was begun at {_format_time(record.begun_at)} and is not finished "
                f"({record.phase}). Finish it with: {resume_command(candidate)}. To make another one, add --again."
            )
        same = (record.file_hash, record.platform, record.target) == (digest, uploader.platform, uploader.competition)
        if same and record.phase in {"scored", "unscored"}:
            raise UserError(
                f"{candidate.file} was submitted before, at {_format_time(record.counts_at)}{_format_score(record)}, "
                "and has not changed. To spend another submission on the same file, add --again."
            )


def make_message(candidate: Candidate, marker: str, text: str) -> str:
    """Return what goes with a submission: the run, a marker to find it by, a text."""
    return f"{candidate.run} {marker} {text}".rstrip()


def _left_by_limits(limits: Limits, earlier: Sequence[datetime], now: datetime, where: str) -> int | None:
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
    left = limits.max_per_day - sum(time >= _midnight(now, limits.timezone) for time in earlier)
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
        raise UserError(f'[upload] timezone = "{timezone}": not a time zone.') from error
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def _format_time(text: str) -> str:
    return f"{text[:16].replace('T', ' ')} UTC"


def _format_score(record: Record) -> str:
    number = f"number {record.reference}" if record.reference else ""
    score = f"score {record.public:g}" if record.public is not None else ""
    known = ", ".join(part for part in (number, score) if part)
    return f" ({known})" if known else ""


def _send_and_create(job: Job) -> Record:
    """Send the bytes, then make the submission."""
    uploader, path = job.uploader, job.candidate.file
    state = dict(job.record.state)

    def save() -> None:
        job.update(state=dict(state))

    if uploader.send is not None and job.record.phase == "sending":
        send = uploader.send
        job.log(f"sending {path} to {uploader.platform}")
        try:
            job.ask(lambda: send(path, state, save))
        except (PlatformError, AccessError) as error:
            record_refusal(job, error)
            raise
        save()
    receipt = create_once(job)
    for note in receipt.notes:
        job.log(note)
    phase = "submitted" if uploader.status is not None else "unscored"
    return job.update(phase=phase, reference=receipt.reference, submitted_at=job.now, state={})


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
