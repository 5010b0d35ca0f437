"""The processes of a member: started, shown, split when memory runs out, and ended together."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

from compete.errors import TrainingError
from compete.jobs.local_ranks import Start, _read
from compete.stages.members import finish_member
from compete.train.loop import train
from compete.types import Member

MEMBER = Member(0, 42)
# `trouble` happens to the second rank in the third step, unless its file says that it has happened.
PLUGIN = """
import os, signal
from pathlib import Path

import torch

from compete import hookimpl

class Trouble:
    def __init__(self, kind):
        self.kind = kind

    @hookimpl
    def on_member_start(self, trainer):
        def strike(module, inputs):
            done = Path("trouble-" + self.kind)
            if trainer.step == 2 and os.environ.get("RANK") == "1" and not done.exists():
                done.touch()
                if self.kind == "oom":
                    raise torch.OutOfMemoryError("CUDA out of memory.")
                os.kill(os.getpid(), signal.SIGKILL)
        trainer.network.register_forward_pre_hook(strike)

def trouble(*, kind: str) -> Trouble:
    '''Break the second rank.'''
    return Trouble(kind)

@hookimpl
def register_callbacks():
    return {"trouble": trouble}
"""
# BatchNorm frozen: the statistics of micro-batches are others.
OPTIONS = (
    'finetune.freeze=["stem"]',
    "optimizer.name=sgd",
    "optimizer.lr=0.1",
    "training.batch_size=4",
    "training.checkpoint_minutes=1e-9",
)


@pytest.fixture
def troubled(tiny, make_run):
    def make(kind):
        Path("trouble.py").write_text(PLUGIN)
        plugins = 'plugins=["tiny_plugin.py", "trouble.py"]'
        callbacks = f'callbacks=[{{ name = "best_checkpoint" }}, {{ name = "trouble", kind = "{kind}" }}]'
        return make_run(*OPTIONS, plugins, callbacks, "training.devices=2")

    return make


@pytest.fixture
def children():
    """Return a function that lists the processes that are left of what the test started."""

    def living():
        found = psutil.Process().children(recursive=True)
        return {child.pid for child in found if child.status() != psutil.STATUS_ZOMBIE}

    before = living()
    return lambda: living() - before


def test_a_member_of_two_processes_is_that_of_one_also_when_memory_runs_out(troubled, children):
    run = troubled("oom")
    result = finish_member(run, MEMBER)
    assert any("splitting each device's part of a batch into 2 micro-batches" in text for text in run.session.warnings)
    folder = run.member_folder(MEMBER)
    assert sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".log", ".pt")) == ["result.json"]
    assert not children()
    weights = load_file(folder / "weights.safetensors")

    alone, expected, _ = train(run, MEMBER)
    assert alone.score == result.score and alone.best_epoch == result.best_epoch
    for name, tensor in expected.items():
        np.testing.assert_allclose(weights[name], tensor, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_killed_rank_ends_the_others_at_once_and_leaves_a_checkpoint(troubled, children):
    run = troubled("kill")
    started = time.monotonic()
    with pytest.raises(
        TrainingError, match=r"rank 1 of 2 devices was killed by SIGKILL, most often because memory ran"
    ):
        finish_member(run, MEMBER)
    assert time.monotonic() - started < 60 and not children()
    assert (run.member_folder(MEMBER) / "checkpoint.pt").exists()
    assert os.environ.get("RANK") is None


def test_half_a_line_of_a_killed_rank_is_passed_over_and_its_death_said():
    records = []
    process = SimpleNamespace(stdout=['{"event": "step"}\n', '{"event": "ep'], wait=lambda: -signal.SIGKILL)
    start = Start("", range(2), 2, "127.0.0.1", 0, Path("ranks.log"))
    _read(start, 1, process, lambda *record: records.append(record))
    assert records[0] == (1, {"event": "step"})
    assert records[1][1]["event"] == "died" and "was killed by SIGKILL" in records[1][1]["failure"]["problems"][0]
