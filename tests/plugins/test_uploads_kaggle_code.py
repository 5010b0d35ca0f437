"""Entries to Kaggle code competitions: the real `kaggle` package, against datasets and notebooks on a loopback port."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from compete.leaderboard.platform import AccessError, CodeEntry, PendingError, PlatformError, UnreachableError
from compete_plugins.uploads import _kaggle_code
from compete_plugins.uploads._kaggle import kaggle
from compete_plugins.uploads._kaggle_code import slug_of

sys.path.insert(0, str(Path(__file__).parents[1]))
from kaggle_fixtures import archive, impatient, running, server, shared, uploader  # noqa: F401

PROGRAM = "def run(model, inputs, competition, output): ...\n"
NAME = "ann/digits-run-001"


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "run-001-abc123.bundle"
    path.write_bytes(b"weights" * 1000)
    return path


@pytest.fixture
def entry(uploader, model):
    return uploader.code(CodeEntry("run-001", model, PROGRAM))


def send(entry, path, state, most=20):
    """Send as core does: again after every break, and while Kaggle is at work. Return what was waited for."""
    waited = []
    for _ in range(most):
        try:
            entry.send(path, state, lambda: None)
        except (PendingError, UnreachableError) as error:
            waited.append(str(error))
        else:
            return waited
    raise AssertionError(waited)


def made(server):
    """How many uploads, dataset versions, pushes and submissions there were."""
    shelf = server.shelf
    versions, pushes = sum(map(len, shelf.datasets.values())), sum(map(len, shelf.kernels.values()))
    return server.log.count("PUT"), versions, pushes, len(server.submissions)


def test_an_entry_from_its_dataset_to_its_score(entry, server, model):
    server.competitions["digits"].facts["isKernelsSubmissionsOnly"] = True
    entry.check()
    state = {}
    waited = send(entry, model, state)
    assert waited == [
        "Kaggle prepares the dataset digits-run-001",
        f"the notebook waits in Kaggle's queue: version 1 of https://www.kaggle.com/code/{NAME}",
        f"the notebook is running: version 1 of https://www.kaggle.com/code/{NAME}",
    ]
    assert server.shelf.datasets[NAME] == [{model.name: model.read_bytes()}]
    (push,) = server.shelf.kernels[NAME]
    assert push["datasetDataSources"] == [NAME] and push["competitionDataSources"] == ["digits"]
    assert push["enableGpu"] is False and "machineShape" not in push and push["kernelType"] == "notebook"
    (cell,) = json.loads(push["text"])["cells"]
    assert cell["source"].startswith(PROGRAM)
    called = []
    exec(cell["source"], {}, scope := {})
    scope["run"] = lambda model, **where: called.append((model, where))
    exec(cell["source"].removeprefix(PROGRAM), scope)
    assert called == [(model.name, {"inputs": "/kaggle/input", "competition": "digits", "output": "/kaggle/working"})]
    assert entry.create(model, "run-001 compete-abc CV 0.8", json.loads(json.dumps(state))).reference == "101"
    (row,) = server.submissions
    assert row["data"] == b"id,label\n" and row["code"]["kernelVersion"] == 1
    assert entry.find("compete-abc").reference == "101" and entry.status("101").state == "pending"


def test_an_accelerator_is_asked_for_by_its_name(server, model):
    uploader = kaggle(competition="digits", accelerator="NvidiaTeslaT4")
    send(uploader.code(CodeEntry("run-001", model, PROGRAM)), model, {})
    uploader.close()
    (push,) = server.shelf.kernels[NAME]
    assert push["machineShape"] == "NvidiaTeslaT4" and push["enableGpu"] is True and push["enableTpu"] is False


def test_another_model_is_a_new_version_and_the_same_one_is_not_uploaded_again(entry, server, model, uploader):
    send(entry, model, {})
    send(uploader.code(CodeEntry("run-001", model, PROGRAM)), model, {})
    assert made(server) == (1, 1, 2, 0)
    other = model.with_name("run-001-def456.bundle")
    other.write_bytes(b"other")
    state = {}
    send(uploader.code(CodeEntry("run-001", other, PROGRAM)), other, state)
    assert made(server) == (2, 2, 3, 0) and state["version"] == 3
    assert list(server.shelf.datasets[NAME][-1]) == [other.name]


def send_until_killed(entry, model, steps):
    """Send until the state is saved for the `steps`-th time, where the process dies; return that state, if it came."""
    state, saved = {}, []

    def save():
        saved.append(json.dumps(state))
        if len(saved) == steps:
            raise Killed

    for _ in range(9):
        try:
            entry.send(model, state, save)
        except PendingError:
            continue
        except Killed:
            return json.loads(saved[-1])
        else:
            break
    return None


def test_killed_after_any_step_it_goes_on_there(entry, server, model):
    steps = 1
    while (state := send_until_killed(entry, model, steps)) is not None:
        open_ends = (("making_at", "dataset"), ("pushing_at", "version"))
        if any(begun in state and done not in state for begun, done in open_ends):
            with pytest.raises(PendingError, match="it is not known yet whether"):
                entry.send(model, state, lambda: None)
            for key in ("making_at", "pushing_at"):
                state[key] = state.get(key, 0.0) - 3600  # an hour later
        send(entry, model, state)
        entry.create(model, "run-001 compete-abc", state)
        assert made(server)[1:] == (1, 1, 1), steps
        steps += 1
        server.reset(*server.competitions.values())
    assert steps == 9  # address, bytes, dataset begun, made, ready, push begun, pushed, complete


@pytest.mark.parametrize("request_name", ["CreateDataset", "SaveKernel"])
@pytest.mark.parametrize("what", ["lose", "mute"])
def test_a_lost_answer_is_looked_for_and_nothing_is_made_twice(entry, server, model, request_name, what):
    server.fail(request_name, what)
    state = {}
    with impatient(entry, 5.0):  # a child that was killed starts again within it
        waited = send(entry, model, state)
    assert any("broke" in line or "silent" in line for line in waited), waited
    assert made(server) == (1, 1, 1, 0) and state["version"] == 1


@pytest.mark.parametrize(("request_name", "what"), [("CreateDataset", "the dataset"), ("SaveKernel", "the notebook")])
def test_what_a_lost_request_did_not_do_is_done_an_hour_later(entry, server, model, request_name, what, monkeypatch):
    server.fail(request_name, "status", code=503)
    state = {}
    with pytest.raises(AssertionError, match=f"it is not known yet whether {what} https://www.kaggle.com/"):
        send(entry, model, state, most=6)
    assert server.log.count(request_name) == 1
    monkeypatch.setattr(_kaggle_code, "SETTLED_SECONDS", 0.0)
    send(entry, model, state)
    assert made(server)[1:] == (1, 1, 0) and server.log.count(request_name) == 2


@pytest.mark.parametrize("request_name", ["CreateDataset", "SaveKernel"])
def test_a_refusal_is_final_and_forgotten(entry, server, model, request_name):
    server.fail(request_name, "status", code=400, message="Title is too long")
    state = {}
    with pytest.raises(PlatformError, match=r"Kaggle refused: Title is too long \(400\)"):
        send(entry, model, state)
    assert not {"making_at" if request_name == "CreateDataset" else "pushing_at"} & set(state)


def test_a_dataset_that_fails_is_an_error(entry, server, model):
    server.shelf.dataset_steps = ["BLOBS_RECEIVED", "FAILED"]
    with pytest.raises(
        PlatformError, match=f"could not prepare the dataset; .* https://www.kaggle.com/datasets/{NAME}"
    ):
        send(entry, model, {})
    assert made(server) == (1, 1, 0, 0)


def test_a_dataset_that_is_not_made_is_an_error(entry, server, model):
    server.shelf.used_tokens = {"blob1"}  # as if the upload had expired
    with pytest.raises(PlatformError, match="did not make the dataset digits-run-001: an upload is missing"):
        send(entry, model, {})


def test_sources_that_kaggle_does_not_know_are_an_error(entry, server, model):
    server.shelf.refused_sources = {"invalidCompetitionSources": ["digits"]}
    with pytest.raises(PlatformError, match=r"did not take the notebook .* does not know the data sources digits"):
        send(entry, model, {})
    assert not server.submissions


def test_a_notebook_that_fails_says_why_and_shows_the_end_of_its_log(entry, server, model):
    server.shelf.kernel_steps = ["RUNNING", "ERROR"]
    server.shelf.failure = "Your notebook ran out of memory"
    lines = [{"stream_name": "stdout", "data": f"line {n}\n"} for n in range(20)]
    server.shelf.log = json.dumps(lines)
    with pytest.raises(PlatformError) as caught:
        send(entry, model, {})
    text = str(caught.value)
    assert text.startswith(
        "the notebook failed: Your notebook ran out of memory. Its log: version 1 of https://www.kaggle.com/code/"
    )
    assert text.endswith("\n  line 18\n  line 19") and "line 11" not in text


def test_a_notebook_that_was_cancelled_or_wrote_nothing_is_an_error(entry, server, model):
    server.shelf.kernel_steps = ["CANCEL_ACKNOWLEDGED"]
    with pytest.raises(PlatformError, match="the notebook was cancelled: Kaggle gives no reason"):
        send(entry, model, {})
    server.shelf.kernel_steps, server.shelf.output = ["COMPLETE"], {"test.parquet": b""}
    with pytest.raises(PlatformError, match=r"the notebook wrote no submission.csv. Its log: version 2 of"):
        send(entry, model, {})


def test_a_state_that_kaggle_did_not_have_yet_is_waited_for(entry, server, model):
    server.shelf.kernel_steps = ["SLEEPING", "COMPLETE"]
    assert "the notebook is sleeping" in send(entry, model, {})[-1]


def test_a_version_that_is_not_known_any_more_is_not_submitted(entry, server, model):
    with pytest.raises(PlatformError, match="the notebook's version is not known any more"):
        entry.create(model, "text", {})


def test_a_competition_that_is_over_takes_no_code(entry, server):
    server.competitions["digits"].facts["submissionsDisabled"] = True
    with pytest.raises(AccessError, match="no longer accepts submissions"):
        entry.check()


def test_names_fit_kaggle():
    assert slug_of("digits-Run_001") == "digits-run-001"
    assert slug_of("a-b") == "compete-a-b"
    long = slug_of("a" * 60 + "-run-012")
    assert len(long) <= 50 and long.endswith("-run-012")
