"""The parts of `scores.json` that are computed from arrays and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compete.config.load import load_config
from compete.stages.blend import Blend
from compete.stages.finish import class_scores, cv_scores, label_shares, next_commands, train_shares
from compete.types import Metric

ACCURACY = Metric(lambda labels, predictions: float((predictions.argmax(axis=1) == labels).mean()))


def test_class_scores_are_those_of_the_validated_rows():
    labels = np.array([0, 0, 1, 1])
    oof = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [np.nan, np.nan]])
    cat, dog = class_scores(("cat", "dog"), labels, oof)
    assert (cat.name, cat.precision, cat.recall, cat.support) == ("cat", 1.0, 0.5, 2)
    assert (dog.name, dog.precision, dog.recall, dog.support) == ("dog", 0.5, 1.0, 1)
    assert class_scores(("x", "y"), np.eye(2), np.eye(2)) == ()


def test_the_cv_of_several_members_has_a_spread_and_that_of_one_has_none():
    oof, labels = np.array([[0.9, 0.1], [0.2, 0.8], [np.nan, np.nan]]), np.array([0, 0, 0])
    scores = cv_scores(ACCURACY, labels, Blend(oof, oof, {"a": 1.0, "b": 0.0}), 0.75)
    assert (scores.mean, scores.oof, scores.oof_postprocessed) == (0.5, 0.5, 0.75)
    assert scores.std == pytest.approx(np.sqrt(0.5))
    assert cv_scores(ACCURACY, labels, Blend(oof, oof, {"a": 1.0}), None).std is None


def test_shares_are_of_labels_only():
    labels = pd.DataFrame({"id": list("wxyz"), "label": [1, 0, 1, 1]})
    assert label_shares(labels, 2) == {"1": 0.75, "0": 0.25}
    assert label_shares(labels.assign(label=[0.1, 0.2, 0.3, 0.4]), 3) == {}  # values: more of them than classes
    assert label_shares(labels.assign(b=1), 2) == {}
    assert train_shares(("a", "b"), np.array([0, 1, 1, 1])) == {"a": 0.25, "b": 0.75}
    assert train_shares(("a", "b"), np.array([[1, 0], [1, 1]])) == {"a": 1.0, "b": 0.5}
    soft = np.array([[0.75, 0.25], [0.25, 0.75], [0.0, 1.0], [0.0, 1.0]])
    assert train_shares(("a", "b"), soft) == {"a": 0.25, "b": 0.75}
    assert train_shares(("age",), np.array([0.5, 1.5])) == {}
    assert train_shares(("width", "height"), np.array([[3.0, -1.0], [2.0, 5.0]])) == {}


def test_a_run_with_a_platform_can_be_submitted_next(tiny):
    config = load_config(tiny / "tiny.toml", ['upload={name="kaggle", competition="tiny"}'])
    submit, longer = next_commands(config, Path("submissions/tiny/run-001"), submitted=True)
    assert submit == "compete submit submissions/tiny/run-001"
    assert longer.endswith("""tiny.toml --set 'upload={name="kaggle", competition="tiny"}' --set training.epochs=4""")
