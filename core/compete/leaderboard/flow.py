"""What `compete submit` and `compete score` do, around one candidate: check, submit, note in the ledger, show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from compete.errors import CompeteError, UserError
from compete.identity import digest_file
from compete.leaderboard.ledger import Ledger, open_ledger
from compete.leaderboard.platform import PlatformError, Uploader
from compete.leaderboard.records import (
    COUNTED,
    RECORDS_FILE,
    RECORDS_SUFFIX,
    SUBMISSIONS,
    UNFINISHED,
    Candidate,
    Record,
    find_candidate,
    load_records,
    new_id,
    save_record,
    time_text,
    update_record,
)
from compete.leaderboard.retry import CLOCK, Say
from compete.leaderboard.setup import (
    check_candidate,
    cv_of,
    describe,
    find_toml,
    open_uploader,
    root_of,
    with_competition,
)
from compete.leaderboard.submitting import make_message, refuse_repetition, remaining, resume, submit, wait

BY_HAND = "by hand"


@dataclass(frozen=True)
class Order:
    """What the user asked for. `deadline_seconds` is None where the score is not waited for."""

    candidate: Candidate
    toml: Path | None
    note: str
    deadline_seconds: float | None
    say: Say


def submit_one(order: Order, *, again: bool = False, dry_run: bool = False) -> None:
    """Check a candidate's file and submit it, or show what would be sent."""
    toml = find_toml(order.candidate, order.toml)
    with open_uploader(toml, order.candidate) as (config, uploader), open_ledger(root_of(order.candidate)) as ledger:
        candidate = with_competition(order.candidate, config)
        for warning in check_candidate(config, candidate):
            order.say(f"warning: {warning}")
        text = f"{cv_of(candidate)} {order.note}".strip()
        if ledger.trouble:
            order.say(f"warning: {ledger.trouble}")
        ledger.refresh()
        earlier = ledger.times(uploader.platform, uploader.competition)
        if dry_run:
            _rehearse(order, candidate, uploader, text, earlier, again)
            return
        try:
            record = submit(
                uploader,
                candidate,
                text,
                say=order.say,
                config=str(toml),
                again=again,
                earlier=earlier,
                clock=CLOCK,
            )
        finally:
            ledger.note_candidate(candidate)
        left = "" if record.quota_before is None else f"; {record.quota_before - 1} left now"
        _finish(order, candidate, uploader, record, ledger, left)


def resume_one(order: Order) -> None:
    """Finish the unfinished submissions of a candidate; without any, ask anew for scores that may have come since."""
    records = load_records(order.candidate.records)
    open_ones = [record for record in records if record.phase in UNFINISHED]
    if not open_ones:
        open_ones = [replace(r, phase="submitted") for r in records if r.phase == "scored" and r.reference]
    if not open_ones:
        raise UserError(
            f"{order.candidate.name}: there is no submission to finish. Submit with: compete submit "
            f"{order.candidate.name}"
        )
    for record in open_ones:
        toml = find_toml(order.candidate, order.toml, record)
        opened = open_uploader(toml, order.candidate)
        with opened as (config, uploader), open_ledger(root_of(order.candidate)) as ledger:
            candidate = with_competition(order.candidate, config)
            ledger.refresh()
            earlier = ledger.times(uploader.platform, uploader.competition)
            try:
                record = resume(uploader, candidate, record, say=order.say, earlier=earlier, clock=CLOCK)
            finally:
                ledger.note_candidate(candidate)
            _finish(order, candidate, uploader, record, ledger)


def resume_all(toml: Path | None, deadline_seconds: float | None, say: Say) -> None:
    """Finish every unfinished submission that the ledger knows."""
    with open_ledger(SUBMISSIONS) as ledger:
        ledger.refresh()
        rows = [row for row in ledger.submissions() if row["phase"] in UNFINISHED]
    if not rows:
        say("no submission is unfinished")
    names = list(dict.fromkeys(_name_of(row) for row in rows))
    failed = []
    for name in names:
        say(f"{name}:")
        try:
            resume_one(Order(find_candidate(name), toml, "", deadline_seconds, say))
        except CompeteError as error:  # the others may still be finished
            say(f"error: {error}")
            failed.append(name)
    if failed:
        raise CompeteError(f"{len(failed)} of {len(names)} could not be finished: {', '.join(failed)}")


