"""What was submitted, and how far it got: a list of records in the run folder, or beside a CSV file.

The list is the truth that the ledger is made from. It is rewritten as a whole, atomically, after every step.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from compete.errors import RunBusyError, UserError
from compete.leaderboard.platform import State
from compete.store import folder_lock, read_json, write_json
from compete.text import did_you_mean

FORMAT = 1
SUBMISSIONS = Path("submissions")
SUBMISSION_FILE = "submission.csv"
RUN_FILE = "run.json"
RECORDS_FILE = "uploads.json"
RECORDS_SUFFIX = ".uploads.json"  # after the name of a CSV file on its own

Phase = Literal["sending", "creating", "submitted", "unscored", "scored", "failed", "refused", "abandoned"]
# "unscored": submitted where no score comes back; `compete score` enters it.
UNFINISHED: tuple[Phase, ...] = ("sending", "creating", "submitted")
# What counts against a quota: made, or possibly made.
COUNTED: tuple[Phase, ...] = ("creating", "submitted", "unscored", "scored", "failed")


@dataclass(frozen=True)
class Candidate:
    """A file that can be submitted: of a run, or on its own. `records` is where its submissions are noted."""

    file: Path
    records: Path
    run: str
    competition: str
    folder: Path | None = None

    @property
    def name(self) -> str:
        """What to call it in a command."""
        return str(self.folder or self.file)


@dataclass(frozen=True)
class Record:
    """One submission. Times are UTC, ISO 8601.

    `config` is the TOML that named the platform; `state` is the platform's own, dropped once it is submitted.
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
    state: State = field(default_factory=dict)

    @property
    def counts_at(self) -> str:
        """When it counts against a quota."""
        return self.submitted_at or self.tried_at or self.begun_at


def new_id() -> str:
    """Return a marker that finds one submission among all others of a competition."""
    return f"compete-{secrets.token_hex(5)}"


def time_text(now: datetime | None = None) -> str:
    """Return a time, or this moment, as records write it."""
    return (now or datetime.now(UTC)).isoformat(timespec="seconds")


def shown_time(text: str) -> str:
    """Return a record's time for people."""
    return f"{text[:16].replace('T', ' ')} UTC"


def load_records(path: Path) -> list[Record]:
    """Return the records, oldest first. Raise `UserError` for a file that cannot be read."""
    if not path.exists():
        return []
    data = read_json(path)
    known = {item.name for item in fields(Record)}
    try:
        if data["format"] != FORMAT:
            raise UserError(f"{path}: written by another version of compete (format {data['format']}, not {FORMAT}).")
        return [Record(**{k: v for k, v in row.items() if k in known}) for row in data["submissions"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is damaged. Without it, nobody knows what was submitted; move it away.") from error


def save_record(path: Path, record: Record) -> None:
    """Add a record, or put it in the place of the one with its id."""
    with _for_a_moment(path.parent):
        records = load_records(path)
        places = [number for number, other in enumerate(records) if other.id == record.id]
        if places:
            records[places[0]] = record
        else:
            records.append(record)
        write_json(path, {"format": FORMAT, "submissions": [asdict(item) for item in records]})


def update_record(path: Path, record: Record, **changes: Any) -> Record:  # noqa: ANN401 - a field's value
    """Save a record with changes, and return it."""
    record = replace(record, **changes)
    save_record(path, record)
    return record


def find_candidate(text: str, root: Path = SUBMISSIONS) -> Candidate:
    """Find what the user means: a run's folder or name, or a CSV file. Raise `UserError` with the nearest name."""
    path = Path(text)
    if path.suffix == ".toml":
        raise UserError(
            f"{path} is a TOML. Name a run that was made with it, or a CSV file. `compete runs` lists the runs."
        )
    if path.is_dir():
        if not (path / RUN_FILE).is_file():
            raise UserError(f"{path} is no run folder: it has no {RUN_FILE}. `compete runs` lists the runs.")
        return of_folder(path)
    if path.is_file():
        if path.name == SUBMISSION_FILE and (path.parent / RUN_FILE).is_file():
            return of_folder(path.parent)
        return Candidate(path, path.with_name(path.name + RECORDS_SUFFIX), path.name, "")
    return of_folder(find_run(text, root))


def of_folder(folder: Path) -> Candidate:
    """Return the candidate of a run folder, `submissions/<competition>/<run>`."""
    absolute = folder.absolute()
    file = folder / SUBMISSION_FILE
    return Candidate(file, folder / RECORDS_FILE, absolute.name, absolute.parent.name, folder)


def find_run(name: str, root: Path) -> Path:
    """Return the folder of a run by its name."""
    folders = list(run_folders(root))
    found = [folder for folder in folders if folder.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        listed = " or ".join(str(folder) for folder in found)
        raise UserError(f"there are several runs called '{name}': write {listed}.")
    hint = did_you_mean(name, [folder.name for folder in folders])
    raise UserError(f"'{name}' is no run in {root}, no folder and no CSV file.{hint} `compete runs` lists the runs.")


def run_folders(root: Path) -> Iterator[Path]:
    """Yield every run folder below `submissions/`: two levels down, with a run.json."""
    for competition in sorted(root.iterdir()) if root.is_dir() else ():
        if competition.is_dir() and not competition.name.startswith("."):
            for folder in sorted(competition.iterdir()):
                if (folder / RUN_FILE).is_file():
                    yield folder


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder while files are sent from it or fetched into it: two processes would do it twice."""
    try:
        with folder_lock(folder):
            yield
    except RunBusyError as error:
        owner = str(error).partition(". ")[0]
        raise RunBusyError(f"{owner}. Wait for it, and repeat the command.") from error


@contextmanager
def _for_a_moment(folder: Path) -> Iterator[None]:
    """Hold a folder for the moment of a read and write, so that no other process's record is lost."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
