"""What `compete submit` and `compete score` do around one candidate: check, submit, wait, report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from compete.errors import CompeteError, UserError
from compete.identity import digest_file
from compete.leaderboard.creating import LONGEST_POLL_SECONDS, resume_command, wait
from compete.leaderboard.history import read_submissions
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
from compete.leaderboard.setup import (
    as_code,
    check_candidate,
    check_code,
    cv_of,
    find_toml,
    open_uploader,
    remove_entry,
    scores_of,
)
from compete.leaderboard.submitting import check_before, make_message, resume, submit
from compete.submission.csv_file import count_rows

BY_HAND = "by hand"
Entry = tuple[Candidate, Uploader, str]


@dataclass(frozen=True)
class Request:
    """What the user asked for. `deadline_seconds` is None where nothing is waited for.

    `pack` writes a run's folder as one file, for an entry of code.
    """

    candidate: Candidate
    toml: Path | None
    note: str
    deadline_seconds: float | None
    log: Log
    pack: Callable[[Path], Path] | None = None


def submit_one(request: Request, *, again: bool = False, dry_run: bool = False) -> None:
    """Check a candidate's file and submit it, or the code of its run; or show what would be sent."""
    log, toml = request.log, find_toml(request.candidate, request.toml)
    with open_uploader(toml, request.candidate) as (candidate, config, uploader):
        for warning in check_candidate(config, candidate):
            log(f"warning: {warning}")
        _check_edits(candidate, log, again=again)
        text = f"{_cv_of(candidate)} {request.note}".strip()
        config_file = _config_of(toml, candidate)
        with _entry(request, candidate, uploader) as (entry, platform, code):
            if not dry_run:
                record = submit(platform, entry, text, log=log, config=config_file, code=code, again=again, clock=CLOCK)
                record = _until_made(request, entry, platform, record)
                left = "" if record.quota_before is None else f"; {record.quota_before - 1} left now"
                _finish(request, candidate, platform, record, left)
                return
            for line in _describe(entry, platform, make_message(entry, new_id(), text)):
                log(line)
            quota = check_before(platform, entry, log, again=again, clock=CLOCK)
            log(f"left now     {'unknown' if quota is None else quota}")
            log("dry run: nothing was sent; the same command without --dry-run sends it")


@contextmanager
def _entry(request: Request, candidate: Candidate, uploader: Uploader, code: str = "") -> Iterator[Entry]:
    """Open what is sent, where to, and the name of a code entry: the run's file, or its bundle.

    The bundle is removed in the end, unless it is needed to go on.
    """
    if not code and request.pack is None:
        yield candidate, uploader, ""
        return
    check_code(uploader, candidate)
    if not code and request.pack is not None and candidate.folder is not None:
        code = request.pack(candidate.folder).name
    entry, platform = as_code(uploader, candidate, code)
    try:
        yield entry, platform, code
    finally:
        if not any(r.code == code and r.phase in {"sending", "creating"} for r in load_records(entry.records)):
            remove_entry(entry.file)


def _until_made(request: Request, candidate: Candidate, uploader: Uploader, record: Record) -> Record:
    """Wait while the platform is at work on what was sent, then have the submission made; return its record.

    Whoever does not wait gets it back unfinished.
    """
    until = CLOCK.seconds() + (request.deadline_seconds or 0)
    pause, reported = 2.0, ""
    while record.phase == "sending":
        if record.reason != reported:
            request.log(record.reason)
        reported = record.reason
        if request.deadline_seconds is None:
            return record
        left = until - CLOCK.seconds()
        if left <= 0:
            raise PlatformError(
                f"nothing is submitted yet: after {request.deadline_seconds / 60:g} min, {record.reason}. "
                f"Go on later with: {resume_command(candidate)}"
            )
        CLOCK.pause(min(pause, left))
        pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
        record = resume(uploader, candidate, record, log=request.log, clock=CLOCK)
    return record


