"""Epochs, batch, rate and steps that fit together; corrections that do not contradict each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compete.advice.facts import Facts, Weights, values
from compete.advice.models import CANDIDATES, Model
from compete.advice.pace import FEWEST_EPOCHS, STEPS, choose_epochs, choose_pace
from compete.advice.recipe import recipe

PHOTOS = Facts(rows=2_000, kind="label", metric="accuracy", side=224, counts={"a": 1_000, "b": 1_000})
PRETRAINED = Model(CANDIDATES[0], Weights(CANDIDATES[0].backbone, "cache"), 224)
UNEVEN = {"a": 1_900, "b": 100}


@pytest.mark.parametrize("rows", [36, 100, 300, 735, 1_695, 2_400, 20_000, 300_000])
def test_every_member_makes_some_hundred_steps(rows):
    pace = choose_pace(replace(PHOTOS, rows=rows), pretrained=True)
    assert pace.steps >= STEPS and pace.epochs >= FEWEST_EPOCHS
    assert pace.steps == pace.epochs * (rows * 4 // 5 // pace.batch)


def test_a_single_split_trains_on_nine_rows_in_ten():
    pace = choose_pace(replace(PHOTOS, rows=400_000, folds=1, device="cuda"), pretrained=True)
    assert (pace.epochs, pace.batch, pace.steps) == (3, 64, 3 * (360_000 // 64))


def test_more_rows_need_fewer_epochs_and_more_images():
    epochs = [choose_epochs(rows) for rows in (100, 1_000, 10_000, 100_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert [rows * choose_epochs(rows) for rows in (1_000, 10_000)] == sorted([25_000, 80_000])


def test_the_rate_follows_the_batch():
    rates = {}
    for rows in (120, 2_000):
        tables = list(recipe(replace(PHOTOS, rows=rows), PRETRAINED))
        rates[values(tables, "training")["batch_size"]] = values(tables, "optimizer")["lr"]
    (few, low), (many, high) = sorted(rates.items())
    assert high / low == pytest.approx((many / few) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("metric", "counts", "sampler", "prior"),
    [
        ("macro_f1", UNEVEN, "weighted", True),
        ("macro_f1", {"a": 1_000, "b": 200}, None, True),
        ("macro_f1", {"a": 1_000, "b": 1_000}, None, False),
        ("accuracy", UNEVEN, "shuffle", False),
        ("log_loss", UNEVEN, "shuffle", False),
        ("weighted_f1", UNEVEN, "shuffle", False),
        ("kappa", UNEVEN, "weighted", False),
    ],
)
def test_classes_are_corrected_only_for_the_metric(metric, counts, sampler, prior):
    tables = list(recipe(replace(PHOTOS, metric=metric, counts=counts), PRETRAINED))
    assert values(tables, "sampler").get("name") == sampler
    assert (values(tables, "postprocess").get("name") == "prior") == prior
    assert values(tables, "loss") == {"name": "cross_entropy"}


def test_a_network_from_scratch_is_not_fine_tuned():
    scratch = list(recipe(PHOTOS, Model(CANDIDATES[0], None, 96, why="none")))
    assert values(scratch, "model") == {"name": "resnet9"} and values(scratch, "finetune") == {}
    assert values(scratch, "training")["epochs"] > values(list(recipe(PHOTOS, PRETRAINED)), "training")["epochs"]


def test_weights_of_a_file_are_written_as_a_file():
    model = replace(PRETRAINED, weights=Weights("resnet18", "weights/resnet18.pth"))
    written = values(list(recipe(PHOTOS, model)), "model")
    assert written == {"name": "timm", "backbone": "resnet18", "weights": "weights/resnet18.pth"}
