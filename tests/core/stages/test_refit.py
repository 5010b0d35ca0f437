"""`[training] refit`: members of all rows predict the test set, and the CV stays that of the folds."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import compete
from compete.errors import ConfigError
from compete.stages import members as members_module
from compete.stages.members import refit_members
from compete.types import ALL_ROWS, Epoch, Member, MemberResult

CLASSES = ["a", "b", "c"]
REFIT = ["training.refit=true", "training.epochs=3"]


def result(epoch: int, seed: int = 42) -> MemberResult:
    return MemberResult(Member(0, seed), 0.5, epoch, (Epoch(1, 0, 0, 0, 0, 0),))


def test_a_refit_trains_each_seed_to_the_median_of_the_best_epochs():
    found = refit_members([result(2), result(9), result(4), result(3, 7), result(5, 7)])
    assert found == (Member(ALL_ROWS, 42, 4), Member(ALL_ROWS, 7, 4))
    assert refit_members([result(2), result(3)])[0].epochs == 3  # between two epochs, the later one
    assert found[0].name == "all-seed42"


def test_members_of_all_rows_predict_the_test_set_and_the_cv_is_that_of_the_folds(tiny, monkeypatch):
    plain = compete.run(tiny / "tiny.toml", ["training.epochs=3"])
    trained = []
    original = members_module.train

    def train(run, member):
        trained.append(member)
        return original(run, member)

    monkeypatch.setattr(members_module, "train", train)
    done = compete.run(tiny / "tiny.toml", REFIT)
    assert [member.name for member in trained] == ["all-seed42"]  # the folds' members are reused
    pd.testing.assert_frame_equal(done.oof, plain.oof)
    assert done.scores.cv == plain.scores.cv and set(done.scores.refit) == {"all-seed42"}
    own = pd.read_parquet(done.folder / "members/all-seed42/test.parquet").set_index("id")[CLASSES]
    np.testing.assert_allclose(done.test[CLASSES], own, atol=1e-6)
    state = json.loads((done.folder / "members/all-seed42/result.json").read_text())
    best = sorted(member.best_epoch for member in done.scores.members.values())
    assert len(state["epochs"]) == state["member"]["epochs"] == best[1] and state["score"] is None
    assert sum(state["class_draws"].values()) == 24 * best[1]  # every row in every epoch


def test_a_refit_resumes_and_predicts_other_images(tiny):
    settings = [*REFIT, "training.seeds=2", "ensemble.name=weighted"]
    done = compete.run(tiny / "tiny.toml", settings)
    submission = (done.folder / "submission.csv").read_bytes()
    for name in ("weights.safetensors", "test.parquet"):
        (done.folder / "members/all-seed43" / name).unlink()
    again = compete.run(tiny / "tiny.toml", settings)
    assert again.folder == done.folder and (again.folder / "submission.csv").read_bytes() == submission
    found = compete.load_run(done.folder).predict("data/test")
    np.testing.assert_allclose(found[CLASSES], done.test.loc[found.index, CLASSES], atol=1e-5)


def test_early_stopping_does_not_end_a_refit(tiny):
    callbacks = 'callbacks=[{name="best_checkpoint"}, {name="early_stopping", patience_epochs=1}]'
    done = compete.run(tiny / "tiny.toml", ["training.refit=true", "training.epochs=6", callbacks])
    best = sorted(member.best_epoch for member in done.scores.members.values())[1]
    assert len(done.scores.refit["all-seed42"].epochs) == best


def test_weights_of_a_refit_may_not_start_another_run(tiny):
    done = compete.run(tiny / "tiny.toml", REFIT)
    weights = done.folder / "members/all-seed42/weights.safetensors"
    network = f'model={{name="timm", backbone="resnet18", weights="{weights}"}}'
    with pytest.raises(ConfigError, match="member all-seed42 of run-001, which was trained on rows that are now valid"):
        compete.run(tiny / "tiny.toml", ["training.epochs=1", network])


def test_without_a_test_set_nothing_is_refitted(tiny):
    (tiny / "data/sample.csv").write_text("id,label\n")
    done = compete.run(tiny / "tiny.toml", [*REFIT, 'submission={name="label"}'])
    assert done.scores.refit == {}


def test_a_refit_cannot_follow_a_score(make_run):
    make_run("scheduler.name=plateau")
    with pytest.raises(
        ConfigError, match=r'refit = true: \[scheduler\] name = "plateau" follows the score of the fold'
    ):
        make_run("scheduler.name=plateau", "training.refit=true")
