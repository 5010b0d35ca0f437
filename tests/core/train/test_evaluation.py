"""The score on training rows: of a bounded sample, without augmentation, and of no influence on the validation's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compete.errors import CompeteError
from compete.jobs.events import read_result
from compete.session import Run
from compete.train.evaluation import MOST, evaluate, sample_of
from compete.train.trainer import build_trainer
from compete.types import Member, Metric


def evaluated(trainer, *sample):
    parts = trainer.scaler, trainer.loss, trainer.targets, trainer.valid_rows
    return evaluate(trainer.run, trainer.network, *parts, *sample)


@pytest.mark.parametrize(("rows", "size"), [(10, 10), (200, 32), (5_000, 500), (100_000, MOST)])
def test_a_sample_is_a_tenth_of_the_training_rows_within_limits(rows, size):
    all_rows = np.arange(rows) * 3
    sample = sample_of(all_rows, seed=1)
    assert len(set(sample.tolist())) == size and set(sample.tolist()) <= set(all_rows.tolist())
    assert np.array_equal(sample, sample_of(all_rows, seed=1))
    assert rows == size or not np.array_equal(sample, sample_of(all_rows, seed=2))


@pytest.mark.parametrize("batch", [1, 3, 5, 8, 64])
def test_validation_is_the_same_with_a_sample_and_without(make_run, batch):
    trainer = build_trainer(make_run(f"inference.batch_size={batch}"), Member(0, 42))
    loss, score, unknown = evaluated(trainer)
    with_sample = evaluated(trainer, trainer.train_rows)
    assert with_sample[:2] == pytest.approx((loss, score), rel=1e-5) and math.isnan(unknown)


def test_the_training_score_is_the_metric_of_the_sample_s_rows(make_run):
    trainer = build_trainer(make_run("model.name=oracle", "metric.name=accuracy"), Member(0, 42))
    assert trainer.evaluate_epoch()[1:] == (1.0, 1.0)
    labels = trainer.run.dataset.labels
    labels[trainer.train_rows[:4]] = (labels[trainer.train_rows[:4]] + 1) % 3
    assert trainer.evaluate_epoch()[1:] == (1.0, pytest.approx(12 / 16))


def test_a_metric_without_a_value_for_the_sample_gives_none(make_run, monkeypatch):
    def two_classes_or_none(labels, _predictions):
        if len(set(labels.tolist())) < 2:
            raise CompeteError("all labels are the same")
        return 0.5

    trainer = build_trainer(make_run(), Member(0, 42))
    monkeypatch.setattr(Run, "metric", property(lambda _: Metric(two_classes_or_none)))
    one_class = trainer.train_rows[trainer.run.dataset.labels[trainer.train_rows] == 0]
    loss, score, of_sample = evaluated(trainer, one_class)
    assert math.isfinite(loss) and score == 0.5 and math.isnan(of_sample)


def test_a_result_of_an_older_version_is_read():
    epoch = {"number": 1, "train_loss": 1.0, "valid_loss": None, "score": 0.5, "lr": 0.1, "seconds": 1.0}
    state = {"member": {"fold": 0, "seed": 1}, "score": 0.5, "best_epoch": 1, "class_draws": {}, "seconds": 1.0}
    result = read_result({**state, "epochs": [epoch]})
    assert math.isnan(result.epochs[0].train_score) and result.epochs[0].trained is None
