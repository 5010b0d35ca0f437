"""Every run and submission of every competition in one SQLite file, `submissions/ledger.sqlite`.

The run folders (and the records beside submitted CSV files) are the truth; the ledger is made from them and can be
made anew. Several processes may use it at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from compete.errors import CompeteError, UserError
from compete.leaderboard.records import (
    COUNTED,
    RECORDS_FILE,
    SUBMISSIONS,
    Candidate,
    run_folders,
)
from compete.leaderboard.rows import Row, read_run, stamp_of, submission_rows
from compete.store import make_folder

FILE = "ledger.sqlite"
VERSION = 1
BUSY_SECONDS = 30.0
MEMORY = Path(":memory:")
READ_ONLY = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")

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

FORGET = """
DELETE FROM runs WHERE competition = ?1 AND run = ?2
AND NOT EXISTS (SELECT 1 FROM submissions WHERE competition = ?1 AND run = ?2)
"""


class Ledger:
    """An open ledger. Use `open_ledger`. `trouble` says why it is not the file on the disk, if it is not."""

    def __init__(self, root: Path, connection: sqlite3.Connection, trouble: str = "") -> None:
        self.root = root
        self.trouble = trouble
        self._connection = connection

    def refresh(self) -> None:
        """Take in the runs that are new, or changed since the ledger saw them.

        A run whose folder is gone stays only while submissions of it are known.
        """
        stamps = {(row["competition"], row["run"]): row["stamp"] for row in self._rows("SELECT * FROM runs")}
        folders = list(run_folders(self.root))
        for folder in folders:
            if stamps.get((folder.parent.name, folder.name)) != stamp_of(folder):
                self.note_run(folder)
        for gone in stamps.keys() - {(folder.parent.name, folder.name) for folder in folders}:
            with self._writing():
                self._connection.execute(FORGET, gone)

    def note_run(self, folder: Path) -> None:
        """Take in a run folder: what the run is, its CV, its submissions."""
        with self._writing():
            self._put_folder(folder)

    def note_candidate(self, candidate: Candidate) -> None:
        """Take in what was submitted: of a run, or of a CSV file on its own."""
        if candidate.folder is not None and home_of(candidate) == self.root.absolute():
            self.note_run(candidate.folder)
            return
        with self._writing():
            self._put("submissions", SUBMISSION_COLUMNS, submission_rows(candidate.records, beside=True))

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
                    self._put("submissions", SUBMISSION_COLUMNS, submission_rows(records, beside=True))
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
        run, submissions = read_run(folder), submission_rows(folder / RECORDS_FILE)
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

    Where it cannot be written, one is made from the run folders for as long as it is open. Raise `UserError` for a
    damaged one, or one of another version; with `repair` it is moved aside instead.
    """
    make_folder(root)
    path = root / FILE
    with _explained(path):
        if repair and not _usable(path):
            _move_aside(path)
        writable = _writable(path)
        with closing(_connect(path if writable else MEMORY)) as connection:
            _prepare(path, connection)
            ledger = Ledger(root, connection, "" if writable else f"{path} cannot be written; it is left as it is.")
            if not writable:
                ledger.rebuild()
            yield ledger


def home_of(candidate: Candidate) -> Path | None:
    """Return the submissions folder that a run lies in; None for a CSV file, or a run that was moved elsewhere."""
    if candidate.folder is None:
        return None
    home = candidate.folder.absolute().parent.parent
    return home if home.name == SUBMISSIONS.name or (home / FILE).is_file() else None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise CompeteError(f"{path}: {error}. What was submitted is noted in the run folders all the same.") from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path} is damaged. Make it anew from the run folders: compete runs --rebuild") from error


def _writable(path: Path) -> bool:
    """Tell whether a ledger can be written, or made."""
    try:
        with closing(_connect(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")  # by itself no error where nothing can be written
            connection.execute("CREATE TABLE trial (x)")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(READ_ONLY):
            return False
        raise
    return True


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
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(READ_ONLY):
            return True
        raise
    except sqlite3.DatabaseError:
        return False


def _move_aside(path: Path) -> None:
    path.replace(path.with_name(f"{path.name}.damaged"))
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
