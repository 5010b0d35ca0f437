from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn import metrics as sk

from compete import ConfigError
from compete_plugins.metrics import register_metrics

UNHURRIED = settings(deadline=None, max_examples=40)
METRICS = register_metrics()
LOWER = {"error", "log_loss", "kl_divergence", "multilabel_log_loss", "rmse"}


def score(name: str, y_true: object, predictions: object, **options: object) -> float:
    result = METRICS[name](**options).score(np.asarray(y_true), np.asarray(predictions))
    assert type(result) is float
    return result


@st.composite
def classified(draw, least_classes: int = 2):
    """Class numbers (N,) and probabilities (N, C), some of them tied; not every class needs a row."""
    classes, rows = draw(st.integers(least_classes, 5)), draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return rng.integers(0, classes, rows), softmax(rng.integers(-2, 3, (rows, classes)), axis=1)


@st.composite
def labelled(draw):
    """Indicators (N, C), the first of each column 1 and the second 0, and scores (N, C) in 0..1 with ties."""
    columns, rows = draw(st.integers(1, 4)), draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    truth = rng.integers(0, 2, (rows, columns)).astype(np.float32)
    truth[0], truth[1] = 1, 0
    return truth, rng.integers(0, 6, (rows, columns)) / 5


def test_the_hook_offers_every_metric_with_its_direction():
    names = """accuracy error macro_f1 micro_f1 weighted_f1 kappa map_at_k log_loss kl_divergence probabilistic_f1
        label_set_f1 multilabel_log_loss roc_auc mean_column_auc flat_auc weighted_auc rmse"""
    assert sorted(METRICS) == sorted(names.split())
    assert {name for name, make in METRICS.items() if not make().higher_is_better} == LOWER


# --- classes -------------------------------------------------------------------------------------------------


@UNHURRIED
@given(classified())
def test_class_metrics_are_those_of_scikit_learn(data):
    truth, chances = data
    choice = chances.argmax(axis=1)
    assert score("accuracy", truth, chances) == pytest.approx(sk.accuracy_score(truth, choice))
    assert score("error", truth, chances) == pytest.approx(1 - sk.accuracy_score(truth, choice))
    for average in ("macro", "micro", "weighted"):
        expected = sk.f1_score(truth, choice, average=average, zero_division=0)
        assert score(f"{average}_f1", truth, chances) == pytest.approx(expected)


def test_a_stray_class_adds_a_zero_to_macro_f1():
    assert score("macro_f1", [0, 0, 1, 1], np.eye(3)[[0, 0, 1, 1]]) == 1.0
    assert score("macro_f1", [0, 0, 1, 1], np.eye(3)[[0, 0, 1, 2]]) == pytest.approx((1 + 2 / 3 + 0) / 3)


@UNHURRIED
@given(classified(), st.sampled_from(["quadratic", "linear", "none"]))
def test_kappa_is_that_of_scikit_learn(data, weights):
    truth, chances = data
    choice = chances.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = range(chances.shape[1])
        expected = sk.cohen_kappa_score(
            truth, choice, weights=None if weights == "none" else weights, labels=list(labels)
        )
    expected = 0.0 if np.isnan(expected) else expected  # all of one class
    assert score("kappa", truth, chances, weights=weights) == pytest.approx(expected, abs=1e-12)


def test_one_column_is_rounded_to_the_nearest_level():
    levels, predictions = np.array([0, 1, 2, 4]), np.array([[-0.2], [1.4], [1.5], [4.4]])
    assert score("kappa", levels, predictions) == 1.0
    assert score("accuracy", [0, 1, 1], np.array([[0.49], [0.5], [0.51]])) == 1.0


def slow_average_precision(truth: int, row: np.ndarray, k: int) -> float:
    ranked = sorted(range(len(row)), key=lambda number: (-row[number], number))[:k]
    return 1 / (ranked.index(truth) + 1) if truth in ranked else 0.0


@UNHURRIED
@given(classified(), st.integers(1, 6))
def test_map_at_k_against_slow_code(data, k):
    truth, chances = data
    expected = np.mean([slow_average_precision(t, row, k) for t, row in zip(truth, chances, strict=True)])
    assert score("map_at_k", truth, chances, k=k) == pytest.approx(expected)


def test_shares_and_single_columns_of_answers_count_as_class_numbers():
    chances = softmax(np.arange(12).reshape(4, 3) % 5, axis=1)
    votes = np.array([[0.6, 0.4, 0], [0.1, 0.1, 0.8], [0, 1, 0], [0.2, 0.3, 0.5]], dtype=np.float32)
    for name in ("accuracy", "macro_f1", "kappa", "map_at_k"):
        assert score(name, votes, chances) == score(name, [0, 2, 1, 2], chances)
    column = np.array([[0.0], [1.0], [1.0], [0.0]], dtype=np.float32)
    for name in ("accuracy", "macro_f1", "log_loss", "roc_auc", "probabilistic_f1"):
        assert score(name, column, chances[:, :1]) == score(name, [0, 1, 1, 0], chances[:, :1])


# --- probabilities -------------------------------------------------------------------------------------------


