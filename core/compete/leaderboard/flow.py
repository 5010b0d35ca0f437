"""What `compete submit` and `compete score` do around one candidate: check, submit, wait, report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from compete.errors import CompeteError, UserError
from compete.identity import digest_file
from compete.leaderboard.history import counted_times, read_submissions
from compete.leaderboard.platform import PlatformError, Uploader
from compete.leaderboard.records import (
    COUNTED,
    SUBMISSIONS,
    UNFINISHED,
    Candidate,
    Record,
    begin_record,
    find_candidate,
    load_records,
    new_id,
    save_record,
    time_text,
    update_record,
)
from compete.leaderboard.retry import CLOCK, Log
from compete.leaderboard.setup import check_candidate, cv_of, find_toml, open_uploader
from compete.leaderboard.submitting import make_message, refuse_repetition, remaining, resume, submit, wait
from compete.submission.csv_file import count_rows

BY_HAND = "by hand"


@dataclass(frozen=True)
class Request:
    """What the user asked for. `deadline_seconds` is None where the score is not waited for."""

    candidate: Candidate
    toml: Path | None
    note: str
    deadline_seconds: float | None
    log: Log


def submit_one(request: Request, *, again: bool = False, dry_run: bool = False) -> None:
    """Check a candidate's file and submit it, or show what would be sent."""
    log, toml = request.log, find_toml(request.candidate, request.toml)
    with open_uploader(toml, request.candidate) as (candidate, config, uploader):
        for warning in check_candidate(config, candidate):
            log(f"warning: {warning}")
        text = f"{cv_of(candidate)} {request.note}".strip()
        earlier = _earlier(request, uploader)
        if not dry_run:
            record = submit(
                uploader, candidate, text, log=log, config=str(toml), again=again, earlier=earlier, clock=CLOCK
            )
            left = "" if record.quota_before is None else f"; {record.quota_before - 1} left now"
            _finish(request, candidate, uploader, record, left)
            return
        for line in _describe(candidate, uploader, make_message(candidate, new_id(), text)):
            log(line)
        if not again:
            refuse_repetition(candidate, uploader)
        quota = remaining(uploader, earlier, log, CLOCK)
        log(f"left now     {'unknown' if quota is None else quota}")
        log("dry run: nothing was sent; the same command without --dry-run sends it")


def resume_one(request: Request) -> None:
    """Finish the unfinished submissions of a candidate; without any, ask for scores that may have come since."""
    records = load_records(request.candidate.records)
    unfinished = [record for record in records if record.phase in UNFINISHED]
    if not unfinished:
        unfinished = [replace(r, phase="submitted") for r in records if r.phase == "scored" and r.reference]
    if not unfinished:
        name = request.candidate.name
        raise UserError(f"{name}: no submission to finish. Submit with: compete submit {name}")
    for record in unfinished:
        toml = find_toml(request.candidate, request.toml, record)
        with open_uploader(toml, request.candidate) as (candidate, _, uploader):
            earlier = _earlier(request, uploader)
            record = resume(uploader, candidate, record, log=request.log, earlier=earlier, clock=CLOCK)
            _finish(request, candidate, uploader, record)


def resume_all(toml: Path | None, deadline_seconds: float | None, log: Log) -> None:
    """Finish every unfinished submission that is known."""
    known = read_submissions(SUBMISSIONS, lambda warning: log(f"warning: {warning}"))
    places = {item.name: item.records.is_file() for item in known if item.record.phase in UNFINISHED}
    if not places:
        log("no submission is unfinished")
    failed = []
    for name, there in places.items():
        log(f"{name}:")
        if not there:
            log("its records are gone. If it was moved, type: compete submit NEW_PLACE --resume")
            continue
        try:
            resume_one(Request(find_candidate(name), toml, "", deadline_seconds, log))
        except CompeteError as error:  # the others may still be finished
            log(f"error: {error}")
            failed.append(name)
    if failed:
        raise CompeteError(f"{len(failed)} of {len(places)} could not be finished: {', '.join(failed)}")


def enter_score(candidate: Candidate, public: float, private: float | None) -> Record:
    """Record a score that the user read on the platform, for the newest submission of a candidate."""
    for score in (public, private):
        if score is not None and not math.isfinite(score):
            raise UserError(f"{score}: a score is a finite number.")
    news = {"phase": "scored", "public": public, "scored_at": time_text()}
    if private is not None:
        news["private"] = private
    made = [record for record in load_records(candidate.records) if record.phase in COUNTED]
    if made:
        return update_record(candidate, made[-1], **news)
    if candidate.folder is None:
        raise UserError(
            f"{candidate.name}: no submission of this file is known. Submit it first: compete submit {candidate.name} "
            "--config competitions/<name>.toml"
        )
    if not candidate.file.is_file():
        raise UserError(f"{candidate.name}: no file that could have been submitted.")
    now = time_text()
    record = begin_record(
        candidate, now, id=new_id(), platform=BY_HAND, target="", message="", phase="scored", submitted_at=now,
        scored_at=now, public=public, private=private,
    )  # fmt: skip
    save_record(candidate, record)
    return record


def _earlier(request: Request, uploader: Uploader) -> list[datetime]:
    """Return when submissions were made that count against the platform's quota."""
    known = read_submissions(request.candidate.root, lambda warning: request.log(f"warning: {warning}"))
    return counted_times(known, uploader)


def _describe(candidate: Candidate, uploader: Uploader, message: str) -> Iterator[str]:
    yield f"platform     {uploader.platform}, competition {uploader.competition}"
    yield f"file         {candidate.file}, {candidate.file.stat().st_size:,} bytes"
    yield f"rows         {count_rows(candidate.file):,}"
    yield f"SHA-256      {digest_file(candidate.file)}"
    yield f"message      {message}"


def _finish(request: Request, candidate: Candidate, uploader: Uploader, record: Record, left: str = "") -> None:
    """Wait for the score and report it."""
    number = f", number {record.reference}" if record.reference else ""
    done = "submitted" if record.reference or uploader.status is not None else "recorded as submitted"
    request.log(f"{done} to {uploader.platform}, {uploader.competition}{number}{left}")
    if uploader.status is not None and request.deadline_seconds is not None:
        record = wait(uploader, candidate, record, request.deadline_seconds, log=request.log, clock=CLOCK)
    if record.phase == "failed":
        raise PlatformError(f"{uploader.platform} could not score submission {record.reference}: {record.reason}")
    for line in _outcome(candidate, record):
        request.log(line)


def _outcome(candidate: Candidate, record: Record) -> Iterator[str]:
    if record.phase == "scored":
        scores = {"public": record.public, "private": record.private}
        board = ", ".join(f"{name} {score:g}" for name, score in scores.items() if score is not None)
        yield " · ".join(part for part in (cv_of(candidate), f"leaderboard {board or 'no score shown'}") if part)
        yield f"next: compete runs {candidate.competition}"
    elif record.phase == "unscored":
        yield f"when the score is known: compete score {candidate.name} VALUE"
    else:
        yield f"no score yet; ask for it with: compete submit {candidate.name} --resume"
