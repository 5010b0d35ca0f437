"""The ledger: made from the run folders, shared by processes, made anew when it is gone."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from compete.errors import CompeteError, UserError
from compete.leaderboard.ledger import FILE, open_ledger
from compete.leaderboard.records import Record, find_candidate, new_id, save_record


def make_run(root: Path, name: str = "run-001", competition: str = "fish", **scores: object) -> Path:
    """Write a run folder as the runner does."""
    folder = root / competition / name
    folder.mkdir(parents=True)
    created = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    write = {
        "run.json": {"format": 1, "config": "c0ffee", "created": created, "finished": True},
        "environment.json": {"git": {"commit": "abc123", "changed_files": 2}},
        "scores.json": {
            "metric": "macro_f1",
            "higher_is_better": True,
            "cv": {"mean": 0.7, "std": 0.01, "oof": 0.71, "folds": {"fold0-seed42": 0.69, "fold1-seed42": 0.71}},
            "submission": {"sha256": "f11e"},
            **scores,
        },
    }
    for file, data in write.items():
        (folder / file).write_text(json.dumps(data))
    (folder / "config.toml").write_text('[upload]\nname = "kaggle"\nfinal_picks = 2\n')
    (folder / "submission.csv").write_text("id,label\n1,0\n")
    return folder


def make_record(**changes: object) -> Record:
    values = {
        "id": new_id(), "competition": "fish", "run": "run-001", "platform": "Kaggle", "target": "fish-2026",
        "file": "submission.csv", "file_hash": "f11e", "message": "m", "phase": "scored",
        "begun_at": "2026-03-01T10:00:00+00:00", "submitted_at": "2026-03-01T10:01:00+00:00", "reference": "7",
        "public": 0.69, "quota_before": 4,
    }  # fmt: skip
    return Record(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "submissions"


def test_a_run_and_its_submission_are_taken_in(root):
    folder = make_run(root)
    save_record(folder / "uploads.json", make_record())
    with open_ledger(root) as ledger:
        ledger.refresh()
        (run,), (submission,) = ledger.runs(), ledger.submissions()
    assert {**run, "stamp": ""} == {
        "competition": "fish", "run": "run-001", "created_at": "2026-03-01T00:00:00+00:00", "finished": 1,
        "config_hash": "c0ffee", "git_commit": "abc123", "git_changed_files": 2, "metric": "macro_f1",
        "higher_is_better": 1, "cv_mean": 0.7, "cv_std": 0.01, "cv_oof": 0.71,
        "cv_folds": '{"fold0-seed42": 0.69, "fold1-seed42": 0.71}', "run_file_hash": "f11e", "final_picks": 2,
        "stamp": "",
    }  # fmt: skip
    assert (submission["public"], submission["quota_before"], submission["reference"]) == (0.69, 4, "7")
    assert "state" not in submission


def test_a_refresh_sees_new_runs_and_changed_ones(root):
    folder = make_run(root)
    with open_ledger(root) as ledger:
        ledger.refresh()
        make_run(root, "run-002")
        save_record(folder / "uploads.json", make_record())
        ledger.refresh()
        assert [run["run"] for run in ledger.runs()] == ["run-001", "run-002"]
        assert len(ledger.submissions()) == 1


def test_a_run_under_way_is_listed_without_scores(root):
    folder = make_run(root)
    (folder / "scores.json").unlink()
    with open_ledger(root) as ledger:
        ledger.refresh()
        assert ledger.runs()[0]["cv_mean"] is None


def test_competitions_are_kept_apart(root):
    make_run(root)
    make_run(root, competition="birds")
    with open_ledger(root) as ledger:
        ledger.refresh()
        assert ledger.competitions() == ["birds", "fish"]
        assert [run["competition"] for run in ledger.runs("birds")] == ["birds"]


def test_a_rebuild_gives_the_same_rows_and_drops_what_is_gone(root, tmp_path):
    folder = make_run(root)
    gone = make_run(root, "run-002")
    save_record(folder / "uploads.json", make_record())
    csv = tmp_path / "blend.csv"
    csv.write_text("id,label\n1,0\n")
    candidate = find_candidate(str(csv))
    save_record(candidate.records, make_record(run="blend.csv"))
    with open_ledger(root) as ledger:
        ledger.refresh()
        ledger.note_candidate(candidate)
        before = ledger.runs(), ledger.submissions()
        for file in gone.iterdir():
            file.unlink()
        gone.rmdir()
        assert ledger.rebuild() == 1
        assert ledger.runs() == before[0][:1]
        assert ledger.submissions() == before[1]


def test_a_renamed_run_takes_its_submissions_along(root):
    folder = make_run(root)
    save_record(folder / "uploads.json", make_record())
    folder.rename(folder.with_name("best"))
    with open_ledger(root) as ledger:
        ledger.rebuild()
        assert [(row["competition"], row["run"]) for row in ledger.submissions()] == [("fish", "best")]


def test_a_rebuild_that_fails_changes_nothing(root):
    folder = make_run(root)
    save_record(folder / "uploads.json", make_record())
    with open_ledger(root) as ledger:
        ledger.refresh()
        (folder / "uploads.json").write_text("{")
        with pytest.raises(UserError, match="is damaged"):
            ledger.rebuild()
        assert len(ledger.runs()) == len(ledger.submissions()) == 1


def test_only_what_was_made_counts_against_a_quota(root):
    folder = make_run(root)
    for phase in ("scored", "failed", "unscored", "creating", "refused", "abandoned", "sending"):
        save_record(folder / "uploads.json", make_record(phase=phase))
    save_record(folder / "uploads.json", make_record(target="another"))
    with open_ledger(root) as ledger:
        ledger.refresh()
        assert ledger.times("Kaggle", "fish-2026") == [datetime(2026, 3, 1, 10, 1, tzinfo=UTC)] * 4


def test_a_damaged_ledger_is_told_and_made_anew(root):
    make_run(root)
    (root / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(UserError, match=r"ledger\.sqlite is damaged.*compete runs --rebuild"), open_ledger(root):
        pass
    with open_ledger(root, repair=True) as ledger:
        assert ledger.rebuild() == 1
    assert (root / f"{FILE}.damaged").read_bytes().startswith(b"no database")


def test_a_ledger_of_another_version_is_told_and_made_anew(root):
    make_run(root)
    root.mkdir(exist_ok=True)
    connection = sqlite3.connect(root / FILE)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UserError, match=r"another version of compete \(schema 99, not 1\)"), open_ledger(root):
        pass
    with open_ledger(root, repair=True) as ledger:
        assert ledger.rebuild() == 1


def test_a_whole_ledger_is_not_moved_aside(root):
    make_run(root)
    for _ in range(2):
        with open_ledger(root, repair=True) as ledger:
            ledger.refresh()
    assert not (root / f"{FILE}.damaged").exists()


def test_a_ledger_that_cannot_be_written_says_where_the_truth_is(root, monkeypatch):
    make_run(root)
    with open_ledger(root):
        pass
    monkeypatch.setattr("compete.leaderboard.ledger.BUSY_SECONDS", 0.05)
    other = sqlite3.connect(root / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    match = r"database is locked\. What was submitted is noted in the run folders"
    with pytest.raises(CompeteError, match=match), open_ledger(root) as ledger:
        ledger.refresh()
    other.close()


WRITER = """
import sys
from pathlib import Path
from compete.leaderboard.ledger import open_ledger
from compete.leaderboard.records import load_records, new_id, save_record
from dataclasses import replace
root, number = Path(sys.argv[1]), sys.argv[2]
shared = root / "fish/run-0/uploads.json"
for _ in range(15):
    save_record(shared, replace(load_records(shared)[0], id=new_id()))
    with open_ledger(root) as ledger:
        ledger.refresh()
        ledger.note_run(root / "fish" / f"run-{number}")
        assert ledger.rebuild() == 2
"""


def test_processes_may_write_at_once(root):
    for number in range(2):
        save_record(make_run(root, f"run-{number}") / "uploads.json", make_record())
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(root), str(number)], stderr=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    with open_ledger(root) as ledger:
        ledger.refresh()
        assert (len(ledger.runs()), len(ledger.submissions())) == (2, 2 + 30)  # no record was lost either
