"""Untrusted weights, checkpoints and saved predictions cannot run code; names cannot leave their folders."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from compete.model.memory import BatchSplitter
from compete.predict.inference import PartialPredictions
from compete.predict.rows import PredictionCheckpoint
from compete.store import load_state

PROMISE = "Pickles that would run code are refused as weights, checkpoints and saved predictions"


class Bomb:
    """Creates a folder when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def torch_file(path: Path) -> None:
    torch.save({"keys": ["a"], "sums": Bomb()}, path)


def old_torch_file(path: Path) -> None:
    torch.save({"keys": ["a"], "sums": Bomb()}, path, _use_new_zipfile_serialization=False)


def bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(), protocol=2))


BOMBS = [torch_file, old_torch_file, bare_pickle]


@pytest.fixture
def bomb(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "bomb.pth"
    assert not (tmp_path / "exploded").exists()


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("write", BOMBS)
def test_a_checkpoint_with_code_in_it_is_not_run(bomb, write):
    write(bomb)
    with pytest.raises(pickle.UnpicklingError):
        load_state(bomb)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("write", BOMBS)
def test_saved_predictions_with_code_in_them_are_predicted_again(bomb, write):
    write(bomb)
    empty = PartialPredictions(BatchSplitter(print))
    assert PredictionCheckpoint(bomb, ["a"], 1.0).load(empty) is empty


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("write", BOMBS)
def test_weights_with_code_in_them_are_refused(tiny, compete, write):
    write(tiny / "bomb.pth")
    sets = ("model.name=torchvision", "model.backbone=squeezenet1_1", "model.weights=bomb.pth", "images.size=[32,32]")
    status, text = compete("run", "tiny.toml", *(argument for s in sets for argument in ("--set", s)))
    assert status == 2 and "weights = 'bomb.pth': refused. The file holds more than tensors" in text
    assert not (tiny / "exploded").exists()


@pytest.mark.promise("The competition's name cannot lead the run folder elsewhere")
@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/elsewhere", "a/b", "..", "", ".hidden", "x" * 200])
def test_names_are_folder_names(tiny, compete, name):
    status, text = compete("run", "tiny.toml", "--set", f'competition.name="{name}"')
    assert status == 2 and "[competition] name = " in text
    assert not (tiny / "submissions").exists()


@pytest.mark.promise("The run's name cannot lead the run folder elsewhere")
@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/elsewhere", "a/b", "..", ".hidden", "folds", ""])
def test_run_names_are_folder_names(tiny, compete, name):
    status, text = compete("run", "tiny.toml", "--name", name)
    assert status == 2 and f"--name {name}" in text, text
    assert not (tiny / "submissions").exists() and not (tiny.parent / "elsewhere").exists()
