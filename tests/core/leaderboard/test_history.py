"""Runs and submissions read from their files: the run folders, and the journal for what these do not know."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

import pytest

from compete.leaderboard.history import (
    Submission,
    counted_times,
    final_picks_of,
    metrics_of,
    read_run,
    read_submissions,
)
from compete.leaderboard.records import Record, find_candidate, load_records, new_id, save_record
from compete.leaderboard.standings import Standing
from compete.scores import write_scores
from fake_platform import FakePlatform
from scores_fixtures import make_scores


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("submissions")


def make_run(root: Path, name: str = "run-001", competition: str = "fish", picks: int = 2) -> Path:
    """Write a run folder as the runner does."""
    folder = root / competition / name
    folder.mkdir(parents=True)
    created = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    (folder / "run.json").write_text(json.dumps({"format": 1, "config": "c0ffee", "created": created}))
    (folder / "environment.json").write_text(json.dumps({"git": {"commit": "abc123", "changed_files": 2}}))
    write_scores(folder, make_scores(run=name, competition=competition))
    upload = f"final_picks = {picks}\n" if picks else ""
    (folder / "config.toml").write_text(f'[competition]\nname = "{competition}"\n[upload]\nname = "kaggle"\n{upload}')
    (folder / "submission.csv").write_text("id,label\n1,0\n")
    return folder


def make_record(**changes: object) -> Record:
    values = {
        "id": new_id(), "competition": "fish", "run": "run-001", "platform": "Fake", "target": "fish",
        "file": "submission.csv", "file_hash": "f11e", "message": "m", "phase": "scored",
        "begun_at": "2026-03-01T10:00:00+00:00", "submitted_at": "2026-03-01T10:01:00+00:00", "reference": "7",
        "public": 0.69, "quota_before": 4,
    }  # fmt: skip
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def save(place: Path, **changes: object) -> Record:
    record = make_record(**changes)
    save_record(find_candidate(str(place)), record)
    return record


def refuse(warning: str) -> None:
    pytest.fail(warning)


def all_of(root: Path) -> list[Submission]:
    return read_submissions(root, refuse)


def test_a_run_has_its_scores_and_its_origin(root):
    run = read_run(make_run(root), refuse)
    assert (run.competition, run.run, run.created_at) == ("fish", "run-001", "2026-03-01T00:00:00+00:00")
    assert (run.config_hash, run.git_commit, run.git_changed_files) == ("c0ffee", "abc123", 2)
    assert (run.metric, run.higher_is_better, run.cv_mean, run.cv_std) == ("macro_f1", True, 0.6, 0.0141)
    assert (run.cv_oof, run.cv_folds) == (0.6051, {"fold0-seed0": 0.61, "fold1-seed0": 0.59})
    assert (run.file_hash, run.phase, run.public) == ("ab12", "", None)


def test_a_run_without_scores_is_unfinished_and_one_with_damaged_scores_is_reported(root):
    folder = make_run(root)
    (folder / "scores.json").write_text("{")
    warnings: list[str] = []
    assert read_run(folder, warnings.append).cv_mean is None
    assert len(warnings) == 1 and warnings[0].startswith(f"cannot read {folder}/scores.json: it is damaged")
    (folder / "scores.json").unlink()
    assert read_run(folder, refuse).cv_mean is None


def test_the_newest_state_of_each_submission_counts(root):
    folder = make_run(root)
    csv = root.parent / "blend.csv"
    csv.write_text("id,label\n1,0\n")
    in_run = save(folder, phase="submitted")
    alone = save(csv, run="blend.csv", begun_at="2026-03-01T11:00:00+00:00", phase="submitted")
    save(folder, **{**vars(in_run), "phase": "scored"})
    save(csv, **{**vars(alone), "phase": "failed"})
    found = all_of(root)
    assert [(item.record.run, item.record.phase) for item in found] == [("run-001", "scored"), ("blend.csv", "failed")]
    assert [item.name for item in found] == ["submissions/fish/run-001", str(csv.absolute())]


def test_progress_of_an_upload_is_not_journaled(root):
    folder = make_run(root)
    record = save(folder, phase="sending")
    save(folder, **{**vars(record), "state": {"at": 1}})
    save(folder, **{**vars(record), "phase": "creating"})
    lines = (root / "fish/submissions.jsonl").read_text().splitlines()
    assert [json.loads(line)["phase"] for line in lines] == ["sending", "creating"]


def test_a_renamed_run_takes_its_submissions_along(root):
    folder = make_run(root)
    save(folder)
    folder.rename(folder.with_name("best"))
    assert [(item.record.run, item.name) for item in all_of(root)] == [("best", "submissions/fish/best")]


def test_submissions_of_a_deleted_run_still_count(root):
    folder = make_run(root)
    save(folder)
    rmtree(folder)
    assert len(counted_times(all_of(root), FakePlatform().uploader())) == 1


def test_only_what_was_made_counts_against_a_quota(root):
    folder = make_run(root)
    for phase in ("scored", "failed", "unscored", "creating", "refused", "abandoned", "sending"):
        save(folder, phase=phase)
    save(folder, target="another")
    times = counted_times(all_of(root), FakePlatform().uploader())
    assert times == [datetime(2026, 3, 1, 10, 1, tzinfo=UTC)] * 4


def test_a_damaged_line_is_reported_and_skipped(root):
    save(make_run(root))
    journal = root / "fish/submissions.jsonl"
    whole = journal.read_bytes()
    for damage in (
        b"no JSON",
        b"[1]",
        b'{"id": "x"}',
        b"\xff",
        whole.replace(b"2026-03-01T10:01", b"yesterday").strip(),
    ):
        journal.write_bytes(whole + damage + b"\n" + whole)
        warnings: list[str] = []
        rmtree(root / "fish/run-001", ignore_errors=True)
        assert len(read_submissions(root, warnings.append)) == 1
        assert warnings == ["submissions/fish/submissions.jsonl:2: damaged line skipped."]


def test_a_line_that_was_cut_off_spoils_no_other(root):
    folder = make_run(root)
    save(folder)
    journal = root / "fish/submissions.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    save(folder)
    rmtree(folder)
    warnings: list[str] = []
    assert len(read_submissions(root, warnings.append)) == 1
    assert warnings == ["submissions/fish/submissions.jsonl:1: damaged line skipped."]


def test_damaged_records_of_one_run_do_not_hide_others(root):
    folder = make_run(root)
    save(folder)
    save(make_run(root, "run-002"), run="run-002")
    (folder / "uploads.json").write_text("{")
    warnings: list[str] = []
    found = read_submissions(root, warnings.append)
    assert sorted(item.record.run for item in found) == ["run-001", "run-002"]
    assert len(warnings) == 1 and warnings[0].startswith(f"{folder}/uploads.json is damaged:")


def test_a_journal_that_cannot_be_read_is_reported(root):
    make_run(root)
    (root / "fish/submissions.jsonl").mkdir()
    warnings: list[str] = []
    assert read_submissions(root, warnings.append) == []
    assert warnings[0].startswith("submissions/fish/submissions.jsonl: cannot be read: Is a directory.")


def test_final_picks_are_those_of_the_newest_run_that_sets_them(root):
    for day, picks in ((1, 2), (2, 1), (3, 0)):
        folder = make_run(root, f"run-{day}", picks=picks)
        created = datetime(2026, 3, day, tzinfo=UTC).timestamp()
        (folder / "run.json").write_text(json.dumps({"created": created}))
    runs = [read_run(folder, refuse) for folder in (root / "fish").iterdir()]
    assert final_picks_of(root / "fish", runs) == 1
    assert final_picks_of(root / "fish", [run for run in runs if run.run == "run-3"]) is None


def write_toml(path: Path, metric: str) -> str:
    path.write_text(f'[competition]\nname = "fish"\nroot = "."\n[dataset]\nname = "csv"\n[metric]\n{metric}\n')
    return str(path)


def test_a_metric_is_known_with_its_options(root):
    folder = make_run(root)
    (folder / "config.toml").write_text('[metric]\nname = "map_at_k"\nk = 5\n\n[checks]\nk = 1\n')
    assert read_run(folder, refuse).metric == "map_at_k k=5"
    (folder / "scores.json").unlink()
    assert read_run(folder, refuse).metric == "map_at_k k=5"  # an unfinished run stands among its like


def test_a_csv_file_has_the_metric_of_its_toml(root, tiny):
    tiny_toml = tiny / "tiny.toml"
    five = Standing("fish", "a", metric="map_at_k k=5", higher_is_better=True, cv_mean=0.5)
    three = Standing("fish", "b", metric="map_at_k k=3", higher_is_better=True, cv_mean=0.5)
    minimal = write_toml(Path("other.toml"), 'name = "map_at_k"\nk = 3')
    known = metrics_of([five, three], refuse)
    assert known(make_record(config=minimal)) == ("map_at_k k=3", True)  # no plugin is loaded for that
    text = tiny_toml.read_text().replace('name = "macro_f1"', 'name = "error"')
    assert 'name = "error"' in text
    tiny_toml.write_text(text)
    assert known(make_record(config=str(tiny_toml))) == ("error", False)
    assert known(make_record(config="gone.toml")) == (None, None)  # two metrics: neither is guessed
    assert metrics_of([five], refuse)(make_record(config="gone.toml")) == ("map_at_k k=5", True)
    warnings: list[str] = []
    broken = write_toml(Path("broken.toml"), 'name = "eror"')
    assert metrics_of([], warnings.append)(make_record(config=broken)) == (None, None)
    assert "broken.toml: the metric of what was submitted with it is not known" in warnings[0]


WRITER = """
import sys
from dataclasses import replace
from compete.leaderboard.records import find_candidate, load_records, new_id, save_record
shared, own = find_candidate("run-0"), find_candidate(sys.argv[1])
for number in range(15):
    for candidate in (shared, own):
        save_record(candidate, replace(load_records(candidate.records)[0], id=new_id(), run=candidate.run))
"""


def test_processes_may_write_at_once(root):
    for name in ("run-0", "run-1", "run-2"):
        save(make_run(root, name), run=name)
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, f"run-{number}"], stderr=subprocess.PIPE, text=True)
        for number in (1, 2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert len(load_records(root / "fish/run-0/uploads.json")) == 31
    from_folders = all_of(root)
    for number in range(3):
        rmtree(root / f"fish/run-{number}")
    assert [item.record for item in all_of(root)] == [item.record for item in from_folders]  # the journal has them all
    assert len(from_folders) == 3 + 60


@pytest.mark.parametrize("created", ["yesterday", 1e30, None])
def test_a_damaged_time_of_a_run_hides_nothing(root, created):
    state = json.dumps({"format": 1, "config": "c0ffee", "created": created})
    (make_run(root) / "run.json").write_text(state)
    warnings: list[str] = []
    run = read_run(root / "fish/run-001", warnings.append)
    assert run.created_at is None and run.cv_mean is not None
    assert warnings == [f"submissions/fish/run-001/run.json: cannot be read: created = {created!r} is not a time."]
