"""What the ledger keeps of a run folder and of its submissions, read from their files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compete.leaderboard.records import RECORDS_FILE, RUN_FILE, load_records
from compete.store import read_json

Row = dict[str, Any]


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
        "final_picks": upload_table(folder / "config.toml").get("final_picks"),
        "stamp": stamp_of(folder),
    }


def submission_rows(records: Path, *, beside: bool = False) -> list[Row]:
    """Return the submissions in a file of records; `beside` where it lies beside a CSV file, not in a run's place."""
    place = str(records.absolute()) if beside else ""
    return [{**asdict(record), "beside": place} for record in load_records(records)]


def upload_table(toml: Path) -> Row:
    """Return a TOML's `[upload]` table; empty where there is none."""
    try:
        table = tomllib.loads(toml.read_text("utf-8-sig")).get("upload", {})
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def stamp_of(folder: Path) -> str:
    """Return a text that changes when the run's files do."""
    files = [folder / name for name in (RUN_FILE, "scores.json", RECORDS_FILE)]
    return " ".join(str(file.stat().st_mtime_ns) if file.is_file() else "-" for file in files)
