"""Every run and submission of every competition in one SQLite file, `submissions/ledger.sqlite`.

The run folders (and the records beside submitted CSV files) are the truth; the ledger is made from them and can be
made anew. Several processes may use it at once.
"""

from __future__ import annotations

import json
import sqlite3
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compete.errors import CompeteError, UserError
from compete.leaderboard.records import COUNTED, RECORDS_FILE, RUN_FILE, Candidate, load_records, run_folders
from compete.store import read_json

FILE = "ledger.sqlite"
VERSION = 1
BUSY_SECONDS = 30.0

RUN_COLUMNS = (
    "competition", "run", "created_at", "finished", "config_hash", "git_commit", "git_changed_files", "metric",
    "higher_is_better", "cv_mean", "cv_std", "cv_oof", "cv_folds", "run_file_hash", "final_picks", "stamp",
)  # fmt: skip
SUBMISSION_COLUMNS = (
    "id", "competition", "run", "beside", "platform", "target", "file", "file_hash", "message", "phase", "begun_at",
    "tried_at", "submitted_at", "scored_at", "reference", "public", "private", "reason", "quota_before",
)  # fmt: skip

SCHEMA = (
    f"CREATE TABLE runs ({', '.join(RUN_COLUMNS)}, PRIMARY KEY (competition, run))",
    f"CREATE TABLE submissions ({', '.join(SUBMISSION_COLUMNS)}, PRIMARY KEY (id))",
    f"PRAGMA user_version = {VERSION}",
)

Row = dict[str, Any]


class Ledger:
    """An open ledger. Use `open_ledger`."""

    def __init__(self, root: Path, connection: sqlite3.Connection) -> None:
        self.root = root
        self._connection = connection

    def refresh(self) -> None:
        """Take in the runs that are new, or changed since the ledger saw them."""
        stamps = {(row["competition"], row["run"]): row["stamp"] for row in self._rows("SELECT * FROM runs")}
        for folder in run_folders(self.root):
            if stamps.get((folder.parent.name, folder.name)) != _stamp(folder):
                self.note_run(folder)

    def note_run(self, folder: Path) -> None:
        """Take in a run folder: what the run is, its CV, its submissions."""
        with self._writing():
            self._put_folder(folder)

    def note_candidate(self, candidate: Candidate) -> None:
        """Take in what was submitted: of a run, or of a CSV file on its own."""
        if candidate.folder is not None:
            self.note_run(candidate.folder)
            return
        with self._writing():
            self._put("submissions", SUBMISSION_COLUMNS, _submissions(candidate.records, beside=True))

    def rebuild(self) -> int:
        """Make the ledger anew from the run folders and the records beside CSV files; return the number of runs."""
        beside = [Path(row["beside"]) for row in self._rows("SELECT DISTINCT beside FROM submissions")]
        folders = list(run_folders(self.root))
        with self._writing():
            self._connection.execute("DELETE FROM runs")
            self._connection.execute("DELETE FROM submissions")
            for folder in folders:
                self._put_folder(folder)
            for records in beside:
                if records.name and records.is_file():
                    self._put("submissions", SUBMISSION_COLUMNS, _submissions(records, beside=True))
        return len(folders)

    def runs(self, competition: str | None = None) -> list[Row]:
        """Return the runs of a competition, or of all."""
        return self._of("runs", competition, "created_at")

    def submissions(self, competition: str | None = None) -> list[Row]:
        """Return the submissions of a competition, or of all, oldest first."""
        return self._of("submissions", competition, "begun_at")

    def competitions(self) -> list[str]:
        """Return the names of all competitions."""
        rows = self._rows("SELECT competition FROM runs UNION SELECT competition FROM submissions ORDER BY 1")
        return [row["competition"] for row in rows]

    def times(self, platform: str, target: str) -> list[datetime]:
        """Return when submissions to a competition of a platform were made that count against its quota."""
        marks = ", ".join("?" * len(COUNTED))
        rows = self._rows(
            "SELECT COALESCE(submitted_at, tried_at, begun_at) AS time FROM submissions "
            f"WHERE platform = ? AND target = ? AND phase IN ({marks})",
            (platform, target, *COUNTED),
        )
        return [datetime.fromisoformat(row["time"]) for row in rows]

    def _of(self, table: str, competition: str | None, order: str) -> list[Row]:
        where, values = ("", ()) if competition is None else (" WHERE competition = ?", (competition,))
        return self._rows(f"SELECT * FROM {table}{where} ORDER BY {order}, run", values)

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Row]:
        return [dict(row) for row in self._connection.execute(query, values)]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        # IMMEDIATE: the folder is read while the lock is held, so that the last to write has seen the newest.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _put_folder(self, folder: Path) -> None:
        run, submissions = read_run(folder), _submissions(folder / RECORDS_FILE)
        for row in submissions:  # the folder may have been renamed since
            row.update(competition=run["competition"], run=run["run"])
        self._put("runs", RUN_COLUMNS, [run])
        self._put("submissions", SUBMISSION_COLUMNS, submissions)

    def _put(self, table: str, columns: tuple[str, ...], rows: list[Row]) -> None:
        marks = ", ".join("?" * len(columns))
        values = [tuple(row[name] for name in columns) for row in rows]
        self._connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", values)


