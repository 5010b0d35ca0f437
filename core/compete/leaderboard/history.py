"""Every run and submission of a submissions folder, read from its files; what cannot be read is reported, not fatal."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compete.errors import CompeteError
from compete.leaderboard.platform import Uploader
from compete.leaderboard.records import (
    COUNTED,
    JOURNAL,
    LOST,
    RECORDS_FILE,
    RECORDS_SUFFIX,
    RUN_FILE,
    Record,
    furthest,
    inode,
    journal_gap,
    load_records,
    parse_record,
    run_folders,
)
from compete.leaderboard.standings import UNKNOWN, MetricUsed, Standing
from compete.scores import SCORES_FILE, read_scores
from compete.store import read_json
from compete.toml.read import read_table

Warn = Callable[[str], None]
# Parsing 500 TOMLs would take longer than all the rest.
_METRIC_TABLE = re.compile(r"^\[metric\]$.*?(?=^\[|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Submission:
    """A record, and the file that has it or had it."""

    record: Record
    records: Path

    @property
    def name(self) -> str:
        """The run's folder or the CSV file, as a command takes it."""
        place = self.records.parent if self.records.name == RECORDS_FILE else self.records
        return str(place).removesuffix(RECORDS_SUFFIX)


def read_submissions(root: Path, warn: Warn) -> list[Submission]:
    """Return the newest state of every submission, oldest first.

    A run folder is right about its own, under whatever name; a journal knows those of CSV files and of runs elsewhere.
    A copy of a folder has none of its own: its submissions stay with the folder in which they were begun.
    """
    found = {item.record.id: item for journal in _journals(root, warn) for item in _read(journal, warn)}
    copies: dict[str, list[Submission]] = {}
    for folder in run_folders(root):
        try:
            records = load_records(folder / RECORDS_FILE)
        except CompeteError as error:
            warn(f"{error} Its entries in {JOURNAL} are used.")
            continue
        for record in records:
            copies.setdefault(record.id, []).append(Submission(record, folder / RECORDS_FILE))
    for marker, places in copies.items():
        owner = min(places, key=_strangeness) if len(places) > 1 else places[0]
        states = [owner.record, *(item.record for item in places)]
        newest = furthest([*states, found[marker].record] if marker in found else states)
        folder = owner.records.parent
        found[marker] = Submission(replace(newest, competition=folder.parent.name, run=folder.name), owner.records)
    return sorted(found.values(), key=lambda item: item.record.begun_at)


def _strangeness(item: Submission) -> tuple[bool, bool, float]:
    """Sort the folder in which a submission was begun before its copies."""
    folder, record = item.records.parent, item.record
    return inode(folder) != record.home, folder.name != record.run, (folder / RUN_FILE).stat().st_ctime


def _journals(root: Path, warn: Warn) -> Iterator[Path]:
    """Yield every competition's journal; report those that were lost."""
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        if journal_gap(folder) == "now":
            warn(
                f"{folder / JOURNAL} was lost: submissions of CSV files and of moved runs are unknown, as is how many "
                "were made today."
            )
        elif (folder / JOURNAL).exists():
            yield folder / JOURNAL


def counted_times(submissions: Sequence[Submission], uploader: Uploader) -> list[datetime]:
    """Return the times of the submissions that count against the quota of a platform's competition."""
    records = [item.record for item in submissions if item.record.phase in COUNTED]
    target = uploader.platform, uploader.competition
    return [datetime.fromisoformat(r.counts_at) for r in records if (r.platform, r.target) == target]


