"""Heads that are fitted go the way of all members, and what needs steps refuses them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from compete.api.calls import load_run
from compete.cli import app
from compete.errors import ConfigError
from compete.stages.predictions import load_member

pytest_plugins = ["core.features.conftest"]


def results(folder, name):
    return pd.read_parquet(folder / f"{name}.parquet")


@pytest.mark.parametrize("head", ["probe", "knn"])
def test_a_fitted_head_goes_from_the_toml_to_new_images(frozen, run_with, head):
    overrides = [f"head.name={head}", "finetune.freeze=none", *(["head.k=3"] if head == "knn" else [])]
    run = run_with(*overrides)
    scores = json.loads((run.folder / "scores.json").read_text())
    assert scores["cv"]["mean"] > 0.8  # the class is the brightness
    assert (run.folder / "submission.csv").exists()
    records = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert [record["number"] for record in records if record["event"] == "epoch"] == [1, 1, 1]
    stage = {record["number"]: record for record in records if record["event"] == "stage"}
    assert (stage[4]["optimizer"], stage[5]["epochs"]) == ("none", 1)
    assert f"the head {head} is fitted at once on features" in stage[5]["notes"][-1]
    again = run_with(*overrides, "submission.name=label")
    np.testing.assert_array_equal(results(again.folder, "test").iloc[:, 1:], results(run.folder, "test").iloc[:, 1:])
    images = sorted((frozen / "data/test").glob("*.png"))
    new = load_run(run.folder).predict(images)
    np.testing.assert_allclose(new.iloc[:, :3], results(run.folder, "test").iloc[:, 1:], atol=1e-5)


def test_probe_in_a_run_is_logistic_regression_on_its_features(run_with):
    run = run_with("head.name=probe", "head.C=0.3")
    for member in run.members:
        network, scaler = load_member(run, member)
        stored = run.stored_features(run.images.train, [network], scaler)
        rows = np.flatnonzero(run.dataset.folds != member.fold)
        scale = StandardScaler().fit(stored.values[rows, 0].astype(float))
        theirs = LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000)
        theirs.fit(scale.transform(stored.values[rows, 0].astype(float)), run.dataset.labels[rows])
        valid = np.flatnonzero(run.dataset.folds == member.fold)
        ours = results(run.folder / "members" / member.name, "oof").set_index("id").to_numpy(float)
        ids = results(run.folder / "members" / member.name, "oof")["id"].tolist()
        assert ids == run.tables.train["id"].iloc[valid].tolist()
        expected = theirs.predict_proba(scale.transform(stored.values[valid, 0].astype(float)))
        np.testing.assert_allclose(ours[:, :3], expected, atol=1e-4)


def test_knn_stores_the_images_that_the_sampler_drew(run_with):
    run = run_with("head.name=knn")
    weights = load_file(run.folder / "members/fold0-seed42/weights.safetensors")
    assert weights["head.memory"].shape == (16, 6)
    assert (
        weights["head.votes"].sum(axis=0).tolist()
        == (run.dataset.labels[run.dataset.folds != 0][:, None] == range(3)).sum(axis=0).tolist()
    )


@pytest.mark.parametrize("head", ["probe", "knn"])
@pytest.mark.parametrize(
    "overrides",
    [
        ["target.name=regression", "loss.name=mse", "metric.name=rmse", "submission.name=value"],
        ["sampler.name=class_balanced"],
        ['tta=[{name="flips"}]', "training.seeds=2"],
        ["training.precision=bf16-mixed", "inference.pool=max"],
    ],
)
def test_fitted_heads_suit_targets_samplers_and_views(frozen, run_with, head, overrides):
    if "regression" in overrides[0]:
        train = pd.read_csv(frozen / "data/train.csv")
        train["label"] = train["label"].map({"a": 0.5, "b": 1.5, "c": 4.0})
        train.to_csv(frozen / "data/train.csv", index=False)
        overrides = [*overrides, "folds.name=group"]
    run = run_with(f"head.name={head}", *overrides)
    assert np.isfinite(results(run.folder, "test").iloc[:, 1:].to_numpy(float)).all()


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (
            ['callbacks=[{name="ema"}]'],
            '[[callbacks]] name = "ema": works on steps, and [head] name = "probe" is fitted',
        ),
        (['finetune.freeze=["stem"]'], "[finetune] freeze"),
        (["finetune.freeze=none", "finetune.backbone_lr_ratio=0.1"], "[finetune] backbone_lr_ratio = 0.1"),
        (
            ['transforms=[{name="albumentations", random=[{name="HorizontalFlip"}]}]'],
            "[[transforms]] have random parts",
        ),
        (['batch_transforms=[{name="mixup"}]', "loss.name=soft_cross_entropy"], "[[batch_transforms]] change"),
        (["model.name=odd", "model.how=twice"], "the network cannot be cut"),
    ],
)
def test_what_does_not_suit_a_fitted_head_is_refused(run_with, overrides, problem):
    with pytest.raises(ConfigError) as refused:
        run_with("head.name=probe", *overrides)
    assert problem in str(refused.value)


@pytest.mark.parametrize("head", ["probe", "knn"])
def test_commands_that_look_at_steps_say_why_there_are_none(frozen, head):
    toml = str(frozen / "tiny.toml")
    doctor = CliRunner().invoke(app, ["doctor", toml, "--set", f"head.name={head}"])
    assert (doctor.exit_code, doctor.stdout.splitlines()[-1]) == (0, "nothing found")
    for command in (["lr", toml], ["inspect", toml, "--parameters"]):
        result = CliRunner().invoke(app, [*command, "--set", f"head.name={head}"])
        assert result.exit_code == 2
        assert "the head is fitted at once" in result.output
    assert CliRunner().invoke(app, ["inspect", toml, "--set", f"head.name={head}"]).exit_code == 0
