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
    y_true = rng.integers(0, 2, (rows, columns)).astype(np.float32)
    y_true[0], y_true[1] = 1, 0
    return y_true, rng.integers(0, 6, (rows, columns)) / 5


def test_the_metrics_of_which_lower_is_better():
    assert {name for name, make in METRICS.items() if not make().higher_is_better} == LOWER


# --- classes -------------------------------------------------------------------------------------------------


@UNHURRIED
@given(classified())
def test_class_metrics_are_those_of_scikit_learn(data):
    y_true, probabilities = data
    y_pred = probabilities.argmax(axis=1)
    assert score("accuracy", y_true, probabilities) == pytest.approx(sk.accuracy_score(y_true, y_pred))
    assert score("error", y_true, probabilities) == pytest.approx(1 - sk.accuracy_score(y_true, y_pred))
    for average in ("macro", "micro", "weighted"):
        expected = sk.f1_score(y_true, y_pred, average=average, zero_division=0)
        assert score(f"{average}_f1", y_true, probabilities) == pytest.approx(expected)


def test_a_stray_class_adds_a_zero_to_macro_f1():
    assert score("macro_f1", [0, 0, 1, 1], np.eye(3)[[0, 0, 1, 1]]) == 1.0
    assert score("macro_f1", [0, 0, 1, 1], np.eye(3)[[0, 0, 1, 2]]) == pytest.approx((1 + 2 / 3 + 0) / 3)


@UNHURRIED
@given(classified(), st.sampled_from(["quadratic", "linear", "none"]))
def test_kappa_is_that_of_scikit_learn(data, weights):
    y_true, probabilities = data
    y_pred = probabilities.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = range(probabilities.shape[1])
        expected = sk.cohen_kappa_score(
            y_true, y_pred, weights=None if weights == "none" else weights, labels=list(labels)
        )
    expected = 0.0 if np.isnan(expected) else expected  # all of one class
    assert score("kappa", y_true, probabilities, weights=weights) == pytest.approx(expected, abs=1e-12)


def test_one_column_is_rounded_to_the_nearest_level():
    levels, predictions = np.array([0, 1, 2, 4]), np.array([[-0.2], [1.4], [1.5], [4.4]])
    assert score("kappa", levels, predictions) == 1.0
    assert score("accuracy", [0, 1, 1], np.array([[0.49], [0.5], [0.51]])) == 1.0


def slow_average_precision(y_true: int, row: np.ndarray, k: int) -> float:
    ranked = sorted(range(len(row)), key=lambda number: (-row[number], number))[:k]
    return 1 / (ranked.index(y_true) + 1) if y_true in ranked else 0.0


@UNHURRIED
@given(classified(), st.integers(1, 6))
def test_map_at_k_against_slow_code(data, k):
    y_true, probabilities = data
    expected = np.mean([slow_average_precision(t, row, k) for t, row in zip(y_true, probabilities, strict=True)])
    assert score("map_at_k", y_true, probabilities, k=k) == pytest.approx(expected)


def test_shares_and_single_columns_of_labels_count_as_class_numbers():
    probabilities = softmax(np.arange(12).reshape(4, 3) % 5, axis=1)
    votes = np.array([[0.6, 0.4, 0], [0.1, 0.1, 0.8], [0, 1, 0], [0.2, 0.3, 0.5]], dtype=np.float32)
    for name in ("accuracy", "macro_f1", "kappa", "map_at_k"):
        assert score(name, votes, probabilities) == score(name, [0, 2, 1, 2], probabilities)
    column = np.array([[0.0], [1.0], [1.0], [0.0]], dtype=np.float32)
    for name in ("accuracy", "macro_f1", "log_loss", "roc_auc", "probabilistic_f1"):
        assert score(name, column, probabilities[:, :1]) == score(name, [0, 1, 1, 0], probabilities[:, :1])


# --- probabilities -------------------------------------------------------------------------------------------


@UNHURRIED
@given(classified())
def test_log_loss_is_that_of_scikit_learn(data):
    y_true, probabilities = data
    expected = sk.log_loss(y_true, probabilities, labels=list(range(probabilities.shape[1])))
    assert score("log_loss", y_true, probabilities) == pytest.approx(expected)
    assert score("log_loss", y_true, probabilities * 3 / 4) == pytest.approx(expected)  # rows are normalised
    shares = np.eye(probabilities.shape[1])[y_true]
    assert score("log_loss", shares, probabilities) == pytest.approx(expected)


@UNHURRIED
@given(classified().filter(lambda data: data[1].shape[1] == 2))
def test_binary_log_loss_takes_one_column_or_two(data):
    y_true, probabilities = data
    expected = sk.log_loss(y_true, probabilities[:, 1], labels=[0, 1])
    assert score("log_loss", y_true, probabilities[:, 1:]) == pytest.approx(expected)
    assert score("log_loss", y_true, probabilities) == pytest.approx(expected)


