"""Stored features give what the slow way gives, with one pass of the backbone over the images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import compete.features.stored
import compete.session
from compete.errors import Stopped
from compete.features.plan import FeaturePlan
from conftest import TINY_PLUGIN, load_module


def results(run):
    """Return a run's weights by member and name, and its predictions."""
    folder = run.folder
    weights = {m.name: load_file(folder / "members" / m.name / "weights.safetensors") for m in run.members}
    return weights, pd.read_parquet(folder / "oof.parquet"), pd.read_parquet(folder / "test.parquet")


def both_ways(run_with, monkeypatch, *overrides):
    fast = run_with(*overrides)
    assert fast.feature_plan.split is not None, fast.feature_plan.reason
    monkeypatch.setattr(compete.session, "plan_features", lambda *_: FeaturePlan())
    slow = run_with(*overrides)
    assert slow.feature_plan.split is None
    assert [fast.identity.member(m) for m in fast.members] == [slow.identity.member(m) for m in slow.members]
    return results(fast), results(slow)


def assert_equal(fast, slow, tolerance=1e-5):
    for name, weights in fast[0].items():
        for key, tensor in weights.items():
            torch.testing.assert_close(tensor, slow[0][name][key], rtol=tolerance, atol=tolerance, msg=f"{name} {key}")
    for one, other in zip(fast[1:], slow[1:], strict=True):
        assert one["id"].tolist() == other["id"].tolist()
        np.testing.assert_allclose(one.iloc[:, 1:], other.iloc[:, 1:], rtol=tolerance, atol=tolerance)


VARIANTS = {
    "plain": [],
    "seeds": ["training.seeds=2"],
    "bf16": ["training.precision=bf16-mixed"],
    "bf16 dropout": ["training.precision=bf16-mixed", "model.dropout=0.3"],
    "contiguous": ["training.channels_last=false"],
    "dropout": ["model.dropout=0.5"],
    "multi-sample dropout": ["head.name=multi_sample_dropout"],
    "cosine": ["head.name=cosine", "training.batch_size=4", "training.drop_last=true"],
    "drawn backbones": ["model.drawn=true"],
    "accumulation": ["training.accumulation_steps=2", "training.max_grad_norm=0.1", "training.drop_last=false"],
    "views": ['tta=[{name="flips"}]'],
    "balanced": ["sampler.name=class_balanced"],
    "ema": ['callbacks=[{name="best_checkpoint"}, {name="ema"}]'],
    "swa": ['callbacks=[{name="swa", last_epochs=2}]', "head.name=cosine"],
    "soup": ['callbacks=[{name="best_checkpoint"}, {name="soup"}]'],
    "sam": ["optimizer.name=sam"],
    "uncached": ["images.cache=false"],
}


@pytest.mark.parametrize("overrides", VARIANTS.values(), ids=VARIANTS)
def test_the_fast_way_gives_what_the_slow_way_gives(run_with, monkeypatch, overrides):
    assert_equal(*both_ways(run_with, monkeypatch, *overrides))


def several_images(frozen):
    """Give each training row one to three images, and every row a column."""
    train = pd.read_csv(frozen / "data/train.csv")
    rng = np.random.default_rng(0)
    others = train.groupby("group")["image"].transform("last")
    train["image"] = [
        json.dumps([image, *[other] * number])
        for image, other, number in zip(train["image"], others, rng.integers(3, size=len(train)), strict=True)
    ]
    train["age"] = rng.integers(20, 90, len(train))
    train.to_csv(frozen / "data/train.csv", index=False)
    plugin = (frozen / "tiny_plugin.py").read_text()
    plugin = plugin.replace(
        "    return Tables(train if",
        '    train["image"] = [__import__("json").loads(paths) for paths in train["image"]]\n'
        '    test["age"] = "50"\n    return Tables(train if',
    )
    (frozen / "tiny_plugin.py").write_text(plugin)


@pytest.mark.parametrize("pool", ["mean", "max"])
@pytest.mark.parametrize("head", ["linear", "multi_sample_dropout"])
def test_rows_of_several_images_and_columns_are_joined_as_before(frozen, run_with, monkeypatch, pool, head):
    several_images(frozen)
    overrides = ['columns={numeric=["age"]}', f"inference.pool={pool}", f"head.name={head}", "head.dropout=0.2"]
    assert_equal(*both_ways(run_with, monkeypatch, *overrides, 'tta=[{name="flips"}]'))


def passes():
    """Return how many images passed the backbone since this was last asked."""
    path = Path("passes.txt")
    total = sum(map(int, path.read_text().split())) if path.exists() else 0
    path.unlink(missing_ok=True)
    return total