def read_run(folder: Path, warn: Warn) -> Standing:
    """Return a run as a row that is not submitted yet; without scores while it is unfinished."""
    state, git = read_json(folder / RUN_FILE), read_json(folder / "environment.json").get("git") or {}
    row = Standing(
        competition=folder.parent.name,
        run=folder.name,
        metric=metric_text(_metric_table(folder / "config.toml")),
        config_hash=state.get("config"),
        git_commit=git.get("commit"),
        git_changed_files=git.get("changed_files"),
        created_at=_time_of(state.get("created"), folder / RUN_FILE, warn),
    )
    if not (folder / SCORES_FILE).is_file():
        return row
    try:
        scores = read_scores(folder)
    except CompeteError as error:
        warn(str(error))
        return row
    return replace(
        row,
        metric=row.metric or scores.metric,
        higher_is_better=scores.higher_is_better,
        cv_mean=scores.cv.mean,
        cv_std=scores.cv.std,
        cv_oof=scores.cv.oof,
        cv_folds=dict(scores.cv.folds),
        file_hash=scores.submission.sha256 if scores.submission else "",
    )


def metrics_of(runs: Sequence[Standing], warn: Warn) -> Callable[[Record], MetricUsed]:
    """Return a function that tells the metric of a submission without a run: that of the TOML it was submitted with.

    Where that TOML is gone, it is the metric of the competition's runs, if they have only one.
    """
    known = {
        run.metric: MetricUsed(run.metric, run.higher_is_better) for run in runs if run.higher_is_better is not None
    }

    def metric_of(record: Record) -> MetricUsed:
        if not record.config or not Path(record.config).is_file():
            return next(iter(known.values())) if len(known) == 1 else UNKNOWN
        if record.config not in by_toml:
            wanted = metric_text(read_table(Path(record.config), "metric")) or ""
            same = [used for text, used in known.items() if set(wanted.split()) <= set((text or "").split())]
            by_toml[record.config] = same[0] if len(same) == 1 else _metric_of_toml(Path(record.config), warn)
        return by_toml[record.config]

    by_toml: dict[str, MetricUsed] = {}
    return metric_of


def metric_text(table: Mapping[str, Any]) -> str | None:
    """Return a table `[metric]` in words: "map_at_k k=5"; None for an empty one."""
    options = (f"{key}={value}" for key, value in table.items() if key != "name")
    return " ".join([str(table["name"]), *options]) if "name" in table else None


def _metric_table(toml: Path) -> dict[str, Any]:
    """Return the table `[metric]` of a run's TOML, which holds every option."""
    try:
        found = _METRIC_TABLE.search(toml.read_text("utf-8"))
        return dict(tomllib.loads(found[0])["metric"]) if found else {}
    except (OSError, ValueError):
        return {}


def _metric_of_toml(toml: Path, warn: Warn) -> MetricUsed:
    from compete.config.load import load_config  # takes seconds, so only where no run tells

    try:
        bound = load_config(toml).one("metrics")
        return MetricUsed(metric_text({"name": bound.name, **bound.options}), bound.build().higher_is_better)
    except CompeteError as error:
        warn(f"{toml}: the metric of what was submitted with it is not known: {error}")
        return UNKNOWN


def _time_of(seconds: object, file: Path, warn: Warn) -> str | None:
    """Return a time in ISO format, or None with a warning where a file's time is damaged."""
    try:
        return datetime.fromtimestamp(float(str(seconds)), UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        warn(f"{file}: cannot be read: created = {seconds!r} is not a time.")
        return None


def final_picks_of(folder: Path, runs: Sequence[Standing]) -> int | None:
    """Return how many submissions of a competition count in the end: the newest `[upload] final_picks`."""
    for run in sorted(runs, key=lambda run: run.created_at or "", reverse=True):
        toml = folder / run.run / "config.toml"
        # Parsing 500 TOMLs would take longer than all the rest.
        if toml.is_file() and b"final_picks" in toml.read_bytes():
            count = read_table(toml, "upload").get("final_picks")
            if count:
                return int(count)
    return None


def _read(journal: Path, warn: Warn) -> Iterator[Submission]:
    try:
        lines = journal.read_bytes().splitlines()
    except OSError as error:
        warn(f"{journal}: cannot be read: {error.strerror or error}. The submissions of CSV files may be missing.")
        return
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            if LOST in row:
                continue
            yield Submission(parse_record(row), Path(row["records"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            warn(f"{journal}:{number}: damaged line skipped.")