@UNHURRIED
@given(classified())
def test_log_loss_is_that_of_scikit_learn(data):
    truth, chances = data
    expected = sk.log_loss(truth, chances, labels=list(range(chances.shape[1])))
    assert score("log_loss", truth, chances) == pytest.approx(expected)
    assert score("log_loss", truth, chances * 3 / 4) == pytest.approx(expected)  # rows are normalised
    shares = np.eye(chances.shape[1])[truth]
    assert score("log_loss", shares, chances) == pytest.approx(expected)


@UNHURRIED
@given(classified().filter(lambda data: data[1].shape[1] == 2))
def test_binary_log_loss_takes_one_column_or_two(data):
    truth, chances = data
    expected = sk.log_loss(truth, chances[:, 1], labels=[0, 1])
    assert score("log_loss", truth, chances[:, 1:]) == pytest.approx(expected)
    assert score("log_loss", truth, chances) == pytest.approx(expected)


def test_log_loss_of_a_certain_mistake_is_finite_as_in_scikit_learn():
    wrong = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert score("log_loss", [1, 1], wrong) == pytest.approx(sk.log_loss([1, 1], wrong, labels=[0, 1]))
    assert score("log_loss", [1, 1], wrong.astype(np.float32)) == pytest.approx(-np.log(np.finfo(float).eps) / 2)


def test_kl_divergence_by_hand():
    votes = np.array([[0, 0.1, 0.9], [0.5, 0.5, 0], [0.5, 0.5, 0]])
    chances = np.array([[0.2, 0.1, 0.7], [0.3, 0.5, 0.2], [0.5, 0.5, 0]])
    expected = (0.9 * np.log(0.9 / 0.7) + 0.5 * np.log(0.5 / 0.3) + 0) / 3
    assert score("kl_divergence", votes, chances) == pytest.approx(expected)
    assert score("kl_divergence", votes, chances / 2) == pytest.approx(expected)
    assert score("kl_divergence", [1], [[1.0, 0.0]]) == pytest.approx(-np.log(1e-15))


def slow_probabilistic_f1(truth: np.ndarray, chances: np.ndarray, beta: float) -> float:
    hits = sum(p for t, p in zip(truth, chances, strict=True) if t)
    if hits == 0:
        return 0.0
    precision, recall = hits / sum(chances), hits / sum(truth)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


@UNHURRIED
@given(labelled(), st.sampled_from([0.5, 1.0, 2.0]))
def test_probabilistic_f1_against_slow_code(data, beta):
    truth, chances = data[0][:, 0].astype(int), data[1][:, 0]
    expected = slow_probabilistic_f1(truth, chances, beta)
    assert score("probabilistic_f1", truth, chances[:, None], beta=beta) == pytest.approx(expected)
    assert score("probabilistic_f1", truth, np.stack([1 - chances, chances], 1), beta=beta) == pytest.approx(expected)


def test_probabilistic_f1_of_hard_choices_is_f1_and_values_are_clipped():
    truth, choice = [1, 1, 0, 0, 1], np.array([[1.0], [0.0], [1.0], [0.0], [1.0]])
    assert score("probabilistic_f1", truth, choice) == pytest.approx(sk.f1_score(truth, choice))
    assert score("probabilistic_f1", truth, choice * 4 - 1) == pytest.approx(sk.f1_score(truth, choice))
    assert score("probabilistic_f1", [0, 0], [[0.3], [0.1]]) == 0.0


# --- independent labels --------------------------------------------------------------------------------------


@UNHURRIED
@given(labelled(), st.sampled_from([0.2, 0.5, 0.9]))
def test_label_set_f1_is_the_micro_f1_of_scikit_learn(data, threshold):
    truth, chances = data
    expected = sk.f1_score(truth.ravel(), (chances >= threshold).ravel(), zero_division=0)
    assert score("label_set_f1", truth, chances, threshold=threshold) == pytest.approx(expected)


def test_label_set_f1_leaves_out_labels_that_no_answer_holds():
    truth = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert score("label_set_f1", truth, [[0.9, 0.9], [0.9, 0.1]]) == 1.0
    assert score("label_set_f1", truth * 0, [[0.9, 0.9], [0.9, 0.1]]) == 0.0


@UNHURRIED
@given(labelled())
def test_multilabel_log_loss_is_the_mean_of_the_columns(data):
    truth, chances = data
    columns = [sk.log_loss(t, p.clip(1e-15, 1 - 1e-15)) for t, p in zip(truth.T, chances.T, strict=True)]
    assert score("multilabel_log_loss", truth, chances) == pytest.approx(np.mean(columns))
    weights = [float(number + 1) for number in range(len(columns))]
    expected = np.average(columns, weights=weights)
    assert score("multilabel_log_loss", truth, chances, weights=weights) == pytest.approx(expected)


def test_multilabel_log_loss_weighs_true_labels_within_their_row():
    truth, chances = [[1.0, 0.0], [0.0, 0.0]], [[0.8, 0.3], [0.1, 0.4]]
    first = (14 * -np.log(0.8) + 1 * -np.log(0.7)) / 15
    second = (7 * -np.log(0.9) + 1 * -np.log(0.6)) / 8
    result = score("multilabel_log_loss", truth, chances, weights=[7.0, 1.0], positive_weight=2.0)
    assert result == pytest.approx((first + second) / 2)