@contextmanager
def open_ledger(root: Path, *, repair: bool = False) -> Iterator[Ledger]:
    """Open the ledger of a submissions folder; it is made where there is none.

    Raise `UserError` for a damaged one, or one of another version; with `repair` it is moved aside instead.
    """
    root.mkdir(parents=True, exist_ok=True)
    path = root / FILE
    with _explained(path):
        if repair and not _usable(path):
            _move_aside(path)
        with closing(_connect(path)) as connection:
            _prepare(path, connection)
            yield Ledger(root, connection)


def read_run(folder: Path) -> Row:
    """Return what the ledger keeps of a run folder."""
    state, scores = read_json(folder / RUN_FILE), read_json(folder / "scores.json")
    git = read_json(folder / "environment.json").get("git") or {}
    cv: Mapping[str, Any] = scores.get("cv") or {}
    created = state.get("created")
    return {
        "competition": folder.absolute().parent.name,
        "run": folder.absolute().name,
        "created_at": datetime.fromtimestamp(created, UTC).isoformat(timespec="seconds") if created else None,
        "finished": int(bool(state.get("finished"))),
        "config_hash": state.get("config"),
        "git_commit": git.get("commit"),
        "git_changed_files": git.get("changed_files"),
        "metric": scores.get("metric"),
        "higher_is_better": int(bool(scores.get("higher_is_better", True))),
        "cv_mean": cv.get("mean"),
        "cv_std": cv.get("std"),
        "cv_oof": cv.get("oof"),
        "cv_folds": json.dumps(cv.get("folds") or {}),
        "run_file_hash": (scores.get("submission") or {}).get("sha256"),
        "final_picks": _upload_table(folder).get("final_picks"),
        "stamp": _stamp(folder),
    }


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise CompeteError(f"{path}: {error}. What was submitted is noted in the run folders all the same.") from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path} is damaged. Make it anew from the run folders: compete runs --rebuild") from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    # With WAL, readers need not wait for a writer. The switch itself may find the file busy; both ways are safe.
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Make the tables, once, whoever comes first; refuse another version."""
    if _version(connection) == 0:
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) == 0:
            for statement in SCHEMA:
                connection.execute(statement)
        connection.execute("COMMIT")
    if _version(connection) != VERSION:
        raise UserError(
            f"{path} was written by another version of compete (schema {_version(connection)}, not {VERSION}). "
            "Make it anew from the run folders: compete runs --rebuild"
        )


def _usable(path: Path) -> bool:
    """Tell whether a ledger is whole and of this version; one that is not there yet is."""
    if not path.exists():
        return True
    try:
        with closing(_connect(path)) as connection:
            whole = connection.execute("PRAGMA quick_check").fetchone()[0] == "ok"
            return whole and _version(connection) in (0, VERSION)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False


def _move_aside(path: Path) -> None:
    path.replace(path.with_name(f"{path.name}.damaged"))
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _submissions(records: Path, *, beside: bool = False) -> list[Row]:
    place = str(records.absolute()) if beside else ""
    return [{**asdict(record), "beside": place} for record in load_records(records)]


def _upload_table(folder: Path) -> Row:
    try:
        table = tomllib.loads((folder / "config.toml").read_text("utf-8")).get("upload", {})
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _stamp(folder: Path) -> str:
    """Return a text that changes when the run's files do."""
    files = [folder / name for name in (RUN_FILE, "scores.json", RECORDS_FILE)]
    return " ".join(str(file.stat().st_mtime_ns) if file.is_file() else "-" for file in files)
