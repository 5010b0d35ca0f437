"""What weights and checkpoints hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from compete.api.result import Result
from compete.config.load import load_config
from compete.errors import UserError
from compete.identity import digest_file
from compete.stages.runner import run_competition
from compete.study.tensors import member_table, tensor_table


def test_members_are_shown_with_what_their_weights_hold(tiny):
    done = Result.of(run_competition(load_config(tiny / "tiny.toml")))
    table = member_table(done.folder).set_index("member")
    row, weights = table.loc["fold0-seed42"], done.folder / "members/fold0-seed42/weights.safetensors"
    assert (row["state"], row["epochs"]) == ("finished", 2)
    assert row["score"] == pytest.approx(done.scores.members["fold0-seed42"].score)
    assert row["tensors"] == len(load_file(weights))
    assert row["fingerprint"] == digest_file(weights)[:16]
    (done.folder / "members/fold1-seed42/result.json").unlink()
    assert member_table(done.folder)["state"].tolist() == ["finished", "no readable checkpoint", "finished"]


def test_the_epoch_of_a_checkpoint_is_shown(tiny, make_run, monkeypatch):
    from compete.stages.members import finish_member

    run = make_run("training.epochs=3")
    member = run.members[0]
    monkeypatch.setattr("compete.stages.members.write_member", lambda *_: None)
    finish_member(run, member)
    [row] = member_table(run.folder).to_dict("records")
    assert row["state"] == "in epoch 4, step 0" and row["epochs"] == 3 and row["tensors"] == 9


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_tensors_of_a_file(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros((), dtype=torch.int64)}
    if suffix == ".pt":
        torch.save({"model": tensors, "epoch": 3}, path)
    else:
        save_file(tensors, path)
    table = tensor_table(path)
    prefix = "model." if suffix == ".pt" else ""
    assert sorted(table.to_numpy().tolist()) == [
        [f"{prefix}a", "2 x 3", "float32", 6],
        [f"{prefix}b", "scalar", "int64", 1],
    ]


def test_a_file_with_code_in_it_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"weights": Bomb()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match=r"evil.pt cannot be read as weights"):
        tensor_table(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()
