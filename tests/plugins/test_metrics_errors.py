"""What metrics refuse, and how long they take."""

from __future__ import annotations

import time

import numpy as np
import pytest

from compete import CompeteError, ConfigError
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.metrics import register_metrics

METRICS = register_metrics()
ONE_CLASS = [
    "accuracy",
    "error",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "kappa",
    "map_at_k",
    "log_loss",
    "kl_divergence",
]
BINARY = ["probabilistic_f1", "weighted_auc", "roc_auc"]
LABELS = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]], dtype=np.float32)
PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6]])


def message(kind: type[CompeteError], name: str, y_true: object, predictions: object, **options: object) -> str:
    with pytest.raises(kind) as error:
        METRICS[name](**options).score(np.asarray(y_true), np.asarray(predictions))
    return str(error.value)


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_metric_scores_a_row_that_is_not_finite(name, bad):
    predictions = np.full((4, 1), 0.5, dtype=np.float32)
    predictions[1:3] = bad
    assert message(CompeteError, name, [0, 1, 0, 1], predictions) == (
        "cannot score: 2 of 4 rows of predictions hold NaN or infinity, first in row 1."
    )


@pytest.mark.parametrize("name", sorted(METRICS))
def test_no_metric_scores_rows_without_labels_or_no_rows(name):
    text = message(CompeteError, name, [0, 1], np.ones((3, 2)))
    assert text == "cannot score: 2 labels, but 3 rows of predictions."
    assert message(CompeteError, name, np.zeros(0, int), np.ones((0, 2))) == "cannot score: no rows."


@pytest.mark.parametrize("name", ONE_CLASS)
def test_one_class_per_row_is_needed(name):
    assert message(ConfigError, name, LABELS, PROBABILITIES) == (
        "[metric] the metric needs one class, or soft labels that sum to one, per row; 2 of 3 rows hold "
        "several labels or none. Use 'label_set_f1', 'mean_column_auc' or 'multilabel_log_loss'."
    )


@pytest.mark.parametrize("name", ONE_CLASS)
def test_values_are_not_classes(name):
    assert message(ConfigError, name, [[0.5], [1.25]], [[0.5], [0.7]]) == (
        "[metric] the metric scores classes, but the target is a number. Use 'rmse'."
    )


@pytest.mark.parametrize("name", ["log_loss", "kl_divergence", "map_at_k", "flat_auc", "roc_auc", "label_set_f1"])
def test_a_class_without_a_column_is_named(name):
    text = message(ConfigError, name, [0, 1, 7], PROBABILITIES)
    assert text == "[metric] the metric needs a column for each class; class 7 is beyond the 3 that are predicted."


@pytest.mark.parametrize("name", ["log_loss", "kl_divergence", "multilabel_log_loss"])
def test_values_are_not_probabilities(name):
    text = message(ConfigError, name, [0, 1, 1], [[-0.5], [2.0], [55.0]])
    assert text == "[metric] the metric needs probabilities; the predictions range from -0.5 to 55."


def test_a_rounding_error_beyond_one_is_allowed():
    above = np.array([[1 + 1e-7, 0.0], [-1e-8, 1.0]])
    assert METRICS["log_loss"]().score(np.array([0, 1]), above) == pytest.approx(0, abs=1e-6)


def test_a_row_of_zeros_cannot_be_normalised():
    text = message(CompeteError, "log_loss", [0, 1], [[0.5, 0.5], [0.0, 0.0]])
    assert text == "cannot score: the probabilities of row 1 sum to zero."


@pytest.mark.parametrize("name", BINARY[:2])
def test_binary_metrics_refuse_more_columns(name):
    text = message(ConfigError, name, [0, 1, 1], PROBABILITIES)
    assert text == "[metric] the metric is for two classes; there are 3 columns of predictions."


@pytest.mark.parametrize("name", BINARY)
def test_binary_metrics_refuse_more_classes(name):
    text = message(ConfigError, name, [0, 1, 2], PROBABILITIES[:, :2])
    assert text == "[metric] the metric is for two classes; the labels hold class 2."


@pytest.mark.parametrize("name", ["label_set_f1", "multilabel_log_loss", "mean_column_auc", "flat_auc"])
def test_columns_must_match(name):
    text = message(ConfigError, name, LABELS, PROBABILITIES[:, :2])
    assert text == "[metric] the metric needs one column for each of the 3 labels, but 2 are predicted."


@pytest.mark.parametrize("name", ["roc_auc", "mean_column_auc", "flat_auc", "weighted_auc"])
def test_areas_need_labels_of_both_kinds(name):
    text = message(ConfigError, name, [1, 1], [[0.5], [0.6]])
    assert (
        text
        == "[metric] the metric needs a column with both positive and negative rows; every column holds one kind only."
    )


def test_mean_column_auc_names_its_faults():
    y_true = np.array([[1.0, 0, 1], [0, 0, 1]])
    text = message(ConfigError, "mean_column_auc", y_true, PROBABILITIES[:2], one_class="error")
    assert text == '[metric] the metric has one_class = "error", and all labels are the same in column 1, 2.'
    text = message(ConfigError, "mean_column_auc", y_true, PROBABILITIES[:2], columns=[0, 3])
    assert text == "[metric] the metric has columns = [0, 3], but there are 3, numbered from 0."


def test_multilabel_weights_must_match():
    text = message(ConfigError, "multilabel_log_loss", LABELS, PROBABILITIES, weights=[1.0])
    assert text == "[metric] the metric has 1 weight, but there are 3 labels."


def test_rmse_compares_the_same_columns():
    text = message(ConfigError, "rmse", [0, 1, 2], PROBABILITIES)
    assert text == "[metric] the metric compares numbers; the labels have 1 column, the predictions 3."


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"tpr_thresholds": [0, 0.5, 0.4, 1], "weights": [1, 1, 1]}, "tpr_thresholds = [0.0, 0.5, 0.4, 1.0] must rise"),
        ({"tpr_thresholds": [0.1, 0.5, 1]}, "tpr_thresholds = [0.1, 0.5, 1.0] must rise from 0 to 1."),
        ({"weights": [1, 2, 3]}, "weights = [1.0, 2.0, 3.0] must hold one weight for each of the 2 bands."),
        ({"weights": [0, 0]}, "weights = [0.0, 0.0] must not all be 0."),
    ],
)
def test_weighted_auc_checks_its_bands_when_the_toml_is_read(table, problem):
    component = Component("metrics", "weighted_auc", METRICS["weighted_auc"], "test")
    assert bind(component, {}, "[metric]")[1] == []
    (found,) = bind(component, table, "[metric]")[1]
    assert str(found).startswith(f"[metric]: {problem}")


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_metric_is_cheap_enough_for_every_epoch(name):
    rng = np.random.default_rng(0)
    columns = 1 if name in {*BINARY, "rmse"} else 5
    scores = rng.random((200_000, columns), dtype=np.float32)
    y_true = rng.integers(0, max(columns, 2), 200_000)
    started = time.process_time()
    METRICS[name]().score(y_true, scores)
    assert time.process_time() - started < 2