def enter_score(candidate: Candidate, public: float, private: float | None) -> Record:
    """Note a score that the user read on the platform, for the newest submission of a candidate."""
    for score in (public, private):
        if score is not None and not math.isfinite(score):
            raise UserError(f"{score}: a score is a finite number.")
    news = {"phase": "scored", "public": public, "scored_at": time_text()}
    if private is not None:
        news["private"] = private
    made = [record for record in load_records(candidate.records) if record.phase in COUNTED]
    if made:
        return update_record(candidate.records, made[-1], **news)
    if candidate.folder is None:
        raise UserError(
            f"{candidate.name}: no submission of this file is noted. Submit it first: compete submit {candidate.name} "
            "--config competitions/<name>.toml"
        )
    if not candidate.file.is_file():
        raise UserError(f"{candidate.name}: there is no file that could have been submitted.")
    now = time_text()
    record = Record(
        id=new_id(), competition=candidate.competition, run=candidate.run, platform=BY_HAND, target="",
        file=str(candidate.file), file_hash=digest_file(candidate.file), message="", phase="scored", begun_at=now,
        submitted_at=now, scored_at=now, public=public, private=private,
    )  # fmt: skip
    save_record(candidate.records, record)
    return record


def _rehearse(
    order: Order, candidate: Candidate, uploader: Uploader, text: str, earlier: Sequence[datetime], again: bool
) -> None:
    for line in describe(candidate, uploader, make_message(candidate, new_id(), text)):
        order.say(line)
    if not again:
        refuse_repetition(candidate, uploader)
    left = remaining(uploader, earlier, order.say, CLOCK)
    order.say(f"left now     {'not known' if left is None else left}")
    order.say("dry run: nothing was sent; the same command without --dry-run sends it")


def _finish(
    order: Order, candidate: Candidate, uploader: Uploader, record: Record, ledger: Ledger, left: str = ""
) -> None:
    """Wait for the score, note it, and show what came of it."""
    number = f", number {record.reference}" if record.reference else ""
    done = "submitted" if record.reference or uploader.status is not None else "noted as submitted"
    order.say(f"{done} to {uploader.platform}, {uploader.competition}{number}{left}")
    if uploader.status is not None and order.deadline_seconds is not None:
        try:
            record = wait(uploader, candidate, record, order.deadline_seconds, say=order.say, clock=CLOCK)
        finally:
            ledger.note_candidate(candidate)
    if record.phase == "failed":
        raise PlatformError(f"{uploader.platform} could not score submission {record.reference}: {record.reason}")
    for line in _outcome(candidate, record):
        order.say(line)


def _outcome(candidate: Candidate, record: Record) -> Iterator[str]:
    scores = [
        f"{name} {score:g}"
        for name, score in (("public", record.public), ("private", record.private))
        if score is not None
    ]
    if record.phase == "scored":
        board = ", ".join(scores) or "no score shown"
        yield " · ".join(part for part in (cv_of(candidate), f"leaderboard {board}") if part)
        yield f"next: compete runs {candidate.competition}"
    elif record.phase == "unscored":
        yield f"when the score is known: compete score {candidate.name} VALUE"
    else:
        yield f"the score is not there yet; ask for it with: compete submit {candidate.name} --resume"


def _name_of(row: dict[str, object]) -> str:
    if row["beside"]:
        records = Path(str(row["beside"]))
        return str(records.parent if records.name == RECORDS_FILE else records).removesuffix(RECORDS_SUFFIX)
    return str(SUBMISSIONS / str(row["competition"]) / str(row["run"]))
