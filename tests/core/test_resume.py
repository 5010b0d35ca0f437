"""A run that is killed anywhere and started again gives the files of an unbroken one, byte for byte."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import sys
from pathlib import Path

import pytest

KILLS = 12
OVERRIDES = (
    "training.epochs=4",
    "training.checkpoint_minutes=0.0002",
    'transforms=[{name="albumentations", random=[{name="HorizontalFlip", p=0.5}]}]',
    'batch_transforms=[{name="mixup"}]',
    'callbacks=[{name="best_checkpoint"}, {name="ema", decay=0.9}]',
    "model.dropout=0.3",
    'tta=[{name="flips"}]',
)
COMPARED = ("submission.csv", "oof.parquet", "test.parquet", "folds.csv")


@pytest.fixture(scope="module")
def context():
    sys.path.insert(0, str(Path(__file__).parent))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["resuming"])
    yield context
    sys.path.remove(str(Path(__file__).parent))


def start(context, folder):
    from resuming import run_in

    process = context.Process(target=run_in, args=(str(folder), *OVERRIDES))
    process.start()
    return process


def outputs(folder: Path) -> dict[str, bytes]:
    run = folder / "submissions/tiny/run-001"
    weights = sorted(run.glob("members/*/weights.safetensors"))
    return {str(p.relative_to(run)): p.read_bytes() for p in [*weights, *(run / name for name in COMPARED)]}


def test_killed_and_resumed_equals_unbroken(tiny, context):
    whole, broken = tiny / "whole", tiny / "broken"
    for folder in (whole, broken):
        folder.mkdir()
        for name in ("data", "tiny.toml", "tiny_plugin.py"):
            copy = shutil.copytree if (tiny / name).is_dir() else shutil.copy
            copy(tiny / name, folder / name)
    process = start(context, whole)
    process.join()
    assert process.exitcode == 0

    rng = random.Random(0)
    killed = 0
    while True:
        process = start(context, broken)
        process.join(rng.uniform(0.05, 1.5) if killed < KILLS else None)
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
        killed += 1
    assert process.exitcode == 0
    assert killed >= 3, "the run ended before it could be killed"
    assert len(list((broken / "submissions/tiny").glob("run-*"))) == 1
    assert outputs(broken) == outputs(whole)
