"""A run that is killed anywhere and started again gives the files of an unbroken one, byte for byte."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

COMPARED = ("submission.csv", "oof.parquet", "test.parquet", "folds.csv")
COMMON = (
    "training.epochs=4",
    "training.checkpoint_minutes=0.0002",
    "inference.batch_size=2",
    'transforms=[{name="albumentations", random=[{name="HorizontalFlip", p=0.5}]}]',
    "model.dropout=0.3",
    'tta=[{name="flips"}]',
)
CONFIGURATIONS = {
    "cosine schedule, best checkpoint, EMA, mixup, cache": (
        'batch_transforms=[{name="mixup"}]',
        'callbacks=[{name="best_checkpoint"}, {name="ema", decay=0.9}]',
    ),
    "plateau schedule, weighted sampler, early stopping, EMA, accumulation, two seeds, two workers": (
        "images.cache=false",
        "training.workers=2",
        "training.seeds=2",
        "training.only_folds=[0, 2]",
        "training.batch_size=3",
        "training.accumulation_steps=2",
        "training.on_nan=skip",
        'sampler={name="weighted"}',
        'scheduler={name="plateau", patience_epochs=0}',
        'callbacks=[{name="ema", decay=0.9}, {name="early_stopping", patience_epochs=2}, {name="best_checkpoint"}]',
    ),
    "SAM, SWA, soup and hooks": (
        'optimizer={name="sam", lr=0.05, arguments={momentum=0.9}}',
        'callbacks=[{name="swa", last_epochs=3}, {name="soup", candidates=2}]',
        'hooks=[{name="activations"}, {name="nan_watch", on="backward"}, {name="grad_cam"}]',
    ),
    "parts that unfreeze, layer-wise rates, initialised layers": (
        'finetune={layer_decay=0.5, schedule=[{epoch=1, train="head"}, {epoch=2, train=["stem.0", "head"]}, {epoch=4, train="all"}]}',
        'init={weights="orthogonal", gain=1.5}',
        'optimizer={name="timm", optimizer="lamb", lr=0.05}',
        "scheduler.name=one_cycle",
        'callbacks=[{name="best_checkpoint"}, {name="ema", decay=0.9}]',
    ),
}
# In the order of a run, so that each place is still ahead.
ORDER = (
    "cache build", "cache build", "epoch", "checkpoint", "end of a member", "checkpoint", "validation", "epoch",
    "end of a member", "prediction of OOF", "prediction of OOF", "prediction of test", "prediction of test",
    "ensemble", "submission",
)  # fmt: skip


@pytest.fixture
def live(children):
    """Start the run of a folder in a child process; return its exit status, -9 when it was killed."""
    from children import run_killed

    def live(folder, *arguments, seconds=None):
        process = children.Process(target=run_killed, args=(str(folder), *arguments))
        process.start()
        process.join(seconds)
        process.kill()
        process.join()
        return process.exitcode

    return live


def copy_of(tiny: Path, name: str) -> Path:
    folder = tiny / name
    folder.mkdir()
    shutil.copytree(tiny / "data", folder / "data")
    for file in ("tiny.toml", "tiny_plugin.py"):
        shutil.copy(tiny / file, folder)
    return folder


def outputs(folder: Path) -> dict[str, bytes]:
    run = folder / "submissions/tiny/run-001"
    weights = sorted(run.glob("members/*/weights.safetensors"))
    return {str(p.relative_to(run)): p.read_bytes() for p in [*weights, *(run / name for name in COMPARED)]}


@pytest.mark.promise("A run killed with SIGKILL and started again ends with byte-identical files (n: kills)")
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_killed_and_resumed_equals_unbroken(tiny, live, count, thorough, configuration):
    overrides = (*COMMON, *CONFIGURATIONS[configuration])
    whole = copy_of(tiny, "whole")
    assert live(whole, overrides, "", 0, True) == 0
    lines = (whole / "calls.txt").read_text().splitlines()
    calls = {name: int(made) for name, made in (line.split("\t") for line in lines)}
    order = [name for name in ORDER if calls[name]]
    if "training.workers=2" in overrides:  # loader processes take their time: each place once
        order = list(dict.fromkeys(order))
    kills = 0
    for number in range(thorough):
        rng = random.Random(number)
        for kill in (kill_in_places, kill_by_the_clock):
            broken = copy_of(tiny, f"broken{number}")
            kills += kill(broken, live, overrides, order, calls, rng)
            assert live(broken, overrides) == 0, (broken / "output.txt").read_text()
            assert outputs(broken) == outputs(whole), f"{kill.__name__} with the random seed {number}"
            assert len(list((broken / "submissions/tiny").glob("run-*"))) == 1
            assert not [*broken.rglob(".*.tmp"), *broken.rglob("predicting.pt"), *broken.rglob("checkpoint*.pt")]
            shutil.rmtree(broken)
    count(kills)


def kill_in_places(broken, live, overrides, order, calls, rng) -> int:
    """Kill the run once in each place, between two random calls; return the kills."""
    for place in order:
        # Not beyond a third of the calls that a visit makes on average: what was done before is not done again.
        status = live(broken, overrides, place, rng.randrange(calls[place] // 3))
        assert status == -9, f"not killed in {place}:\n{(broken / 'output.txt').read_text()}"
    return len(order)


def kill_by_the_clock(broken, live, overrides, _order, _calls, rng) -> int:
    """Kill the run three times after a random time, sooner than a fast machine ends; return the kills."""
    statuses = [live(broken, overrides, seconds=rng.uniform(0.1, 1.0)) for _ in range(3)]
    assert {*statuses} <= {0, -9}, (broken / "output.txt").read_text()
    return statuses.count(-9)