def test_log_loss_of_a_certain_mistake_is_finite_as_in_scikit_learn():
    wrong = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert score("log_loss", [1, 1], wrong) == pytest.approx(sk.log_loss([1, 1], wrong, labels=[0, 1]))
    assert score("log_loss", [1, 1], wrong.astype(np.float32)) == pytest.approx(-np.log(np.finfo(float).eps) / 2)


def test_kl_divergence_by_hand():
    votes = np.array([[0, 0.1, 0.9], [0.5, 0.5, 0], [0.5, 0.5, 0]])
    probabilities = np.array([[0.2, 0.1, 0.7], [0.3, 0.5, 0.2], [0.5, 0.5, 0]])
    expected = (0.9 * np.log(0.9 / 0.7) + 0.5 * np.log(0.5 / 0.3) + 0) / 3
    assert score("kl_divergence", votes, probabilities) == pytest.approx(expected)
    assert score("kl_divergence", votes, probabilities / 2) == pytest.approx(expected)
    assert score("kl_divergence", [1], [[1.0, 0.0]]) == pytest.approx(-np.log(1e-15))


def slow_probabilistic_f1(y_true: np.ndarray, probabilities: np.ndarray, beta: float) -> float:
    hits = sum(p for t, p in zip(y_true, probabilities, strict=True) if t)
    if hits == 0:
        return 0.0
    precision, recall = hits / sum(probabilities), hits / sum(y_true)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


@UNHURRIED
@given(labelled(), st.sampled_from([0.5, 1.0, 2.0]))
def test_probabilistic_f1_against_slow_code(data, beta):
    y_true, probabilities = data[0][:, 0].astype(int), data[1][:, 0]
    expected = slow_probabilistic_f1(y_true, probabilities, beta)
    assert score("probabilistic_f1", y_true, probabilities[:, None], beta=beta) == pytest.approx(expected)
    assert score(
        "probabilistic_f1", y_true, np.stack([1 - probabilities, probabilities], 1), beta=beta
    ) == pytest.approx(expected)


def test_probabilistic_f1_of_hard_choices_is_f1_and_values_are_clipped():
    y_true, y_pred = [1, 1, 0, 0, 1], np.array([[1.0], [0.0], [1.0], [0.0], [1.0]])
    assert score("probabilistic_f1", y_true, y_pred) == pytest.approx(sk.f1_score(y_true, y_pred))
    assert score("probabilistic_f1", y_true, y_pred * 4 - 1) == pytest.approx(sk.f1_score(y_true, y_pred))
    assert score("probabilistic_f1", [0, 0], [[0.3], [0.1]]) == 0.0


# --- independent labels --------------------------------------------------------------------------------------


@UNHURRIED
@given(labelled(), st.sampled_from([0.2, 0.5, 0.9]))
def test_label_set_f1_is_the_micro_f1_of_scikit_learn(data, threshold):
    y_true, probabilities = data
    expected = sk.f1_score(y_true.ravel(), (probabilities >= threshold).ravel(), zero_division=0)
    assert score("label_set_f1", y_true, probabilities, threshold=threshold) == pytest.approx(expected)


def test_label_set_f1_leaves_out_labels_that_no_row_has():
    y_true = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert score("label_set_f1", y_true, [[0.9, 0.9], [0.9, 0.1]]) == 1.0
    assert score("label_set_f1", y_true * 0, [[0.9, 0.9], [0.9, 0.1]]) == 0.0


@UNHURRIED
@given(labelled())
def test_multilabel_log_loss_is_the_mean_of_the_columns(data):
    y_true, probabilities = data
    columns = [sk.log_loss(t, p.clip(1e-15, 1 - 1e-15)) for t, p in zip(y_true.T, probabilities.T, strict=True)]
    assert score("multilabel_log_loss", y_true, probabilities) == pytest.approx(np.mean(columns))
    weights = [float(number + 1) for number in range(len(columns))]
    expected = np.average(columns, weights=weights)
    assert score("multilabel_log_loss", y_true, probabilities, weights=weights) == pytest.approx(expected)


def test_multilabel_log_loss_weights_true_labels_within_their_row():
    y_true, probabilities = [[1.0, 0.0], [0.0, 0.0]], [[0.8, 0.3], [0.1, 0.4]]
    first = (14 * -np.log(0.8) + 1 * -np.log(0.7)) / 15
    second = (7 * -np.log(0.9) + 1 * -np.log(0.6)) / 8
    result = score("multilabel_log_loss", y_true, probabilities, weights=[7.0, 1.0], positive_weight=2.0)
    assert result == pytest.approx((first + second) / 2)


# --- order ---------------------------------------------------------------------------------------------------


