"""Submissions on disk: what was submitted, and how far it got.

Each submission is a record in a file in its run's folder, or beside its CSV file; the file is rewritten atomically at
every step. The competition's `submissions.jsonl` gets a line as well: it also knows the submissions of CSV files, and
of run folders that were moved or deleted.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from compete.errors import RunBusyError, UserError
from compete.leaderboard.platform import State
from compete.store import (
    append_line,
    file_lock,
    folder_lock,
    is_private,
    make_folder,
    read_json,
    write_bytes,
    write_json,
)
from compete.text import did_you_mean
from compete.toml.read import read_table

FORMAT = 1
SUBMISSIONS = Path("submissions")
SUBMISSION_FILE = "submission.csv"
RUN_FILE = "run.json"
RECORDS_FILE = "uploads.json"
RECORDS_SUFFIX = ".uploads.json"  # after the name of a CSV file without a run
JOURNAL = "submissions.jsonl"
LOST = "lost"  # the first line of a journal that was begun again has the time
JOURNAL_LOCK = ".submissions.lock"  # not .lock: a CSV file in this folder is submitted while that is held

Phase = Literal["sending", "creating", "submitted", "unscored", "scored", "failed", "refused", "abandoned"]
# "unscored": submitted where no score comes back; `compete score` enters it.
UNFINISHED: tuple[Phase, ...] = ("sending", "creating", "submitted")
# What counts against a quota: made, or possibly made.
COUNTED: tuple[Phase, ...] = ("creating", "submitted", "unscored", "scored", "failed")
# Of two states of one submission, in a run folder and its copy or the journal, the later one here is true.
PROGRESS: tuple[Phase, ...] = (
    "sending", "creating", "abandoned", "refused", "submitted", "unscored", "failed", "scored",
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A file that can be submitted, of a run or on its own.

    `records` is the file of its submissions, `root` the submissions folder whose journal has them too. A CSV file has
    no `competition` until its TOML is read.
    """

    file: Path
    records: Path
    run: str
    competition: str
    root: Path
    folder: Path | None = None

    @property
    def name(self) -> str:
        """Its name in a command."""
        return str(self.folder or self.file)


@dataclass(frozen=True)
class Record:
    """One submission. Times are UTC, ISO 8601.

    `config` is the TOML that named the platform, empty for the run's own; `state` is the platform's own, dropped once
    it is submitted. `code` is the file name of a code entry's model. `home` is the inode of the folder in which it was
    begun, by which a copy of the folder is told.
    """

    id: str
    competition: str
    run: str
    platform: str
    target: str
    file: str
    file_hash: str
    message: str
    phase: Phase
    begun_at: str
    tried_at: str | None = None
    submitted_at: str | None = None
    scored_at: str | None = None
    reference: str = ""
    public: float | None = None
    private: float | None = None
    reason: str = ""
    quota_before: int | None = None
    config: str = ""
    code: str = ""
    home: int = 0
    state: State = field(default_factory=dict)

    @property
    def counts_at(self) -> str:
        """When it counts against a quota."""
        return self.submitted_at or self.tried_at or self.begun_at


_RECORD = TypeAdapter(Record)


def new_id() -> str:
    """Return a marker that finds one submission among all others of a competition."""
    return f"compete-{secrets.token_hex(5)}"


def time_text(now: datetime | None = None) -> str:
    """Return a time, by default the present, as records write it."""
    return (now or datetime.now(UTC)).isoformat(timespec="seconds")


def parse_record(row: object) -> Record:
    """Return a JSON object's record, without unknown keys. Raise `ValueError` for one that is damaged."""
    record = _RECORD.validate_python(row)
    for value in asdict(record).values():
        if isinstance(value, str):
            value.encode()  # half a surrogate pair could not be printed
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("a score is a finite number")
    for time in (record.begun_at, record.tried_at, record.submitted_at, record.scored_at):
        _check_time(time)
    return record


def load_records(path: Path) -> list[Record]:
    """Return the records of a file, oldest first. Raise `UserError` for a file that cannot be read."""
    if not path.exists():
        return []
    data = read_json(path)
    if data.get("format", FORMAT) != FORMAT:
        raise UserError(f"{path}: written by another version of compete (format {data['format']}, not {FORMAT}).")
    try:
        rows = data["submissions"]
        if not isinstance(rows, list):
            raise TypeError("submissions is not a list")
        records = [parse_record(row) for row in rows]
        # Where others could read an upload's address, they could send other bytes to it: it is not used again.
        return records if is_private(path) else [replace(record, state={}) for record in records]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} is damaged: what was submitted is unknown. Restore it, or move it away.") from error


def furthest(records: Iterable[Record]) -> Record:
    """Return the newest of several states of one submission; of equal ones, the first."""
    return max(records, key=lambda record: (PROGRESS.index(record.phase), record.scored_at or ""))


def inode(folder: Path) -> int:
    """Return what stays the same when a folder is renamed, and differs in a copy; 0 if unknown."""
    try:
        return folder.stat().st_ino
    except OSError:
        return 0


def begin_record(candidate: Candidate, now: str, **more: Any) -> Record:  # noqa: ANN401 - fields' values
    """Return a new record of a candidate's file, which is not saved yet."""
    from compete.identity import digest_file  # brings NumPy, which `compete runs` does without

    return Record(
        competition=candidate.competition, run=candidate.run, file=str(candidate.file),
        file_hash=digest_file(candidate.file), begun_at=now, home=inode(candidate.records.parent), **more,
    )  # fmt: skip


