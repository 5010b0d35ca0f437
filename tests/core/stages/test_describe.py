"""The stages' reports of the tiny competition: 24 rows in 12 groups, 3 classes of 8 rows, 7 test rows."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from compete.config.load import load_config
from compete.model.finetune import begin_plan
from compete.reports import ImagesReport, PlanReport
from compete.stages.describe import (
    describe_images,
    describe_network,
    describe_optimization,
    describe_plan,
    describe_rows,
)
from compete.stages.runner import run_competition
from compete.types import Member, Tables, Target


@pytest.fixture
def config(tiny):
    return load_config(
        tiny / "tiny.toml", ['transforms=[{name="albumentations"}]', 'batch_transforms=[{name="mixup"}]']
    )


def rows(config, labels: list, **columns: list):
    train = pd.DataFrame({"id": [str(n) for n in range(len(labels))], **columns})
    target = Target(tuple("abc"), None, None, None, None, (3,))
    folds = np.array([-1, *(n % 2 for n in range(len(labels) - 1))])
    return describe_rows(config, Tables(train, train.head(2), train, "drawn"), target, np.array(labels), folds, "f00d")


def test_rows_count_groups_classes_and_folds(config):
    report = rows(config, [0, 0, 0, 2, 2], group=list("xxyyy"))
    assert (report.train_rows, report.test_rows, report.groups, report.outputs) == (5, 2, 2, 3)
    assert report.class_rows == (2, 3)  # class 1 has no row
    assert report.fold_rows == (2, 2)  # the first row only trains
    assert (report.folds_key, report.note) == ("f00d", "drawn")


@pytest.mark.parametrize("labels", [[0.5, 0.5], [[1, 0, 0], [1, 1, 0]]])
def test_rows_without_a_single_class_have_no_class_counts(config, labels):
    report = rows(config, labels)
    assert report.class_rows is None and report.groups is None


def test_images_name_their_transforms(config):
    assert describe_images(config, 24, 7, 3) == ImagesReport(
        24, 7, 8, 8, True, ("albumentations",), ("mixup",), "shuffle", 3
    )


def test_a_network_counts_all_parameters_and_those_that_move(config):
    network = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 3))
    network[0].requires_grad_(False)
    network.notes = ("weights: none",)
    report = describe_network(config, network, 3, begin_plan(network, config, 3))
    assert (report.parameters, report.trained, report.frozen, report.notes) == (19, 9, ("0",), ("weights: none",))
    assert (report.model, report.backbone, report.head) == ("brightness", "", "linear")


def test_an_optimizer_names_each_learning_rate_once(config):
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    groups = [{"params": [weight], "lr": lr} for weight, lr in zip(weights, (0.1, 0.01, 0.1), strict=True)]
    report = describe_optimization(config, torch.optim.SGD(groups), heads=2)
    assert report.learning_rates == (0.01, 0.1)
    assert (report.heads, report.optimizer, report.metric, report.batch_size) == (2, "adamw", "macro_f1", 5)


def test_a_plan_counts_folds_and_seeds(config):
    members = [Member(fold, seed) for seed in (1, 2) for fold in (0, 2, 4)]
    report = describe_plan(config, members, members[:1], "cpu", "32-true", True, ["a note"])
    assert report == PlanReport(3, 2, 2, "cpu", "32-true", (), "mean", "label", ("fold0-seed1",), ("a note",))


def test_the_log_holds_the_facts_of_all_six_stages(tiny):
    config = load_config(tiny / "tiny.toml", ["training.epochs=1", "training.only_folds=[0]"])
    folder = run_competition(config).folder
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    stages = [event for event in events if event["event"] == "stage"]
    assert [stage["number"] for stage in stages] == [1, 2, 3, 4, 5, 6]
    assert stages[0]["title"] == "preprocess" and stages[0]["class_rows"] == [8, 8] and stages[0]["groups"] == 12
    assert stages[1].items() >= {"train_images": 24, "test_images": 7, "sampler": "shuffle"}.items()
    assert stages[5]["folder"] == str(folder)
    assert asdict(describe_plan(config, [Member(0, 42)], [], "cpu", "32-true", True)).keys() <= stages[4].keys()