# --- order ---------------------------------------------------------------------------------------------------


@UNHURRIED
@given(labelled())
def test_areas_are_those_of_scikit_learn(data):
    truth, scores = data
    expected = sk.roc_auc_score(truth[:, 0], scores[:, 0])
    first = truth[:, 0].astype(int)
    assert score("roc_auc", first, scores[:, :1]) == pytest.approx(expected)
    assert score("roc_auc", first, np.stack([-scores[:, 0], scores[:, 0]], 1)) == pytest.approx(expected)
    assert score("mean_column_auc", truth, scores) == pytest.approx(sk.roc_auc_score(truth, scores, average="macro"))
    assert score("mean_column_auc", truth, scores, columns=[0]) == pytest.approx(expected)
    assert score("flat_auc", truth, scores) == pytest.approx(sk.roc_auc_score(truth.ravel(), scores.ravel()))


@UNHURRIED
@given(classified(least_classes=3).filter(lambda data: len(set(data[0])) == data[1].shape[1]))
def test_roc_auc_of_several_classes_is_one_against_the_rest(data):
    truth, chances = data
    expected = sk.roc_auc_score(truth, chances, multi_class="ovr", average="macro")
    assert score("roc_auc", truth, chances) == pytest.approx(expected)
    assert score("mean_column_auc", truth, chances) == pytest.approx(expected)
    assert score("roc_auc", truth, np.pad(chances, [(0, 0), (0, 1)])) == pytest.approx(expected)  # a class unseen


def test_the_columns_that_count_may_be_named():
    truth, scores = np.array([[1.0, 0, 1], [0, 1, 0]]), np.array([[0.9, 0.5, 0.2], [0.1, 0.2, 0.3]])
    named = METRICS["mean_column_auc"](columns=["rust", 0]).named
    assert named(("scab", "rust", "none")).score(truth, scores) == score(
        "mean_column_auc", truth, scores, columns=[0, 1]
    )
    with pytest.raises(ConfigError, match=r"columns = 'rust', which is no class. Did you mean 'rusts'"):
        named(("scab", "rusts"))
    assert METRICS["mean_column_auc"]().named is None


def test_columns_of_one_kind_are_left_out_or_an_error():
    truth, scores = np.array([[1.0, 0, 1], [0, 0, 1]]), np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.3]])
    assert score("mean_column_auc", truth, scores) == 1.0
    with pytest.raises(ConfigError) as error:
        score("mean_column_auc", truth, scores, one_class="error")
    assert str(error.value) == (
        '[metric] the metric has one_class = "error", and all y_true are the same in column 1, 2.'
    )


def slow_weighted_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Add up 20,000 thin horizontal slices, each as long as the curve leaves free to its right."""
    fpr, tpr, _ = sk.roc_curve(truth, scores, drop_intermediate=False)
    heights = (np.arange(20_000) + 0.5) / 20_000
    upper = np.searchsorted(tpr, heights, side="right")
    share = (heights - tpr[upper - 1]) / (tpr[upper] - tpr[upper - 1])
    free = 1 - (fpr[upper - 1] + share * (fpr[upper] - fpr[upper - 1]))
    return float(np.average(free, weights=np.where(heights < 0.4, 2, 1)))


@UNHURRIED
@given(labelled())
def test_weighted_auc_against_slow_code(data):
    truth, scores = data[0][:, 0].astype(int), data[1][:, :1]
    assert score("weighted_auc", truth, scores) == pytest.approx(slow_weighted_auc(truth, scores[:, 0]), abs=1e-4)
    flat = score("weighted_auc", truth, scores, tpr_thresholds=(0.0, 0.3, 1.0), weights=(1.0, 1.0))
    assert flat == pytest.approx(sk.roc_auc_score(truth, scores))


def test_weighted_auc_at_the_ends_and_by_hand():
    truth = [0, 0, 1, 1]
    assert score("weighted_auc", truth, [[0.1], [0.2], [0.3], [0.4]]) == 1.0
    assert score("weighted_auc", truth, [[0.4], [0.3], [0.2], [0.1]]) == 0.0
    # the curve goes up to 0.5, right to 0.5, up to 1: the band from 0.5 up leaves half of its length free
    expected = (2 * 0.4 + 0.1 + 0.5 * 0.5) / (2 * 0.4 + 0.6)
    assert score("weighted_auc", truth, [[0.1], [0.3], [0.2], [0.4]]) == pytest.approx(expected)


# --- numbers -------------------------------------------------------------------------------------------------


@UNHURRIED
@given(labelled())
def test_rmse_is_that_of_scikit_learn(data):
    truth, values = data[0] * 50, data[1] * 70
    assert score("rmse", truth, values) == pytest.approx(sk.root_mean_squared_error(truth, values))
    first = truth[:, 0].astype(int)
    assert score("rmse", first, values[:, :1]) == pytest.approx(sk.root_mean_squared_error(first, values[:, 0]))
