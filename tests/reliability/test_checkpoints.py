"""Damaged checkpoints, caches and weights; and a prediction that resumes inside the test set."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from compete.api.result import Result
from compete.config.load import load_config
from compete.errors import CompeteError, Stopped
from compete.stages.members import finish_member
from compete.stages.predictions import member_predictions, predict_members
from compete.stages.runner import run_competition
from compete.train.checkpoints import checkpoint, resume
from compete.train.loop import train_epoch
from compete.train.trainer import build_trainer
from compete.types import Member

STOPPING = """

import os

from compete.errors import Stopped


@hookimpl(trylast=True)
def on_epoch_end(trainer, epoch):
    if os.environ.get("STOP") and (trainer.member.fold, epoch.number) == (0, 3):
        raise Stopped
"""
OVERRIDES = ("training.epochs=4", "training.only_folds=[0]")
ANEW, BEFORE = "; its member is trained from scratch", "; the checkpoint before it is used"


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "cut in half": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "other bytes": lambda path: path.write_bytes(b"\x00\xff" * 5000),
    "holds code": lambda path: torch.save({"network": Bomb()}, path),
    "holds no state": lambda path: torch.save([1, 2], path),
}


def run(tiny: Path, **options: object):
    return Result.of(run_competition(load_config(tiny / "tiny.toml", OVERRIDES), **options))


@pytest.fixture
def stopped(tiny, monkeypatch) -> Path:
    """A run stopped in its third epoch; return the folder of its member, with checkpoints of epochs 1 and 2."""
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(STOPPING)
    monkeypatch.setenv("STOP", "1")
    with pytest.raises(KeyboardInterrupt):
        run(tiny)
    monkeypatch.delenv("STOP")
    folder = tiny / "submissions/tiny/run-001/members/fold0-seed42"
    assert {path.name for path in folder.iterdir()} == {"checkpoint.pt", "checkpoint.previous.pt"}
    return folder


def epochs_trained(folder: Path) -> list[int]:
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [event["number"] for event in events if event["event"] == "epoch"]


def same_results(tiny: Path, done) -> bool:
    unbroken = run(tiny, name="unbroken", fresh=True)
    names = ("submission.csv", "oof.parquet", "test.parquet", "members/fold0-seed42/weights.safetensors")
    return all((done.folder / name).read_bytes() == (unbroken.folder / name).read_bytes() for name in names)


@pytest.mark.promise(
    "A damaged checkpoint: the one before it is used, or the member is trained from scratch; both are reported"
)
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_newest_checkpoint_is_damaged(tiny, stopped, damage):
    DAMAGES[damage](stopped / "checkpoint.pt")
    done = run(tiny)
    assert len([w for w in done.warnings if "checkpoint.pt (" in w and w.endswith(BEFORE)]) == 1
    assert epochs_trained(done.folder) == [1, 2, 3, 2, 3, 4]
    assert not (tiny / "exploded").exists()
    if damage == "cut in half":
        assert same_results(tiny, done)


@pytest.mark.promise(
    "A damaged checkpoint: the one before it is used, or the member is trained from scratch; both are reported"
)
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_checkpoint_is_damaged(tiny, stopped, damage):
    for path in list(stopped.iterdir()):
        DAMAGES[damage](path)
    done = run(tiny)
    assert len([w for w in done.warnings if "checkpoint.previous.pt (" in w and w.endswith(ANEW)]) == 1
    assert epochs_trained(done.folder) == [1, 2, 3, 1, 2, 3, 4]
    if damage == "cut in half":
        assert same_results(tiny, done)


@pytest.mark.promise(
    "A damaged checkpoint: the one before it is used, or the member is trained from scratch; both are reported"
)
def test_a_save_that_was_cut_off_between_its_two_renames(tiny, stopped):
    """The newest is called the spare already, and the new one is whole but has its first name still."""
    (stopped / "checkpoint.previous.pt").unlink()
    (stopped / "checkpoint.pt").rename(stopped / "checkpoint.new.pt")
    done = run(tiny)
    assert not any("checkpoint" in warning for warning in done.warnings)
    assert epochs_trained(done.folder) == [1, 2, 3, 3, 4]


@pytest.mark.promise(
    "A damaged checkpoint: the one before it is used, or the member is trained from scratch; both are reported"
)
def test_a_checkpoint_of_another_version(tiny, stopped):
    state = torch.load(stopped / "checkpoint.pt", weights_only=True)
    torch.save({**state, "format": 0}, stopped / "checkpoint.pt")
    done = run(tiny)
    assert any("another version of compete; the member is trained from scratch" in warning for warning in done.warnings)
    assert epochs_trained(done.folder) == [1, 2, 3, 1, 2, 3, 4]


@pytest.mark.promise("A damaged cache is built again")
@pytest.mark.parametrize("damage", [truncate, Path.unlink, lambda path: path.with_suffix(".json").write_text("{")])
def test_a_damaged_cache(tiny, make_run, damage):
    images = make_run().images.train.images
    expected = np.array(images)
    damage(Path(images.filename))
    assert np.array_equal(make_run().images.train.images, expected)


@pytest.mark.promise("Damaged weights or predictions: named, with what to do")
@pytest.mark.parametrize(
    ("name", "remedy"),
    [("weights.safetensors", "the member is trained from scratch"), ("oof.parquet", "it is predicted again")],
)
def test_damaged_results_say_what_to_do_and_that_helps(tiny, name, remedy):
    done = run(tiny)
    before = (done.folder / "submission.csv").read_bytes()
    path = done.folder / "members/fold0-seed42" / name
    truncate(path)
    if name == "weights.safetensors":
        (path.parent / "predictions.json").unlink()
    with pytest.raises(CompeteError, match=rf"{name} cannot be read .* Remove it and run again: {remedy}"):
        run(tiny)
    path.unlink()
    assert (run(tiny).folder / "submission.csv").read_bytes() == before


@pytest.mark.promise("Two callbacks of one class each get their own state back")
def test_two_callbacks_of_one_class(make_run):
    decays = 'callbacks=[{name="ema", decay=0.5, warmup=false}, {name="best_checkpoint"}, {name="ema", decay=0.9, warmup=false}]'

    def trainer_of(run):
        trainer = build_trainer(run, Member(0, 42))
        run.hook.on_member_start(trainer=trainer)
        averages = [p for _, p in run.session.manager.list_name_plugin() if type(p).__name__ == "WeightAverage"]
        return trainer, averages

    def states(averages):
        return [{name: torch.as_tensor(value).clone() for name, value in a.state_dict().items()} for a in averages]

    trainer, averages = trainer_of(make_run(decays))
    train_epoch(trainer)
    checkpoint(trainer)
    before = states(averages)
    assert len(before) == 2 and any(not torch.equal(before[0][name], before[1][name]) for name in before[0])
    again, averages = trainer_of(make_run(decays))
    resume(again)
    after = states(averages)
    assert all(torch.equal(b[name], a[name]) for b, a in zip(before, after, strict=True) for name in b)


class Forwards:
    """Counts the forward passes over single images, and stops like Ctrl-C before number `most` + 1."""

    def __init__(self) -> None:
        self.made, self.most = 0, -1

    def __call__(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if type(module).__name__ != "Brightness" or len(inputs[0]) != 1:  # the trial of a network takes two
            return
        if self.made == self.most:
            raise Stopped
        self.made += 1


@pytest.fixture
def forwards():
    counter = Forwards()
    handle = torch.nn.modules.module.register_module_forward_pre_hook(counter)
    yield counter
    handle.remove()


@pytest.mark.promise("A stopped prediction resumes after its last saved batch, with the same result")
@pytest.mark.parametrize(("stop_after", "left"), [(1, 29), (8, 22), (13, 17), (16, 14), (21, 10), (28, 2), (29, 2)])
def test_a_prediction_goes_on(make_run, forwards, stop_after, left):
    """Two members: 8 + 8 batches of OOF, then 7 batches of the test set, each read once for both."""
    run = make_run(
        "training.epochs=1", "training.only_folds=[0, 1]", "inference.batch_size=1", "training.checkpoint_minutes=1e-9"
    )
    for member in run.members:
        finish_member(run, member)
    forwards.made, forwards.most = 0, stop_after
    with pytest.raises(KeyboardInterrupt):
        predict_members(run)
    forwards.made, forwards.most = 0, -1
    predict_members(run)
    assert forwards.made == left
    continued = member_predictions(run)
    for marks in run.folder.glob("members/*/predictions.json"):
        marks.unlink()
    predict_members(run)
    assert forwards.made == left + 30
    assert all(np.array_equal(*pair, equal_nan=True) for pair in zip(continued, member_predictions(run), strict=True))
