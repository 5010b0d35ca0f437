"""Submit one file once: send it, make the submission, wait for its score, and record every step before it is taken.

One call of `submit` never makes two submissions: see `creating`. Whatever decides whether something is sent is read
while the competition is held.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from compete.errors import UserError
from compete.identity import digest_file
from compete.leaderboard.creating import (
    Job,
    check_unchanged,
    resume_command,
    search,
    send_and_create,
)
from compete.leaderboard.history import Submission, counted_times, read_submissions
from compete.leaderboard.platform import AccessError, Limits, Uploader
from compete.leaderboard.records import (
    JOURNAL,
    UNFINISHED,
    Candidate,
    Record,
    begin_record,
    furthest,
    journal_gap,
    load_records,
    new_id,
    save_record,
    time_text,
    transfer_lock,
    update_record,
)
from compete.leaderboard.retry import CLOCK, Clock, Log, retry
from compete.store import file_lock, make_folder

LONGEST_DAY = timedelta(days=2)  # whatever the time zone
NEWS = ("phase", "tried_at", "submitted_at", "scored_at", "reference", "public", "private", "reason")


def submit(
    uploader: Uploader, candidate: Candidate, text: str, *, log: Log, config: str = "", code: str = "",
    again: bool = False, clock: Clock = CLOCK,
) -> Record:  # fmt: skip
    """Make one submission; return its record, not yet scored, and still "sending" while the platform is at work.

    `text` is sent along, after the run's name and a marker by which the submission can be found. Raise `UserError` when
    one of these bytes is unfinished, or was made before, unless `again` is given.
    """
    with _competition_lock(uploader, candidate, log):
        left = check_before(uploader, candidate, log, again=again, clock=clock)
        marker = new_id()
        record = begin_record(
            candidate, time_text(clock.now()), id=marker, platform=uploader.platform, target=uploader.competition,
            message=make_message(candidate, marker, text), phase="sending", quota_before=left, config=config,
            code=code,
        )  # fmt: skip
        for other in load_records(candidate.records):
            if other.phase in {"sending", "creating"} and _target(other) == _target(record):
                _give_up(Job(uploader, candidate, other, log, clock))
        save_record(candidate, record)
        return send_and_create(Job(uploader, candidate, record, log, clock))


def resume(uploader: Uploader, candidate: Candidate, record: Record, *, log: Log, clock: Clock = CLOCK) -> Record:
    """Take an unfinished submission to where it has a number; one that has is returned as it is.

    While the platform is at work, it is returned as "sending".
    """
    if _target(record) != (uploader.platform, uploader.competition):
        raise UserError(
            f"{candidate.name}: its submission of {_format_time(record.begun_at)} is one to {record.platform}, "
            f"{record.target}, not to {uploader.platform}, {uploader.competition}. Name the TOML that has it: --config"
        )
    if record.phase not in {"sending", "creating"}:
        return record
    with _competition_lock(uploader, candidate, log):
        known = read_submissions(candidate.root, _warning(log))
        record = _newest(candidate, record, known)
        if record.phase in {"refused", "abandoned"}:
            why = f"was {record.phase}: {record.reason}"
            raise UserError(f"{candidate.name}: its submission of {_format_time(record.begun_at)} {why}")
        if record.phase not in {"sending", "creating"}:
            return record
        job = Job(uploader, candidate, record, log, clock)
        if record.phase == "sending":
            check_unchanged(job)
            # A copy of this folder on another machine may have been faster.
            if uploader.find is not None and (found := search(job, [0.0])):
                return job.update(phase="submitted", reference=found.reference, submitted_at=job.now, state={})
            job.update(quota_before=remaining(uploader, counted_times(known, uploader), log, clock))
        return send_and_create(job)


def check_before(
    uploader: Uploader, candidate: Candidate, log: Log, *, again: bool = False, clock: Clock = CLOCK
) -> int | None:
    """Raise `UserError` when this file should not be submitted now; return how many are left today, if known.

    With `again`, what speaks against it is only logged: the same bytes were submitted, or today's count is incomplete.
    """
    known = read_submissions(candidate.root, _warning(log))
    for problem in (repetition(candidate, uploader, known), _incomplete_count(candidate, uploader, clock.now())):
        if problem and not again:
            raise UserError(f"{problem} To go ahead all the same, add --again.")
        if problem:
            log(f"warning: {problem}")
    return remaining(uploader, counted_times(known, uploader), log, clock)


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


def repetition(candidate: Candidate, uploader: Uploader, known: Sequence[Submission]) -> str:
    """Return why a submission would be a repetition, or an empty string.

    One is when a submission of this candidate is unfinished, or when the same bytes were submitted, in this file or
    another.
    """
    digest, target = digest_file(candidate.file), (uploader.platform, uploader.competition)
    own = {record.id: record for record in load_records(candidate.records) if _target(record) == target}
    for record in own.values():
        if record.phase in UNFINISHED:
            return (
                f"a submission of {candidate.name} was begun at {_format_time(record.begun_at)} and is not finished "
                f"({record.phase}). Finish it with: {resume_command(candidate)}."
            )
    same = [record for record in own.values() if record.file_hash == digest]
    for record in same:
        if record.phase in {"scored", "unscored"}:
            return (
                f"{candidate.file} was submitted before, at {_format_time(record.counts_at)}{_format_score(record)}, "
                "and has not changed."
            )
    for item in known:
        record = item.record
        if record.id in own or record.file_hash != digest or _target(record) != target:
            continue
        if record.phase in {*UNFINISHED, "scored", "unscored"}:
            state = f"unfinished: {record.phase}" if record.phase in UNFINISHED else "submitted before"
            return (
                f"{candidate.file} has the same bytes as {item.name} ({state}, at {_format_time(record.counts_at)}"
                f"{_format_score(record)})."
            )
    return ""


def make_message(candidate: Candidate, marker: str, text: str) -> str:
    """Return what goes with a submission: the run, a marker to find it by, a text."""
    return f"{candidate.run} {marker} {text}".rstrip()


@contextmanager
def _competition_lock(uploader: Uploader, candidate: Candidate, log: Log) -> Iterator[None]:
    """Hold the file's folder and the competition: one run at a time is counted and sent."""
    name = re.sub(r"[^\w.-]+", "_", f"{uploader.platform}-{uploader.competition}")[:100]
    with transfer_lock(candidate.folder or candidate.file.parent):
        make_folder(candidate.root)
        waiting = f"another process submits to {uploader.platform}, {uploader.competition}; waiting for it"
        with file_lock(candidate.root / f".submit-{name}.lock", lambda: log(waiting)):
            yield


