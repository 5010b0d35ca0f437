"""A submission belongs to one file: two at once, the same bytes twice, edits, folders that were copied or moved."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from compete.leaderboard import submitting
from compete.leaderboard.records import load_records
from submit_fixtures import compete, make_run, no_pauses, server, start, write_predictions  # noqa: F401

MANUAL = '{name="manual", competition="mask", '


def phases(folder: Path) -> list[str]:
    return [record.phase for record in load_records(folder / "uploads.json")]


def with_upload(tiny: Path, upload: str = 'name = "kaggle"\ncompetition = "digits"') -> str:
    (tiny / "mine.toml").write_text((tiny / "tiny.toml").read_text() + f"\n[upload]\n{upload}\n")
    return "mine.toml"


def test_resume_beside_a_running_submit_sends_nothing_again(tiny, server, compete):
    folder = make_run(tiny)
    server.fail("CreateSubmission", "stall")
    first = start("submit", "run-001", "--no-wait")
    assert server.stalled.wait(60)
    assert phases(folder) == ["creating"]
    code, _, err = compete("submit", "run-001", "--resume")
    assert code == 1 and f"is in use by process {first.pid}" in err
    first.kill()
    first.communicate()
    assert server.submissions == [] and server.log.count("PUT") == 1


def test_resume_decides_by_what_the_records_say_once_it_holds_the_run(tiny, server, compete, monkeypatch):
    """The first process submits between the moment when the second reads the records and when it holds the run."""
    make_run(tiny)
    server.fail("PUT", "stall")
    killed = start("submit", "run-001")
    assert server.stalled.wait(60)
    killed.kill()
    killed.communicate()
    held = submitting.transfer_lock

    def slow(folder):
        monkeypatch.setattr(submitting, "transfer_lock", held)
        first = start("submit", "run-001", "--resume", "--no-wait")
        assert first.communicate(timeout=60)[1] == "" and first.returncode == 0
        return held(folder)

    monkeypatch.setattr(submitting, "transfer_lock", slow)
    code, out, err = compete("submit", "run-001", "--resume")
    assert code == 0, err
    assert "submitted to Kaggle, digits, number 101" in out and len(server.submissions) == 1


def test_two_runs_at_once_are_counted_one_after_the_other(tiny, server, compete):
    folders = [make_run(tiny, name) for name in ("run-001", "run-002")]
    server.fail("PUT", "stall")
    first = start("submit", "run-001", "--no-wait")
    assert server.stalled.wait(60)
    second = start("submit", "run-002", "--no-wait")
    assert second.stdout.readline() == "another process submits to Kaggle, digits; waiting for it\n"
    assert server.log.count("StartSubmissionUpload") == 1
    first.kill()
    first.communicate()
    out, err = second.communicate(timeout=60)
    assert (second.returncode, err) == (0, "") and "number 101; 1 left now" in out
    assert [phases(folder) for folder in folders] == [["sending"], ["submitted"]]


@pytest.mark.parametrize("rule", ["max_per_day=1}", "min_interval_minutes=60}"])
def test_the_toml_s_rules_hold_for_runs_submitted_at_once(tiny, compete, rule):
    names = [f"run-00{number}" for number in range(1, 4)]
    folders = [make_run(tiny, name, MANUAL + rule) for name in names]
    started = [start("submit", name) for name in names]
    ended = [(process.communicate(timeout=100), process.returncode) for process in started]
    assert sorted(code for _, code in ended) == [0, 2, 2], ended
    assert sorted(phases(folder) for folder in folders) == [[], [], ["unscored"]]


def test_the_same_bytes_under_another_name_are_refused(tiny, server, compete):
    folder = make_run(tiny)
    assert compete("submit", "run-001")[0] == 0
    shutil.copyfile(folder / "submission.csv", tiny / "best.csv")
    copy = make_run(tiny, "run-101")
    shutil.copyfile(folder / "submission.csv", copy / "submission.csv")
    scores = json.loads((folder / "scores.json").read_text())
    (copy / "scores.json").write_text(json.dumps({**scores, "run": "run-101"}))
    for words in (["best.csv", "--config", with_upload(tiny)], ["run-101"], ["run-101", "--dry-run"]):
        code, _, err = compete("submit", *words)
        assert code == 2 and "has the same bytes as submissions/tiny/run-001 (submitted before, at 20" in err
        assert "(number 101, score 0.8125)). To go ahead all the same, add --again." in err
    code, out, _ = compete("submit", "run-101", "--again")
    assert code == 0 and "warning: submissions/tiny/run-101/submission.csv has the same bytes as" in out
    assert len(server.submissions) == 2


def test_a_file_edited_after_the_run_is_refused_and_never_gets_its_cv(tiny, server, compete):
    folder = make_run(tiny)
    write_predictions(tiny, folder / "submission.csv", number=2)
    for more in ([], ["--dry-run"]):
        code, _, err = compete("submit", "run-001", *more)
        assert code == 2 and "is not the file that the run wrote: it was changed since" in err
        assert "add --again to submit it without CV" in err
    assert server.log.count("StartSubmissionUpload") == 0
    code, out, _ = compete("submit", "run-001", "--again")
    assert code == 0 and "warning: submissions/tiny/run-001/submission.csv is not the file" in out
    assert server.submissions[0]["description"].endswith("changed after the run")
    assert "changed after the run · leaderboard public 0.8125" in out and "0.73" not in out


def test_again_keeps_the_submission_that_has_a_number(tiny, server, compete):
    folder = make_run(tiny)
    assert compete("submit", "run-001", "--no-wait")[0] == 0
    server.verdict = {**server.verdict, "publicScore": "0.5"}
    assert compete("submit", "run-001", "--again", "--no-wait")[0] == 0
    assert phases(folder) == ["submitted", "submitted"]
    assert "2 submissions not finished; to finish: compete submit --resume" in compete("runs")[1]
    code, _, err = compete("submit", "--resume")
    assert code == 0, err
    assert [record.public for record in load_records(folder / "uploads.json")] == [0.8125, 0.5]
    assert "not finished" not in compete("runs")[1]


def test_score_without_a_value_asks_for_every_score_and_sends_nothing(tiny, server, compete):
    folder = make_run(tiny)
    assert compete("submit", "run-001", "--no-wait")[0] == 0
    server.fail("PUT", "stall")
    process = start("submit", "run-001", "--again")
    assert server.stalled.wait(60)
    process.kill()
    process.communicate()
    code, out, err = compete("score", "run-001")
    assert code == 0, err
    assert "leaderboard public 0.8125" in out and phases(folder) == ["scored", "sending"]
    code, _, err = compete("score", "run-001", "--private", "0.5")
    assert code == 2 and "enter the public score as well: compete score run-001 VALUE" in err


def test_one_submission_of_a_run_that_failed_does_not_hide_another(tiny, server, compete):
    folder = make_run(tiny)
    for more in ([], ["--again"]):
        assert compete("submit", "run-001", "--no-wait", *more)[0] == 0
    server.submissions[0]["verdict"] = {"status": "ERROR", "errorDescription": "Too many rows"}
    code, _, err = compete("submit", "run-001", "--resume")
    assert code == 1 and "could not score submission 101: Too many rows" in err
    assert phases(folder) == ["failed", "scored"]


@pytest.mark.parametrize("place", ["submissions/tiny/best", "elsewhere/best", "submissions/other/run-001"])
def test_a_moved_run_is_resumed_whatever_lies_at_its_old_place(tiny, server, compete, place):
    folder = make_run(tiny)
    server.fail("PUT", code=403, times=2)
    assert compete("submit", "run-001")[0] == 1
    assert compete("submit", "run-001", "--no-wait")[0] == 0
    (tiny / place).parent.mkdir(exist_ok=True)
    folder.rename(tiny / place)
    make_run(tiny, upload='{name="kaggle", competition="cats"}')  # the old path is another run's now
    code, out, err = compete("submit", place, "--resume")
    assert code == 0, err
    assert "submitted to Kaggle, digits, number 101" in out and "leaderboard public 0.8125" in out
    assert server.log.count("CreateSubmission") == 1


def test_a_record_is_not_resumed_on_another_competition(tiny, server, compete):
    make_run(tiny)
    assert compete("submit", "run-001", "--no-wait")[0] == 0
    toml = with_upload(tiny, 'name = "kaggle"\ncompetition = "cats"')
    code, _, err = compete("submit", "run-001", "--resume", "--config", toml)
    assert code == 2 and "is one to Kaggle, digits, not to Kaggle, cats. Name the TOML that has it: --config" in err


@pytest.mark.parametrize("name", ["a-copy", "run-001-copy", "zebra"])
def test_a_copy_has_no_submission_of_its_own(tiny, server, compete, name):
    folder = make_run(tiny)
    assert compete("submit", "run-001", "--no-wait")[0] == 0
    copy = shutil.copytree(folder, folder.with_name(name))
    assert rows(compete) == {"run-001": "submitted", name: "not"}
    assert compete("submit", name, "--resume")[0] == 0  # the score is one of the same submission
    assert rows(compete) == {"run-001": "scored", name: "not"}
    folder.rename(folder.with_name("renamed"))
    shutil.copytree(copy, folder)
    assert rows(compete) == {"renamed": "scored", name: "not", "run-001": "not"}


def rows(compete) -> dict[str, str]:
    """Return the state of each run in the table."""
    compete("runs", "--export", "table.json")
    return {row["run"]: row["phase"] or "not" for row in json.loads(Path("table.json").read_text())}


def test_an_upload_begun_in_the_original_is_finished_once(tiny, server, compete, no_pauses):
    folder = make_run(tiny)
    server.fail("PUT", "stall")
    process = start("submit", "run-001")
    assert server.stalled.wait(60)
    process.kill()
    process.communicate()
    copy = shutil.copytree(folder, folder.with_name("copy"))
    shutil.copytree(folder, tiny / "elsewhere")
    for place in (str(folder), str(copy), "elsewhere"):
        code, out, err = compete("submit", place, "--resume")
        assert code == 0, err
        assert "number 101" in out
    shutil.rmtree(tiny / "submissions")  # as on another machine: only the platform knows
    data = json.loads((tiny / "elsewhere/uploads.json").read_text())
    data["submissions"][0] |= {"phase": "sending", "reference": ""}
    (tiny / "elsewhere/uploads.json").write_text(json.dumps(data))
    assert "number 101" in compete("submit", "elsewhere", "--resume")[1]
    assert len(server.submissions) == 1


@pytest.mark.parametrize("move", ["alone", "with its records", "deleted"])
def test_a_csv_file_that_was_moved_is_known_by_its_bytes(tiny, server, compete, move):
    write_predictions(tiny, tiny / "blend.csv")
    assert compete("submit", "blend.csv", "--config", with_upload(tiny), "--no-wait")[0] == 0
    (tiny / "kept").mkdir()
    place = "kept/final.csv"
    if move == "deleted":
        place = "blend.csv"
        (tiny / place).unlink()
    else:
        Path("blend.csv").replace(place)
    if move == "with its records":
        Path("blend.csv.uploads.json").replace(f"{place}.uploads.json")
    code, out, err = compete("submit", place, "--resume")
    assert code == 0, err
    assert "leaderboard public 0.8125" in out and len(server.submissions) == 1
    if move != "deleted":
        assert compete("submit", place, "--config", "mine.toml")[0] == 2


DAMAGES = {
    "empty": "",
    "half": '{"format": 1, "submissions": [{"id": "compe',
    "null": "null",
    "brackets": "[" * 100_000,
    "a list": '{"format": 1, "submissions": {}}',
    "a number": '{"format": 1, "submissions": [1]}',
    "another version": '{"format": [2], "submissions": []}',
}
FIELDS = {
    "begun_at": ["yesterday", 5, "2026-03-01T12:00:00", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00", None],
    "submitted_at": ["", "2026-03-01", "9999-12-31T23:59:59-12:00", []],
    "phase": ["done", None, 3],
    "public": [float("nan"), float("inf"), "much", {}],
    "run": ["\ud800", None, 5],
    "id": [None, ["x"]],
    "state": [None, 5],
}


def damages() -> dict[str, str]:
    record = {
        "id": "compete-0123456789", "competition": "tiny", "run": "run-001", "platform": "the web form",
        "target": "mask", "file": "f", "file_hash": "0", "message": "", "phase": "unscored",
        "begun_at": "2026-03-01T12:00:00+00:00",
    }  # fmt: skip
    texts = {f"{key}={value!r}": {**record, key: value} for key, values in FIELDS.items() for value in values}
    return DAMAGES | {name: json.dumps({"format": 1, "submissions": [row]}) for name, row in texts.items()}


@pytest.mark.parametrize("text", damages().values(), ids=list(damages()))
def test_a_damaged_record_file_stops_its_own_run_only(tiny, compete, text):
    folders = [make_run(tiny, f"run-00{number}", MANUAL + "max_per_day=9}") for number in range(1, 4)]
    assert compete("submit", "run-003")[0] == 0
    (folders[0] / "uploads.json").write_text(text)
    with (tiny / "submissions/tiny/submissions.jsonl").open("a") as journal:
        journal.write(text.partition('"submissions": [')[2].removesuffix("]}") + "\n")
    code, out, err = compete("runs")
    assert code == 0 and "warning: submissions/tiny/run-001/uploads.json" in err
    assert all(folder.name in out for folder in folders)
    code, out, err = compete("submit", "run-002")
    assert code == 0 and "warning: submissions/tiny/run-001/uploads.json" in out and "; 7 left now" in out
    assert compete("submit", "--resume")[0] == 0
    for words in (["submit", "run-001"], ["submit", "run-001", "--resume"], ["score", "run-001", "0.5"]):
        code, _, err = compete(*words)
        assert code == 2 and "error: submissions/tiny/run-001/uploads.json" in err


@pytest.mark.parametrize("loss", ["deleted", "emptied"])
def test_a_lost_journal_is_reported_and_its_count_is_not_taken_for_zero(tiny, compete, loss):
    make_run(tiny, "run-002", MANUAL + "max_per_day=1}")
    write_predictions(tiny, tiny / "blend.csv")
    toml = with_upload(tiny, 'name = "manual"\ncompetition = "mask"\nmax_per_day = 1')
    assert compete("submit", "blend.csv", "--config", toml)[0] == 0
    journal = tiny / "submissions/tiny/submissions.jsonl"
    journal.unlink() if loss == "deleted" else journal.write_text("")
    lost = "submissions/tiny/submissions.jsonl was lost"
    assert f"warning: {lost}: submissions of CSV files and of moved runs are unknown" in compete("runs")[2]
    code, _, err = compete("submit", "run-002")
    assert (
        code == 2 and f"error: {lost}, so the submissions of today cannot be counted. Look at the page of mask" in err
    )
    code, out, _ = compete("submit", "run-002", "--again")
    assert code == 0 and f"warning: {lost}" in out
    code, _, err = compete("submit", "run-002", "--again")  # the new journal knows that it was begun anew
    assert code == 2 and "all 1 submissions of today are used up" in err
    write_predictions(tiny, tiny / "other.csv", number=3)
    assert lost in compete("submit", "other.csv", "--config", toml)[2]


def test_a_platform_that_counts_itself_needs_no_journal(tiny, server, compete):
    make_run(tiny)
    make_run(tiny, "run-002")
    assert compete("submit", "run-001")[0] == 0
    (tiny / "submissions/tiny/submissions.jsonl").unlink()
    code, out, _ = compete("submit", "run-002")
    assert code == 0 and "submissions.jsonl was lost" in out and "; 0 left now" in out