def draw(frozen, people, test):
    shutil.rmtree(frozen / "data")
    load_module(TINY_PLUGIN).draw_tiny(frozen / "data", people=people, images=4, test=test)


def notes_of(run):
    lines = (run.folder / "log.jsonl").read_text().splitlines()
    return next(record["notes"] for record in map(json.loads, lines) if record.get("number") == 6)


def test_five_folds_of_ten_epochs_cost_one_pass(frozen, run_with):
    draw(frozen, people=100, test=100)
    run = run_with("folds.n=5", "training.epochs=10", "training.batch_size=64")
    # 400 training images and 100 test images once; the rest is noise on which the networks are tried
    assert 500 <= passes() <= 500 + 0.3 * 400
    assert notes_of(run)[0].startswith("features of 400 training images x 6, computed once: ")


def test_the_next_run_reads_the_features_of_the_last(frozen, run_with):
    draw(frozen, people=40, test=40)
    run_with("training.epochs=1")
    assert passes() >= 200
    run = run_with("head.name=multi_sample_dropout", "optimizer.name=sgd", "optimizer.lr=0.01", "loss.name=focal")
    assert passes() <= 80
    assert notes_of(run)[0] == "features of 160 training images x 6, computed before"
    run_with("model.width=7", "training.epochs=1")  # another backbone
    assert passes() >= 200


def test_each_view_passes_once_for_all_members(frozen, run_with):
    draw(frozen, people=150, test=100)
    run_with("folds.n=5", "training.seeds=2", "training.batch_size=64", 'tta=[{name="flips"}]')
    assert 1400 <= passes() <= 1400 + 0.3 * 600  # the image and its mirror image


def test_a_pass_that_was_killed_resumes_after_its_last_save(frozen, run_with, monkeypatch):
    monkeypatch.setattr(compete.features.stored, "SAVE_EVERY_S", -1)
    draw(frozen, people=40, test=5)
    real = compete.features.stored.Backbone.__call__
    calls = []

    def dies(backbone, images):
        calls.append(len(images))
        if len(calls) == 10:
            raise Stopped
        return real(backbone, images)

    monkeypatch.setattr(compete.features.stored.Backbone, "__call__", dies)
    with pytest.raises(Stopped):
        run_with()
    assert sum(calls[:-1]) == 90
    calls[:] = [0] * 100  # never the tenth
    resumed = results(run_with())
    assert sum(calls) == 160 - 90 + 5
    shutil.rmtree(".compete/cache/features")
    assert_equal(resumed, results(run_with()), tolerance=1e-7)


@pytest.mark.parametrize("damage", ["cut", "other header", "no marks", "bad marks"])
def test_damaged_features_are_computed_again(frozen, run_with, damage):
    expected = results(run_with())
    for data in Path(".compete/cache/features").glob("*.npy"):
        marks = data.with_suffix(".json")
        if damage == "cut":
            data.write_bytes(data.read_bytes()[:-4])
        elif damage == "other header":
            np.save(data, np.zeros(np.load(data).shape, np.float64))
        elif damage == "no marks":
            marks.unlink()
        else:
            marks.write_text(marks.read_text().replace("float32", "load"))
    assert_equal(results(run_with()), expected, tolerance=1e-7)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["model.name=odd", "model.how=noise"], "its features are others in training mode"),
        (["model.name=odd", "model.how=twice"], "its head head does not take one tensor, once"),
        (["model.name=odd", "model.how=after"], "it works on after its head head"),
        (["model.name=odd", "model.how=two inputs"], "it works on after its head head"),
        (
            ['transforms=[{name="albumentations", random=[{name="HorizontalFlip"}]}]'],
            "[[transforms]] have random parts",
        ),
        (['batch_transforms=[{name="mixup"}]', "loss.name=soft_cross_entropy"], "[[batch_transforms]] change"),
        (['hooks=[{name="nan_watch", modules=["*"]}]'], "[[hooks]] watch"),
    ],
)
def test_the_slow_way_says_why_in_one_line(run_with, overrides, reason):
    run = run_with(*overrides, "training.epochs=1")
    assert run.feature_plan.split is None
    said = [note for note in run.session.notes if "runs in every epoch" in note]
    assert len(said) == 1
    assert reason in said[0]


def test_a_trained_backbone_says_nothing(run_with):
    run = run_with("finetune.freeze=none", "training.epochs=1")
    assert run.feature_plan == FeaturePlan()
    assert not run.session.notes


def test_a_head_called_by_keyword_is_found(run_with):
    assert run_with("model.name=odd", "model.how=keyword", "training.epochs=1").feature_plan.split is not None
