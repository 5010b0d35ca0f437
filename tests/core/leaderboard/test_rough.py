"""What goes wrong around submitting: kills, two at once, folders that move, a journal that is damaged."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from compete.leaderboard.records import load_records
from submit_fixtures import compete, make_run, no_pauses, server, start  # noqa: F401

UPLOAD = '\n[upload]\nname = "kaggle"\ncompetition = "digits"\n'


def phases(folder: Path) -> list[str]:
    return [record.phase for record in load_records(folder / "uploads.json")]


def age_records(folder: Path, hours: float) -> None:
    """Let the last try be some time ago."""
    data = json.loads((folder / "uploads.json").read_text())
    for record in data["submissions"]:
        record["tried_at"] = (datetime.fromisoformat(record["tried_at"]) - timedelta(hours=hours)).isoformat()
    (folder / "uploads.json").write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("request_name", "fault", "phase"),
    [
        ("PUT", "stall", "sending"),
        ("CreateSubmission", "mute", "creating"),  # it was made
        ("GetSubmission", "stall", "submitted"),
    ],
)
def test_a_kill_anywhere_and_one_submission_all_the_same(tiny, server, compete, no_pauses, request_name, fault, phase):
    folder = make_run(tiny)
    server.fail(request_name, fault)
    process = start("submit", "run-001")
    assert server.stalled.wait(60)
    process.kill()
    process.communicate()
    assert phases(folder) == [phase]
    code, _, err = compete("submit", "run-001")
    assert code == 2 and f"is not finished ({phase}). Finish it with: compete submit {folder.relative_to(tiny)}" in err
    code, out, _ = compete("submit", "run-001", "--resume")
    assert code == 0 and "leaderboard public 0.8125" in out
    assert len(server.submissions) == 1 and phases(folder) == ["scored"]


def test_a_kill_before_the_request_arrived_makes_none_in_doubt(tiny, server, compete, no_pauses):
    folder = make_run(tiny)
    server.fail("CreateSubmission", "stall")  # it was not made
    process = start("submit", "run-001")
    assert server.stalled.wait(60)
    process.kill()
    process.communicate()
    code, _, err = compete("submit", "run-001", "--resume")
    assert code == 1 and "it is unknown whether the submission was made. Nothing is sent twice" in err
    assert server.submissions == [] and phases(folder) == ["creating"]
    age_records(folder, hours=2)  # by now the request is certain to be over
    code, out, _ = compete("submit", "run-001", "--resume")
    assert code == 0 and "the lost try made no submission; making it now" in out
    assert len(server.submissions) == 1 and phases(folder) == ["scored"]


def test_a_killed_submission_of_a_csv_file_is_found_without_its_name(tiny, server, compete, no_pauses):
    folder = make_run(tiny)
    file = (folder / "submission.csv").rename(tiny / "blend.csv")
    server.fail("CreateSubmission", "mute")  # it was made
    process = start("submit", "blend.csv", "--config", str(folder / "config.toml"))
    assert server.stalled.wait(60)
    process.kill()
    process.communicate()
    code, out, _ = compete("submit", "--resume")
    assert code == 0 and f"{file}:\n" in out and "leaderboard public 0.8125" in out
    assert len(server.submissions) == 1


def test_two_that_submit_one_run_at_once(tiny, server, compete):
    folder = make_run(tiny)
    server.fail("CreateSubmission", "stall")
    first = start("submit", "run-001")
    assert server.stalled.wait(60)
    code, _, err = compete("submit", "run-001", "--again")
    first.kill()
    first.communicate()
    assert code == 1
    assert err.startswith(f"error: {folder.relative_to(tiny)} is in use by process {first.pid} on ")
    assert err.endswith("Wait for it, and repeat the command.\n")
    assert (server.submissions, server.log.count("PUT")) == ([], 1)


def test_one_that_cannot_be_finished_does_not_stop_the_others(tiny, server, compete):
    folders = [make_run(tiny, name) for name in ("run-001", "run-002")]
    for folder in folders:
        assert compete("submit", folder.name, "--no-wait")[0] == 0
    server.submissions[0]["verdict"] = {"status": "ERROR", "errorDescription": "Too many rows"}
    code, out, err = compete("submit", "--resume")
    assert code == 1
    assert "error: Kaggle could not score submission 101: Too many rows\n" in out
    assert "leaderboard public 0.8125" in out
    assert err == "error: 1 of 2 could not be finished: submissions/tiny/run-001\n"
    assert [phases(folder) for folder in folders] == [["failed"], ["scored"]]


def test_a_platform_added_to_the_toml_after_the_run(tiny, server, compete):
    folder = make_run(tiny, upload="")
    command = ["compete", "run", "tiny.toml", "--set", "training.epochs=1"]
    (folder / "environment.json").write_text(json.dumps({"command": command}))
    (tiny / "data/.downloaded.json").write_text(json.dumps({"platform": "kaggle", "competition": "digits"}))
    code, _, err = compete("submit", "run-001")
    assert code == 2 and "Add it to tiny.toml and repeat the command:\n  [upload]\n" in err
    with (tiny / "tiny.toml").open("a") as toml:
        toml.write("\n" + "\n".join(line.strip() for line in err.splitlines()[1:]) + "\n")
    code, out, err = compete("submit", "run-001")
    assert code == 0, err
    assert "submitted to Kaggle, digits, number 101" in out


def test_a_renamed_run_is_listed_once(tiny, server, compete):
    folder = make_run(tiny)
    assert compete("submit", "run-001")[0] == 0
    make_run(tiny, "run-002")
    assert "run-001" in compete("runs")[1]
    folder.rename(folder.with_name("best"))
    (folder.with_name("run-002")).rename(folder.with_name("second"))
    out = compete("runs")[1]
    assert "best" in out and "second" in out
    assert "run-002" not in out and "run-001" not in out


def test_a_run_moved_out_of_submissions(tiny, server, compete):
    (tiny / "kept/old").mkdir(parents=True)
    folder = make_run(tiny).rename(tiny / "kept/old/winner")
    code, out, err = compete("submit", "kept/old/winner", "--no-wait")
    assert code == 0, err
    assert [path.parent.name for path in tiny.rglob("submissions.jsonl")] == ["tiny"]
    code, out, _ = compete("submit", "--resume")
    assert code == 0 and f"{folder}:\n" in out and "leaderboard public 0.8125" in out
    assert any("winner" in line and "0.81250" in line for line in compete("runs")[1].splitlines())
    assert compete("score", "kept/old/winner", "0.75")[0] == 0
    assert "0.75000" in compete("runs", "tiny")[1]


def test_a_ledger_of_an_earlier_version_is_ignored(tiny, server, compete):
    make_run(tiny)
    (tiny / "submissions/ledger.sqlite").write_bytes(b"SQLite format 3")
    assert compete("submit", "run-001")[0] == 0
    code, out, err = compete("runs")
    assert code == 0 and "0.81250" in out and err == ""
    assert (tiny / "submissions/ledger.sqlite").read_bytes() == b"SQLite format 3"


def test_a_damaged_line_of_the_journal_stops_nothing(tiny, server, compete):
    make_run(tiny)
    (tiny / "submissions/tiny/submissions.jsonl").write_text('{"id": "x"}\n{"id')
    warning = "warning: submissions/tiny/submissions.jsonl:1: damaged line skipped.\n"
    code, out, _ = compete("submit", "run-001")
    assert code == 0 and warning in out
    code, out, err = compete("runs")
    assert code == 0 and "0.81250" in out
    assert err == warning + warning.replace(":1:", ":2:")


def test_a_journal_that_cannot_be_written_sends_nothing(tiny, server, compete):
    make_run(tiny)
    (tiny / "submissions/tiny/submissions.jsonl").mkdir()
    code, _, err = compete("submit", "run-001")
    assert code == 1 and "error: cannot write submissions/tiny/submissions.jsonl: Is a directory" in err
    assert server.log.count("StartSubmissionUpload") == 0 and server.submissions == []
    code, out, err = compete("runs")
    assert code == 0 and "0.73000" in out
    assert "submissions.jsonl: cannot be read: Is a directory." in err


def test_a_csv_file_in_the_competition_s_own_folder(tiny, server, compete):
    folder = make_run(tiny)
    (folder.parent / "blend.csv").write_bytes((folder / "submission.csv").read_bytes())
    code, _, err = compete("submit", "submissions/tiny/blend.csv", "--config", str(folder / "config.toml"))
    assert code == 0, err
    (folder.parent / "blend.csv").unlink()
    assert any("blend.csv" in line and "0.81250" in line for line in compete("runs")[1].splitlines())


def test_what_is_gone_is_not_resumed(tiny, server, compete):
    folder = make_run(tiny)
    assert compete("submit", "run-001", "--no-wait")[0] == 0
    folder.rename(tiny / "winner")
    code, out, _ = compete("submit", "--resume")
    assert code == 0 and "its records are gone. If it was moved, type: compete submit NEW_PLACE --resume" in out
    code, out, _ = compete("submit", "winner", "--resume")
    assert code == 0 and "leaderboard public 0.8125" in out
    assert compete("submit", "--resume")[1] == "no submission is unfinished\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digts"], "Did you mean 'digits'?"),
        (["Digits"], "the name of a Kaggle competition is the last part of its address"),
    ],
)
def test_a_download_that_fails_leaves_no_folder(tiny, server, compete, words, message):
    code, _, err = compete("download", *words)
    assert code == 2 and message in err
    assert not list((tiny / "data").glob("[dD]ig*"))


def test_no_message_of_any_command_shows_the_token(tiny, server, compete):
    make_run(tiny)
    server.fail("CreateSubmission", code=400, message="no good-token")
    shown = [text for words in (["submit", "run-001"], ["runs"], ["download", "x"]) for text in compete(*words)[1:]]
    assert "Kaggle refused: no ***" in "".join(shown) and "good-token" not in "".join(shown)