@UNHURRIED
@given(labelled())
def test_areas_are_those_of_scikit_learn(data):
    y_true, scores = data
    expected = sk.roc_auc_score(y_true[:, 0], scores[:, 0])
    first = y_true[:, 0].astype(int)
    assert score("roc_auc", first, scores[:, :1]) == pytest.approx(expected)
    assert score("roc_auc", first, np.stack([-scores[:, 0], scores[:, 0]], 1)) == pytest.approx(expected)
    assert score("mean_column_auc", y_true, scores) == pytest.approx(sk.roc_auc_score(y_true, scores, average="macro"))
    assert score("mean_column_auc", y_true, scores, columns=[0]) == pytest.approx(expected)
    assert score("flat_auc", y_true, scores) == pytest.approx(sk.roc_auc_score(y_true.ravel(), scores.ravel()))


@UNHURRIED
@given(classified(least_classes=3).filter(lambda data: len(set(data[0])) == data[1].shape[1]))
def test_roc_auc_of_several_classes_is_one_against_the_rest(data):
    y_true, probabilities = data
    expected = sk.roc_auc_score(y_true, probabilities, multi_class="ovr", average="macro")
    assert score("roc_auc", y_true, probabilities) == pytest.approx(expected)
    assert score("mean_column_auc", y_true, probabilities) == pytest.approx(expected)
    assert score("roc_auc", y_true, np.pad(probabilities, [(0, 0), (0, 1)])) == pytest.approx(
        expected
    )  # a class unseen


def test_the_columns_that_count_may_be_named():
    y_true, scores = np.array([[1.0, 0, 1], [0, 1, 0]]), np.array([[0.9, 0.5, 0.2], [0.1, 0.2, 0.3]])
    named = METRICS["mean_column_auc"](columns=["rust", 0]).named
    assert named(("scab", "rust", "none")).score(y_true, scores) == score(
        "mean_column_auc", y_true, scores, columns=[0, 1]
    )
    with pytest.raises(ConfigError, match=r"columns = 'rust', which is not a class. Did you mean 'rusts'"):
        named(("scab", "rusts"))
    assert METRICS["mean_column_auc"]().named is None


def test_columns_of_one_kind_are_left_out_or_an_error():
    y_true, scores = np.array([[1.0, 0, 1], [0, 0, 1]]), np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.3]])
    assert score("mean_column_auc", y_true, scores) == 1.0
    with pytest.raises(ConfigError) as error:
        score("mean_column_auc", y_true, scores, one_class="error")
    assert str(error.value) == (
        '[metric] the metric has one_class = "error", and all labels are the same in column 1, 2.'
    )


def slow_weighted_auc(y_true: np.ndarray, scores: np.ndarray) -> float:
    """Add up 20,000 thin horizontal slices, each as long as the curve leaves free to its right."""
    fpr, tpr, _ = sk.roc_curve(y_true, scores, drop_intermediate=False)
    heights = (np.arange(20_000) + 0.5) / 20_000
    upper = np.searchsorted(tpr, heights, side="right")
    share = (heights - tpr[upper - 1]) / (tpr[upper] - tpr[upper - 1])
    free = 1 - (fpr[upper - 1] + share * (fpr[upper] - fpr[upper - 1]))
    return float(np.average(free, weights=np.where(heights < 0.4, 2, 1)))


@UNHURRIED
@given(labelled())
def test_weighted_auc_against_slow_code(data):
    y_true, scores = data[0][:, 0].astype(int), data[1][:, :1]
    assert score("weighted_auc", y_true, scores) == pytest.approx(slow_weighted_auc(y_true, scores[:, 0]), abs=1e-4)
    flat = score("weighted_auc", y_true, scores, tpr_thresholds=(0.0, 0.3, 1.0), weights=(1.0, 1.0))
    assert flat == pytest.approx(sk.roc_auc_score(y_true, scores))


def test_weighted_auc_at_the_ends_and_by_hand():
    y_true = [0, 0, 1, 1]
    assert score("weighted_auc", y_true, [[0.1], [0.2], [0.3], [0.4]]) == 1.0
    assert score("weighted_auc", y_true, [[0.4], [0.3], [0.2], [0.1]]) == 0.0
    # the curve goes up to 0.5, right to 0.5, up to 1: the band from 0.5 up leaves half of its length free
    expected = (2 * 0.4 + 0.1 + 0.5 * 0.5) / (2 * 0.4 + 0.6)
    assert score("weighted_auc", y_true, [[0.1], [0.3], [0.2], [0.4]]) == pytest.approx(expected)


# --- numbers -------------------------------------------------------------------------------------------------


@UNHURRIED
@given(labelled())
def test_rmse_is_that_of_scikit_learn(data):
    y_true, values = data[0] * 50, data[1] * 70
    assert score("rmse", y_true, values) == pytest.approx(sk.root_mean_squared_error(y_true, values))
    first = y_true[:, 0].astype(int)
    assert score("rmse", first, values[:, :1]) == pytest.approx(sk.root_mean_squared_error(first, values[:, 0]))
