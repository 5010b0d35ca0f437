"""`compete submit --code`, as a user types it, with the real `kaggle` package on a loopback port."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from compete.leaderboard.records import load_records
from submit_fixtures import compete, make_run, no_pauses, server, start  # noqa: F401

RUN = "submissions/tiny/run-001"
NAME = "ann/digits-run-001"


@pytest.fixture
def run(tiny, server, compete):
    """A finished run of the tiny competition, for a competition that takes notebooks only."""
    server.competitions["digits"].facts["isKernelsSubmissionsOnly"] = True
    text = (tiny / "tiny.toml").read_text() + '\n[upload]\nname = "kaggle"\ncompetition = "digits"\n'
    (tiny / "tiny.toml").write_text(text)
    code, _, err = compete("run", "tiny.toml", "--no-doctor", "--set", "training.epochs=1")
    assert code == 0, err
    return tiny / RUN


def counts(server):
    shelf = server.shelf
    return sum(map(len, shelf.datasets.values())), sum(map(len, shelf.kernels.values())), len(server.submissions)


def test_a_run_enters_a_code_competition(run, server, compete, no_pauses):
    code, _, err = compete("submit", "run-001")
    assert code == 2 and "accepts notebooks only, not files. Have its machines predict" in err

    code, out, err = compete("submit", "run-001", "--code", "--dry-run")
    assert code == 0 and "rows" not in out and counts(server) == (0, 0, 0), err
    assert list((run / "code").glob("*.bundle")) == []

    code, out, err = compete("submit", "run-001", "--code", "--message", "first")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith(f"sending {run}/code/run-001-") or lines[0].startswith(f"sending {RUN}/code/run-001-")
    assert lines[1:3] == [
        "Kaggle prepares the dataset digits-run-001",
        f"the notebook waits in Kaggle's queue: version 1 of https://www.kaggle.com/code/{NAME}",
    ]
    assert "submitted to Kaggle, digits, number 101; 1 left now" in lines
    assert lines[-2].startswith("CV ") and lines[-2].endswith("leaderboard public 0.8125")
    assert counts(server) == (1, 1, 1) and not (run / "code").exists()
    (row,) = server.submissions
    assert row["code"]["kernelVersion"] == 1 and row["description"].endswith("first")
    code, out, _ = compete("runs", "tiny")
    row = next(line for line in out.splitlines() if "run-001" in line)
    assert "0.81250" in row and "scored" in row and "changed" not in out

    code, _, err = compete("submit", "run-001", "--code")
    assert code == 2 and "was submitted before" in err and counts(server) == (1, 1, 1)
    server.used_today = 2
    code, _, err = compete("submit", "run-001", "--code", "--again")
    assert code == 2 and "no submission is left; nothing was uploaded" in err and counts(server) == (1, 1, 1)


def test_a_deadline_and_no_wait_leave_the_rest_to_resume(run, server, compete, no_pauses):
    server.shelf.kernel_steps = ["RUNNING"] * 3 + ["COMPLETE"]
    code, out, err = compete("submit", "run-001", "--code", "--no-wait")
    assert code == 0 and out.splitlines()[-1] == f"nothing is submitted yet. Go on with: compete submit {RUN} --resume"
    code, out, err = compete("submit", "run-001", "--resume", "--deadline-minutes", "0")
    assert code == 1
    assert "nothing is submitted yet: after 0 min, " in err and f"compete submit {RUN} --resume" in err
    code, _, err = compete("submit", "run-001", "--code")
    assert code == 2 and "is not finished (sending). Finish it with" in err
    code, out, err = compete("submit", "--resume")
    assert code == 0 and "leaderboard public 0.8125" in out, err
    assert counts(server) == (1, 1, 1)
    (record,) = load_records(run / "uploads.json")
    assert record.phase == "scored" and record.code.startswith("run-001-") and record.reason == ""


@pytest.mark.parametrize("request_name", ["CreateDataset", "SaveKernel", "CreateCodeSubmission"])
def test_killed_at_any_request_nothing_is_made_twice(run, server, compete, no_pauses, request_name):
    server.fail(request_name, "mute")  # it does it, and the answer never comes
    process = start("submit", "run-001", "--code")
    assert server.stalled.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    code, out, err = compete("submit", "run-001", "--resume")
    assert code == 0 and "leaderboard public 0.8125" in out, err
    assert counts(server) == (1, 1, 1)
    assert server.log.count(request_name) == 1 and server.log.count("PUT") == 1


def test_a_failed_notebook_is_final_and_another_try_is_a_new_one(run, server, compete, no_pauses):
    server.shelf.kernel_steps, server.shelf.failure = ["ERROR"], "out of memory"
    code, _, err = compete("submit", "run-001", "--code")
    assert code == 1
    assert f"the notebook failed: out of memory. Its log: version 1 of https://www.kaggle.com/code/{NAME}" in err
    assert load_records(run / "uploads.json")[0].phase == "refused" and not list((run / "code").glob("*.bundle"))
    server.shelf.kernel_steps = ["COMPLETE"]
    code, _, err = compete("submit", "run-001", "--code")
    assert code == 0 and counts(server) == (1, 2, 1), err
    assert server.submissions[0]["code"]["kernelVersion"] == 2


def test_what_cannot_be_an_entry_is_said_before_anything_is_packed(run, server, compete, tiny):
    Path("file.csv").write_bytes((run / "submission.csv").read_bytes())
    code, _, err = compete("submit", "file.csv", "--config", "tiny.toml", "--code")
    assert code == 2 and err == "error: file.csv is a file of predictions: there is no model to run. Name a run.\n"
    code, _, err = compete("submit", "run-001", "--wheels", "w")
    assert code == 2 and "--wheels belongs to --code" in err
    code, _, err = compete("submit", "run-001", "--code", "--resume")
    assert code == 2 and "leave out --code" in err
    Path("manual.toml").write_text((tiny / "tiny.toml").read_text().replace('"kaggle"', '"manual"'))
    code, _, err = compete("submit", "run-001", "--code", "--config", "manual.toml")
    assert code == 2
    assert err == (
        f"error: the web form runs no code: compete submits files to it. Without --code: compete submit {RUN}\n"
    )
    assert not (run / "code").exists() and json.dumps(server.log) == "[]"
