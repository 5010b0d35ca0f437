"""Records of submissions: plain JSON, safe for two processes; and what a name on the command line means."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compete.errors import UserError
from compete.leaderboard.records import begin_record, find_candidate, load_records, save_record, time_text
from fake_platform import FakePlatform, candidate, send_one  # noqa: F401


def make_run(root: Path, competition: str) -> Path:
    folder = root / competition / "run-001"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "submission.csv").write_text("id,label\n1,0\n")
    return folder


def test_records_are_plain_json_and_damage_is_reported(candidate):
    record = send_one(FakePlatform(), candidate)
    data = json.loads(candidate.records.read_text())
    assert data["submissions"][0]["message"] == record.message
    candidate.records.write_text("{}")
    with pytest.raises(UserError, match="is damaged"):
        load_records(candidate.records)
    candidate.records.write_text(json.dumps({**data, "format": 2}))
    with pytest.raises(UserError, match=r"another version of compete \(format 2, not 1\)"):
        load_records(candidate.records)


def test_a_run_is_found_by_its_name_and_by_its_folder(tmp_path):
    folder = make_run(tmp_path, "fish")
    assert find_candidate("run-001", tmp_path).folder == folder
    assert find_candidate("run-001", tmp_path) == find_candidate(str(folder), tmp_path)
    assert find_candidate(str(folder / "submission.csv"), tmp_path) == find_candidate("run-001", tmp_path)


def test_names_that_mean_nothing_or_too_much(tmp_path):
    make_run(tmp_path, "fish")
    with pytest.raises(UserError, match=r"is not a run folder: it has no run\.json"):
        find_candidate(str(tmp_path), tmp_path)
    with pytest.raises(UserError, match=r"'run-01' is not a run in .*Did you mean 'run-001'\?"):
        find_candidate("run-01", tmp_path)
    make_run(tmp_path, "birds")
    with pytest.raises(UserError, match=r"several runs are called 'run-001': write .*birds/run-001 or .*fish/run-001"):
        find_candidate("run-001", tmp_path)


def test_an_upload_address_is_private_and_not_used_once_others_could_read_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("id,label\n")
    candidate = replace(find_candidate("a.csv"), competition="fish")
    record = begin_record(
        candidate, time_text(), id="compete-1", platform="Fake", target="fish", message="m", phase="sending",
        state={"url": "https://store/secret-address"},
    )  # fmt: skip
    save_record(candidate, record)
    assert candidate.records.stat().st_mode & 0o777 == 0o600
    assert load_records(candidate.records) == [record]
    for mode in (0o640, 0o604, 0o620, 0o602):
        candidate.records.chmod(mode)
        assert load_records(candidate.records) == [replace(record, state={})]
    save_record(candidate, record)
    assert candidate.records.stat().st_mode & 0o777 == 0o600
    assert b"secret-address" not in Path("submissions/fish/submissions.jsonl").read_bytes()
