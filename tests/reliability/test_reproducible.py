"""The same seed gives the same files; loader processes do not repeat one another; what a run depends on is written down."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from compete.config.load import load_config
from compete.errors import Stopped
from compete.hookspecs import hookimpl
from compete.stages.runner import run_competition
from compete.train.checkpoints import checkpoint, resume
from compete.train.loop import train_epoch
from compete.train.trainer import build_trainer
from compete.types import Member

COMPETE = (sys.executable, "-c", "from compete.cli import main; main()")
OVERRIDES = (
    'transforms=[{name="albumentations", random=[{name="HorizontalFlip", p=0.5}]}]',
    'batch_transforms=[{name="mixup"}]',
    "model.dropout=0.3",
)
SECRETS = {
    "KAGGLE_KEY": "key-5c1f0a",
    "KAGGLE_API_TOKEN": "token-77aa20",
    "HF_TOKEN": "hf_9b31",
}


@pytest.fixture(scope="module")
def from_a_shell(tmp_path_factory, write_tiny):
    """A run of the tiny competition in a process of its own, with secrets in its environment."""
    folder = tmp_path_factory.mktemp("shell")
    write_tiny(folder)
    if shutil.which("git"):
        user = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
        for command in (("init", "--quiet"), ("add", "tiny.toml"), (*user, "commit", "--quiet", "-m", "begin")):
            subprocess.run(["git", *command], cwd=folder, check=True)
    sets = [argument for override in OVERRIDES for argument in ("--set", override)]
    # Another order of sets and dicts of text, which nothing may depend on.
    env = {**os.environ, **SECRETS, "PYTHONHASHSEED": "1"}
    done = subprocess.run([*COMPETE, "run", "tiny.toml", *sets], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.mark.promise("The same seed on the same machine: identical weights, predictions and submission (CPU)")
def test_two_runs_of_one_seed_are_identical(tiny, from_a_shell):
    there = from_a_shell[0] / "submissions/tiny/run-001"
    here = run_competition(load_config(tiny / "tiny.toml", OVERRIDES)).folder
    names = [
        path.relative_to(there) for path in there.rglob("*") if path.suffix in (".csv", ".parquet", ".safetensors")
    ]
    assert len(names) == 3 * 3 + 4 + 3  # the rows of three tables
    assert all((here / name).read_bytes() == (there / name).read_bytes() for name in names)
    other = run_competition(load_config(tiny / "tiny.toml", [*OVERRIDES, "training.seed=7"])).folder
    assert (other / "oof.parquet").read_bytes() != (here / "oof.parquet").read_bytes()


@pytest.mark.promise("Tokens in the environment appear nowhere: not in the run folder, the report or the output")
def test_secrets_are_written_nowhere(from_a_shell):
    folder, done = from_a_shell
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "report.html" for path in files)
    for secret in SECRETS.values():
        assert secret not in done.stdout + done.stderr
        assert not [path for path in files if secret.encode() in path.read_bytes()]


@pytest.mark.promise("environment.json: versions, device, precision, command, git state")
def test_what_a_run_depends_on_is_written_down(from_a_shell):
    environment = json.loads((from_a_shell[0] / "submissions/tiny/run-001/environment.json").read_text())
    assert set(environment) >= {"python", "platform", "packages", "plugins", "device", "precision", "command", "git"}
    assert {"compete", "torch", "numpy", "pandas", "timm", "albumentations"} <= set(environment["packages"])
    assert environment["command"][:3] == ["compete", "run", "tiny.toml"]
    assert environment["plugins"] == {"tiny_plugin.py": "tiny_plugin.py"}
    assert (environment["device"], environment["precision"]) == ("cpu", "32-true")
    if shutil.which("git"):
        head = ["git", "rev-parse", "HEAD"]
        commit = subprocess.run(head, cwd=from_a_shell[0], capture_output=True, text=True, check=True).stdout.strip()
        assert environment["git"]["commit"] == commit and environment["git"]["changed_files"] >= 2


ASKING = """

import torch


@hookimpl
def on_run_start(run):
    print("deterministic:", torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark)
"""


@pytest.mark.promise("`[training] deterministic = true` reaches torch, and changes nothing on a CPU")
def test_deterministic_algorithms_can_be_asked_for(tiny, compete):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(ASKING)
    reports = [compete("run", "tiny.toml", "--set", f"training.deterministic={value}") for value in ("true", "false")]
    assert [status for status, _ in reports] == [0, 0]
    assert "deterministic: True False" in reports[0][1] and "deterministic: False" in reports[1][1]
    first, second = (tiny / "submissions/tiny" / name for name in ("run-001", "run-002"))
    assert (first / "oof.parquet").read_bytes() == (second / "oof.parquet").read_bytes()


def noisy(image, seed):
    """Draw from the global generators, as careless plugins do, and put the draws into the image."""
    draws = random.random(), np.random.random(), torch.rand(()).item()
    return (np.ones_like(image) * (np.array(draws) * 255)).astype(image.dtype)


def epoch_of_noise(make_run, *overrides, epoch=0):
    """Return the images of an epoch (batches, rows, 3), as `noisy` made them."""
    from compete.data.loaders import read_batches
    from compete.train.loop import plan_epoch

    run = make_run(*overrides)
    run = replace(run, images=replace(run.images, augment=noisy))
    trainer = build_trainer(run, Member(0, 42))
    trainer.progress.epoch = epoch
    plan_epoch(trainer)
    return np.concatenate([batch.images[:, 0, 0].numpy() for batch in read_batches(trainer.loader)])


@pytest.mark.promise("Loader processes do not repeat one another, epochs differ, and their number changes nothing")
def test_augmentation_of_careless_plugins_is_seeded_too(make_run):
    two = epoch_of_noise(make_run, "training.workers=2")
    assert len(two) == 15 and len(np.unique(two, axis=0)) == 15
    assert np.array_equal(two, epoch_of_noise(make_run, "training.workers=0"))
    later = epoch_of_noise(make_run, "training.workers=2", epoch=1)
    assert not {tuple(row) for row in two} & {tuple(row) for row in later}


class Stop:
    """Saves a checkpoint after the third step and stops there."""

    @hookimpl
    def on_step_end(self, trainer):
        if trainer.step == 3:
            checkpoint(trainer)
            raise Stopped


@pytest.mark.promise("Seeds reach Python, NumPy and torch: a resumed epoch draws what an unbroken one draws")
def test_every_step_is_seeded(make_run):
    def drawing(draws):
        trainer = build_trainer(make_run("training.batch_size=2"), Member(0, 42))

        def draw(images, targets):
            draws.append((random.random(), np.random.random(), torch.rand(()).item()))
            return images, targets

        trainer.batch_transforms.append(draw)
        return trainer

    unbroken, begun, continued = [], [], []
    train_epoch(drawing(unbroken))
    trainer = drawing(begun)
    trainer.run.session.register(Stop())
    with pytest.raises(Stopped):
        train_epoch(trainer)
    trainer = drawing(continued)
    resume(trainer)
    train_epoch(trainer)
    assert begun + continued == unbroken and len(set(unbroken)) == 8