def _newest(candidate: Candidate, record: Record, known: Sequence[Submission]) -> Record:
    """Return a record as it is now, on disk too: this file, a copy of its folder or the journal may be ahead."""
    own = [item for item in load_records(candidate.records) if item.id == record.id]
    if not own:
        raise UserError(f"{candidate.records} no longer has the submission of {_format_time(record.begun_at)}.")
    ahead = furthest([*own, *(item.record for item in known if item.record.id == record.id)])
    if ahead.phase == own[0].phase:
        return own[0]
    news = {name: getattr(ahead, name) for name in NEWS}
    return update_record(candidate, own[0], **news)


def _give_up(job: Job) -> None:
    """End an unfinished submission for a new one; one that was made after all keeps its number, and gets its score."""
    if job.record.phase == "creating" and job.uploader.find is not None and (found := search(job, [0.0])):
        job.log(f"the unfinished submission was made: number {found.reference}")
        job.update(phase="submitted", reference=found.reference, submitted_at=job.now, state={})
    else:
        if job.record.phase == "creating":
            job.log(f"warning: whether the submission of {_format_time(job.record.begun_at)} was made is not known")
        job.update(phase="abandoned", reason="given up for a new one", state={})


def _incomplete_count(candidate: Candidate, uploader: Uploader, now: datetime) -> str:
    """Return why the submissions of today cannot be counted where the platform does not, or an empty string."""
    limits = uploader.limits
    if uploader.quota is not None or (limits.max_per_day is None and not limits.min_interval_minutes):
        return ""
    folder = candidate.root / candidate.competition
    since = journal_gap(folder)
    if not since or (since != "now" and datetime.fromisoformat(since) < now - LONGEST_DAY):
        return ""
    return (
        f"{folder / JOURNAL} was lost, so the submissions of today cannot be counted. Look at the page of "
        f"{uploader.competition} to see whether one is left."
    )


def _target(record: Record) -> tuple[str, str]:
    return record.platform, record.target


def _warning(log: Log) -> Callable[[str], None]:
    return lambda text: log(f"warning: {text}")


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