def save_record(candidate: Candidate, record: Record) -> None:
    """Add a record, or replace the one with its id, and append it to the competition's journal."""
    _save(candidate, record, lambda _: record)


def update_record(candidate: Candidate, record: Record, **changes: Any) -> Record:  # noqa: ANN401 - a field's value
    """Change a record as it is on the disk now, which another process may have changed since; return it."""
    return _save(candidate, record, lambda newest: replace(newest, **changes))


def journal_gap(folder: Path) -> str:
    """Return since when a competition's journal, which was lost, is written again: "now", a time, or "" if never."""
    journal = folder / JOURNAL
    if not journal.exists() or (journal.is_file() and not journal.stat().st_size):
        begun = (folder / JOURNAL_LOCK).exists() or any(folder.glob(f"*/{RECORDS_FILE}"))
        return "now" if begun else ""
    try:
        with journal.open("rb") as file:
            first = json.loads(file.readline(1000))
        _check_time(first[LOST])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ""
    return str(first[LOST])


def find_candidate(text: str, root: Path = SUBMISSIONS) -> Candidate:
    """Find the run's folder or name, or the CSV file, that a user named. Raise `UserError` with the nearest name."""
    path = Path(text)
    if path.suffix == ".toml":
        raise UserError(
            f"{path} is a TOML. Name a run that was made with it, or a CSV file. `compete runs` lists the runs."
        )
    if path.is_dir():
        if not (path / RUN_FILE).is_file():
            raise UserError(f"{path} is not a run folder: it has no {RUN_FILE}. `compete runs` lists the runs.")
        return of_folder(path)
    if path.name == SUBMISSION_FILE and (path.parent / RUN_FILE).is_file():
        return of_folder(path.parent)
    records = path.with_name(path.name + RECORDS_SUFFIX)
    if os.path.isfile(path) or os.path.isfile(records):  # noqa: PTH113 - false for a name that is too long
        return Candidate(path, records, path.name, "", SUBMISSIONS)
    return of_folder(_find_run(text, root))


def of_folder(folder: Path) -> Candidate:
    """Return the candidate of a run folder, in its place `submissions/<competition>/<run>` or elsewhere."""
    absolute = folder.absolute()
    root, competition = absolute.parent.parent, absolute.parent.name
    if root.name != SUBMISSIONS.name:
        competition = read_table(folder / "config.toml", "competition").get("name", competition)
    if root.name != SUBMISSIONS.name or root == SUBMISSIONS.absolute():
        root = SUBMISSIONS
    return Candidate(folder / SUBMISSION_FILE, folder / RECORDS_FILE, absolute.name, competition, root, folder)


def _find_run(name: str, root: Path) -> Path:
    folders = list(run_folders(root))
    found = [folder for folder in folders if folder.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"several runs are called '{name}': write {' or '.join(map(str, found))}.")
    hint = did_you_mean(name, [folder.name for folder in folders])
    raise UserError(f"'{name}' is not a run in {root}, a folder or a CSV file.{hint} `compete runs` lists the runs.")


def run_folders(root: Path) -> Iterator[Path]:
    """Yield every run folder of a submissions folder: two levels down, with a run.json."""
    yield from (file.parent for file in sorted(root.glob(f"[!.]*/*/{RUN_FILE}")) if file.is_file())


@contextmanager
def transfer_lock(folder: Path) -> Iterator[None]:
    """Hold a folder while files are sent from it or fetched into it: two processes would do it twice."""
    try:
        with folder_lock(folder):
            yield
    except RunBusyError as error:
        owner = str(error).partition(". ")[0]
        raise RunBusyError(f"{owner}. Wait for it, and repeat the command.") from error


def _save(candidate: Candidate, record: Record, change: Callable[[Record], Record]) -> Record:
    """Write what `change` makes of the record on the disk, or of this one if it is new there."""
    folder = candidate.root / record.competition
    make_folder(folder)
    gap = journal_gap(folder) == "now"
    with file_lock(folder / JOURNAL_LOCK):
        records = {item.id: item for item in load_records(candidate.records)}
        before = records.get(record.id)
        record = change(before or record)
        records[record.id] = record
        rows = [asdict(item) for item in records.values()]
        write_json(candidate.records, {"format": FORMAT, "submissions": rows}, private=True)
        if gap and journal_gap(folder) == "now":  # another process may have begun it meanwhile
            append_line(folder / JOURNAL, {LOST: time_text()})
        if before is None or replace(before, state={}) != replace(record, state={}):
            _append(folder / JOURNAL, candidate.records, replace(record, state={}))
    return record


def _append(journal: Path, records: Path, record: Record) -> None:
    """Append a line, never to the remains of one that was cut off."""
    if journal.is_file() and not (data := journal.read_bytes()).endswith(b"\n") and data:
        write_bytes(journal, data + b"\n")
    append_line(journal, {**asdict(record), "records": str(records.absolute())})


def _check_time(text: object) -> None:
    """Raise `ValueError` for what is not a time with its zone, or cannot be reckoned with."""
    if text is None:
        return
    time = datetime.fromisoformat(str(text))
    if time.tzinfo is None or not 2000 <= time.year <= 2999:
        raise ValueError(f"'{text}' is not a time of a submission")
