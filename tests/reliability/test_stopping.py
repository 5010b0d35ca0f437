"""Signals, two runs at once, a loader process that dies: what a user sees, and that the same command resumes."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

LONG = ("run", "tiny.toml", "--set", "training.epochs=9000")  # nobody waits for its end
HINT = "stopped; finished work is kept. Run the same command again to resume."
KILLER = """

import os
import signal

import torch
from compete import Transform


@hookimpl
def register_transforms():
    def killing():
        def random(image, seed):
            if os.environ.get("KILL_A_WORKER") and torch.utils.data.get_worker_info() and seed % 20 == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return image
        return Transform(random=random)
    return {"killing": killing}
"""

DEADLY = """

class Deadly:
    def __init__(self):
        import compete.budget.watch
        compete.budget.watch.SAVE_SECONDS = 0.0

    @hookimpl
    def on_step_end(self, trainer):
        import os, signal, time
        mark = Path("killed-" + trainer.member.name)
        if trainer.member.name in ("fold1-seed42", "all-seed42") and trainer.epoch == 1 and not mark.exists():
            if trainer.step == 2:
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.5)


def deadly():
    return Deadly()


@hookimpl
def register_hooks():
    return {"deadly": deadly}
"""


@pytest.mark.promise("Ctrl-C, SIGTERM, SIGHUP: a clean stop, exit status 130, one line on how to go on")
@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGTERM, 2), (signal.SIGHUP, 2)],
    ids=["int", "term", "term2", "hup2"],
)
def test_signals_stop_cleanly(tiny, start, number, workers):
    arguments = (*LONG, "--set", f"training.workers={workers}")
    first = start(*arguments)
    first.wait_for("epoch 3/9000")
    os.kill(first.process.pid, number)
    assert first.end() == 130
    assert first.text.endswith(f"\n{HINT}\n")
    second = start(*arguments)
    second.wait_for("member fold0-seed42 resumes at epoch")


@pytest.mark.promise(
    "`--hours`, killed in a member and in the refit: the plan resumes, its time counts, no epoch is lost"
)
def test_a_run_within_hours_that_is_killed_twice(tiny, start, compete):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(DEADLY)
    whole = ("run", "tiny.toml", "--set", "training.refit=true", "--no-doctor")
    within = (*whole, "--set", 'hooks=[{name="deadly"}]', "--hours", "0.1")
    folder = tiny / "submissions/tiny/run-001"
    for member, seconds in (("fold1-seed42", 0.5), ("all-seed42", 1.0)):
        assert start(*within).end() == -signal.SIGKILL
        assert not (folder / "members" / member / "result.json").exists()
        assert seconds <= json.loads((folder / "plan.json").read_text())["spent"] < 360
    status, text = compete(*within)
    assert status == 0 and "resuming the plan of submissions/tiny/run-001" in text
    assert "member all-seed42 resumes at epoch 2/" in text and "check rows and columns match the sample" in text
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    epochs = [(event["member"], event["number"]) for event in events if event["event"] == "epoch"]
    assert len(epochs) == len(set(epochs)) == 8
    assert compete(*whole, "--fresh")[0] == 0
    for name in ("submission.csv", "test.parquet", "members/all-seed42/weights.safetensors"):
        assert (folder / name).read_bytes() == (tiny / "submissions/tiny/run-002" / name).read_bytes(), name


@pytest.mark.promise("Two runs on one folder: the second refuses with the first one's process and host")
@pytest.mark.parametrize("workers", [0, 2])
def test_two_runs_at_once(tiny, start, compete, workers):
    arguments = (*LONG, "--set", f"training.workers={workers}")
    first = start(*arguments)
    first.wait_for("epoch 2/9000")
    status, text = compete(*arguments)
    owner = f"process {first.process.pid} on {socket.gethostname()}"
    assert (status, text) == (
        1, f"error: submissions/tiny/run-001 is in use by {owner}. Wait for it, or start another run with --fresh.\n"
    )  # fmt: skip
    first.process.kill()  # the lock goes with its process, whatever its loader processes still do
    first.process.join()
    third = start(*arguments)
    third.wait_for("member fold0-seed42 resumes at epoch")


@pytest.mark.promise("A loader process killed as by the kernel: reported plainly, exit status 1, resumes")
def test_a_killed_loader_process(tiny, compete):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(KILLER)
    arguments = ("run", "tiny.toml", "--set", "training.workers=2", "--set", 'transforms=[{name="killing"}]')
    status, text = compete(*arguments, env={"KILL_A_WORKER": "1"})
    assert status == 1
    assert "error: a loader process was killed, most often because memory ran out: DataLoader worker (pid" in text
    assert "Lower [training] workers or batch_size; the run resumes when you run the same command again." in text
    status, text = compete(*arguments)
    assert status == 0 and "run tiny/run-001" in text


def children_of(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    with suppress(OSError):  # it ended meanwhile
        return [int(child) for task in tasks for child in task.read_text().split()]
    return []


@pytest.mark.promise("A loader process killed as by the kernel: reported plainly, exit status 1, resumes")
def test_a_loader_process_killed_from_outside(tiny, start):
    if not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists():
        pytest.skip("this system does not tell a process's children")
    running = start(*LONG, "--set", "training.workers=2", "--set", "images.cache=false")
    running.wait_for("epoch 2/9000")
    # Each epoch has its own, and one that is about to end is missed by nobody: so until one was.
    while running.process.is_alive():
        for worker in children_of(running.process.pid)[:1]:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        time.sleep(0.05)
    assert running.end() == 1
    assert (
        "error: a loader process was killed, most often because memory ran out: DataLoader worker (pid" in running.text
    )