def resume_one(request: Request, *, only_scores: bool = False) -> None:
    """Finish the unfinished submissions of a candidate; without any, ask for scores that may have come since.

    With `only_scores`, those that have no number yet are left alone, so that nothing is sent.
    """
    records = load_records(request.candidate.records) or _adopt(request)
    unfinished = [r for r in records if r.phase in UNFINISHED and not (only_scores and r.phase != "submitted")]
    if not unfinished:
        unfinished = [replace(r, phase="submitted") for r in records if r.phase == "scored" and r.reference]
    if not unfinished:
        name = request.candidate.name
        if only_scores:
            raise UserError(f"{name}: no score to ask for. Enter it with: compete score {name} VALUE")
        raise UserError(f"{name}: no submission to finish. Submit with: compete submit {name}")
    failures: list[CompeteError] = []
    for record in unfinished:
        try:
            toml = find_toml(request.candidate, request.toml, record)
            code = record.code if record.phase in {"sending", "creating"} else ""
            with (
                open_uploader(toml, request.candidate) as (candidate, _, uploader),
                _entry(request, candidate, uploader, code) as (entry, platform, _),
            ):
                newest = resume(platform, entry, record, log=request.log, clock=CLOCK)
                _finish(request, candidate, platform, _until_made(request, entry, platform, newest))
        except CompeteError as error:  # the others may still be finished
            failures.append(error)
    for failure in failures[1:]:
        request.log(f"error: {failure}")
    if failures:
        raise failures[0]


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


def _adopt(request: Request) -> list[Record]:
    """Take over the records of a CSV file that was moved or renamed without them: they are known by its bytes."""
    candidate = request.candidate
    if candidate.folder is not None or not candidate.file.is_file():
        return []
    digest = digest_file(candidate.file)
    known = read_submissions(candidate.root, lambda warning: request.log(f"warning: {warning}"))
    found = [item.record for item in known if item.record.file_hash == digest and not Path(item.name).exists()]
    for record in found:
        save_record(candidate, record)
    return found


def _check_edits(candidate: Candidate, log: Log, *, again: bool) -> None:
    """Refuse a file that was changed after its run wrote it, unless asked for: the run's CV is not its own."""
    if not _edited(candidate):
        return
    problem = (
        f"{candidate.file} is not the file that the run wrote: it was changed since, and the run's CV is not its own."
    )
    if not again:
        raise UserError(
            f"{problem} Run `compete run` with its TOML again to write it anew, or add --again to submit it without CV."
        )
    log(f"warning: {problem}")


def _edited(candidate: Candidate) -> bool:
    scores = scores_of(candidate)
    written = scores.submission if scores is not None else None
    return written is not None and written.sha256 != digest_file(candidate.file)


def _cv_of(candidate: Candidate) -> str:
    """Describe the CV of what is submitted; a file that was changed after the run has none."""
    return "changed after the run" if candidate.file.is_file() and _edited(candidate) else cv_of(candidate)


def _config_of(toml: Path, candidate: Candidate) -> str:
    """Return the TOML as a record keeps it: nothing for the run's own, which moves along with it."""
    folder = candidate.folder
    return "" if folder is not None and toml.absolute().parent == folder.absolute() else str(toml.absolute())


def _describe(candidate: Candidate, uploader: Uploader, message: str) -> Iterator[str]:
    yield f"platform     {uploader.platform}, competition {uploader.competition}"
    yield f"file         {candidate.file}, {candidate.file.stat().st_size:,} bytes"
    if candidate.file.suffix == ".csv":
        yield f"rows         {count_rows(candidate.file):,}"
    yield f"SHA-256      {digest_file(candidate.file)}"
    yield f"message      {message}"


def _finish(request: Request, candidate: Candidate, uploader: Uploader, record: Record, left: str = "") -> None:
    """Wait for the score and report it."""
    if record.phase == "sending":
        request.log(f"nothing is submitted yet. Go on with: {resume_command(candidate)}")
        return
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
        yield " · ".join(part for part in (_cv_of(candidate), f"leaderboard {board or 'no score shown'}") if part)
        yield f"next: compete runs {candidate.competition}"
    elif record.phase == "unscored":
        yield f"when the score is known: compete score {candidate.name} VALUE"
    else:
        yield f"no score yet; ask for it with: compete submit {candidate.name} --resume"
