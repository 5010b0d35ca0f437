"""Postprocessors: what is fitted on OOF is the best there is, and what is applied is exactly that."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from compete import ConfigError, Metric
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.postprocessors import (
    clip,
    cut_points,
    floor,
    open_set,
    prior,
    register_postprocessors,
    threshold,
)


def micro_f1(y_true, sets) -> float:
    y_true = y_true.reshape(sets.shape)
    return float(2 * (y_true * sets).sum() / max(y_true.sum() + sets.sum(), 1))


def kappa(y_true, levels) -> float:
    """Quadratic weighted kappa: squared error against that of levels drawn independently."""
    levels = levels[:, 0]
    by_chance = y_true.var() + levels.var() + (y_true.mean() - levels.mean()) ** 2
    return float(1 - ((y_true - levels) ** 2).mean() / by_chance)


MICRO_F1, KAPPA = Metric(micro_f1), Metric(kappa)
BALANCED = Metric(
    lambda y_true, probabilities: f1_score(y_true, probabilities.argmax(axis=1), average="macro", zero_division=0)
)
ACCURACY = Metric(lambda y_true, probabilities: accuracy_score(y_true, probabilities.argmax(axis=1)))
RANKED = Metric(lambda y_true, levels: float(np.mean(y_true == levels[:, 0])))
RMSE = Metric(lambda y_true, values: float(np.sqrt(((y_true - values) ** 2).mean())), higher_is_better=False)


def label_sets(rows=200, labels=4, seed=0):
    """Label sets whose probabilities are right in order but far too low, each label on a scale of its own."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random((rows, labels)) < 0.3).astype(np.float32)
    scale = np.array([0.4, 0.2, 0.1, 0.05])[:labels]
    return y_true, (scale * np.clip(0.3 + 0.5 * y_true + 0.15 * rng.normal(size=y_true.shape), 0, 1))


def test_the_fast_metrics_used_here_are_scikit_learns():
    rng = np.random.default_rng(0)
    y_true, sets = rng.integers(0, 2, (2, 30, 4))
    assert micro_f1(y_true, sets) == pytest.approx(f1_score(y_true, sets, average="micro"))
    levels, others = rng.integers(0, 5, (2, 50))
    assert kappa(levels, others[:, None]) == pytest.approx(cohen_kappa_score(levels, others, weights="quadratic"))


# --- threshold -------------------------------------------------------------------------------------------------


def test_threshold_finds_the_one_limit_that_is_best():
    y_true, oof = label_sets()
    apply = threshold(oof, y_true, MICRO_F1, steps=200)
    best = max(MICRO_F1.score(y_true, (oof >= limit).astype(int)) for limit in np.unique(oof))
    found = apply(oof)
    assert set(np.unique(found)) == {0, 1}
    assert MICRO_F1.score(y_true, found) == pytest.approx(best, abs=0.005)
    assert best > MICRO_F1.score(y_true, (oof >= 0.5).astype(int)) + 0.3


def test_threshold_per_label_beats_one_for_all():
    y_true, oof = label_sets()
    one = MICRO_F1.score(y_true, threshold(oof, y_true, MICRO_F1)(oof))
    each = MICRO_F1.score(y_true, threshold(oof, y_true, MICRO_F1, scope="per_label")(oof))
    assert each > one + 0.1 and each > 0.85


def test_threshold_applies_what_it_fitted():
    oof, y_true = np.array([[0.1], [0.2], [0.3], [0.4]]), np.array([0, 0, 1, 1])
    assert threshold(oof, y_true, MICRO_F1)(np.array([[0.29], [0.31]])).tolist() == [[0], [1]]


def test_threshold_gives_at_least_and_at_most_so_many_labels():
    y_true, oof = label_sets()
    test = np.array([[0.01, 0.02, 0.001, 0.0], [0.9, 0.8, 0.95, 0.7]])
    found = threshold(oof, y_true, MICRO_F1, min_labels=1, max_labels=2)(test)
    assert found.tolist() == [[0, 1, 0, 0], [1, 0, 1, 0]]
    assert threshold(oof, y_true, MICRO_F1)(test).tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]


def test_threshold_keeps_labels_above_their_limit_before_more_probable_ones_below_theirs():
    y_true, oof = label_sets(labels=2)
    oof = oof / [0.4, 0.2] * [0.9, 0.09]
    apply = threshold(oof, y_true, MICRO_F1, scope="per_label", max_labels=1)
    assert apply(np.array([[0.3, 0.08]])).tolist() == [[0, 1]]


def test_threshold_leaves_nan_rows_out_of_fit_and_result():
    y_true, oof = label_sets()
    with_nan = np.vstack([oof, np.full((3, 4), np.nan)])
    apply = threshold(with_nan, np.vstack([y_true, np.ones((3, 4))]), MICRO_F1)
    np.testing.assert_array_equal(apply(oof), threshold(oof, y_true, MICRO_F1)(oof))
    assert np.isnan(apply(with_nan)[-3:]).all() and not np.isnan(apply(with_nan)[:-3]).any()


def test_threshold_takes_a_label_that_no_row_has():
    y_true, oof = label_sets()
    y_true[:, 0] = 0
    found = threshold(oof, y_true, MICRO_F1, scope="per_label")(oof)
    assert MICRO_F1.score(y_true, found) > 0.8


def test_threshold_refuses_classes():
    with pytest.raises(ConfigError, match="'threshold' needs a 0 or 1 for every label"):
        threshold(np.ones((4, 3)) / 3, np.zeros(4, int), ACCURACY)


# --- cut_points --------------------------------------------------------------------------------------------------


def graded(rows=300, seed=0):
    """Levels 0 to 4, few high ones, and predictions squeezed towards the middle."""
    rng = np.random.default_rng(seed)
    y_true = rng.choice(5, rows, p=[0.5, 0.1, 0.25, 0.05, 0.1])
    return y_true, (1 + 0.4 * y_true + 0.12 * rng.normal(size=rows))[:, None]


def test_cut_points_beat_rounding():
    y_true, oof = graded()
    found = cut_points(oof, y_true, KAPPA)(oof)
    assert np.issubdtype(found.dtype, np.integer) and found.shape == (300, 1)
    assert KAPPA.score(y_true, found) > 0.95
    assert KAPPA.score(y_true, np.rint(oof)) < 0.75


def test_cut_points_find_the_best_of_all_cuts():
    y_true = np.array([0, 0, 1, 0, 1, 1, 2, 1, 2, 2])
    oof = np.linspace(0.5, 1.4, 10)[:, None]
    best = max(
        KAPPA.score(y_true, np.searchsorted(cuts, oof[:, 0], side="right")[:, None])
        for cuts in itertools.combinations(oof[:, 0], 2)
    )
    assert KAPPA.score(y_true, cut_points(oof, y_true, KAPPA)(oof)) == pytest.approx(best)


def test_cut_points_are_never_worse_than_rounding_and_keep_their_order():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        y_true, oof = rng.integers(0, 4, 60), rng.uniform(0, 3, (60, 1))
        apply = cut_points(oof, y_true, KAPPA)
        assert KAPPA.score(y_true, apply(oof)) >= KAPPA.score(y_true, np.floor(oof + 0.5))
        assert (np.diff(apply(np.linspace(-1, 4, 200)[:, None])[:, 0]) >= 0).all()


def test_cut_points_keep_nan_rows():
    y_true, oof = graded()
    oof[5] = np.nan
    found = cut_points(oof, y_true, KAPPA)(oof)
    assert np.isnan(found[5]) and np.isnan(found).sum() == 1


@pytest.mark.parametrize("levels", [(1, 2, 3, 4), (10, 20, 50, 51), (-3, 0, 1, 9)])
def test_cut_points_give_the_levels_of_the_labels(levels):
    places, oof = graded()
    y_true = np.array(levels)[np.minimum(places, 3)]
    found = cut_points(oof + levels[0], y_true, RANKED)(oof + levels[0])
    assert set(np.unique(found)) <= set(levels)
    expected = cut_points(oof, np.minimum(places, 3), RANKED)(oof)
    np.testing.assert_array_equal(found[:, 0], np.array(levels)[expected[:, 0]])


def test_cut_points_refuse_probabilities():
    with pytest.raises(ConfigError, match="'cut_points' needs one predicted number and integer levels"):
        cut_points(np.ones((4, 3)) / 3, np.zeros(4, int), KAPPA)
    with pytest.raises(ConfigError, match="'cut_points' needs"):
        cut_points(np.ones((4, 1)), np.ones((4, 1)), RMSE)


# --- clip, floor, prior --------------------------------------------------------------------------------------------


def test_clip_moves_values_to_the_bounds():
    values = np.array([[0.2], [55.0], [101.0]])
    assert clip(values, values, RMSE, low=1, high=100)(values).tolist() == [[1], [55], [100]]
    assert clip(values, values, RMSE, high=100)(values).tolist() == [[0.2], [55], [100]]


def test_floor_keeps_class_probabilities_summing_to_one():
    probabilities = np.array([[1.0, 0.0, 0.0], [0.5, 0.3, 0.2]])
    found = floor(probabilities, None, ACCURACY, low=0.01)(probabilities)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[0], np.array([1, 0.01, 0.01]) / 1.02)
    np.testing.assert_allclose(found[1], probabilities[1])


def test_floor_of_independent_probabilities_only_clips():
    oof = np.array([[0.0, 0.9], [1.0, 0.4], [np.nan, np.nan]])
    found = floor(oof, None, MICRO_F1, low=0.01, high=0.95)(oof)
    np.testing.assert_allclose(found, [[0.01, 0.9], [0.95, 0.4], [np.nan, np.nan]])


def imbalanced(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    y_true = (rng.random(rows) < 0.1).astype(int)
    logit = -3 + 2.5 * y_true + rng.normal(size=rows)
    rare = 1 / (1 + np.exp(-logit))
    return y_true, np.column_stack([1 - rare, rare])


def test_prior_divides_by_the_training_frequencies():
    y_true, oof = imbalanced()
    frequencies = np.bincount(y_true) / len(y_true)
    expected = oof / frequencies
    found = prior(oof, y_true, BALANCED, tau=1.0)(oof)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(prior(oof, y_true, BALANCED, tau=0.0)(oof), oof)


def test_prior_is_tuned_for_the_metric():
    y_true, oof = imbalanced()
    assert BALANCED.score(y_true, prior(oof, y_true, BALANCED)(oof)) > BALANCED.score(y_true, oof) + 0.1
    assert ACCURACY.score(y_true, prior(oof, y_true, ACCURACY)(oof)) >= ACCURACY.score(y_true, oof)


def test_prior_leaves_classes_without_rows_finite_and_nan_rows_nan():
    y_true = np.array([0, 0, 2, 2])
    oof = np.array([[0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [np.nan] * 3])
    found = prior(oof, y_true, ACCURACY, tau=1.0)(oof)
    np.testing.assert_allclose(found[:3], oof[:3])
    assert np.isnan(found[3]).all()


def test_prior_refuses_label_sets():
    y_true, oof = label_sets()
    with pytest.raises(ConfigError, match="'prior' needs class probabilities and one class per row"):
        prior(oof, y_true, MICRO_F1)


# --- open_set ------------------------------------------------------------------------------------------------------

WHALES = ("new_whale", "w_1", "w_2", "w_3")


def _map_at_2(y_true, probabilities) -> float:
    first, second = np.argsort(-probabilities, axis=1, kind="stable")[:, :2].T
    return float(((first == y_true) + (second == y_true) / 2).mean())


MAP_AT_2 = Metric(_map_at_2)


def whales(rows=300, seed=0):
    """Rows of known whales, which the network is sure of, and of new ones, which it takes for any other."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, 4, rows)
    logits = rng.normal(size=(rows, 4)) - np.array([3.0, 0, 0, 0])
    logits[np.arange(rows), y_true] += np.where(y_true > 0, 4, 0)
    probabilities = np.exp(logits)
    return y_true, probabilities / probabilities.sum(axis=1, keepdims=True)


def test_open_set_finds_the_threshold_that_scores_best():
    y_true, oof = whales()
    found = open_set(oof, y_true, MAP_AT_2, WHALES, label="new_whale", steps=300)(oof)
    limits = np.unique(oof[:, 1:].max(axis=1))
    best = max(
        MAP_AT_2.score(y_true, open_set(oof, y_true, MAP_AT_2, WHALES, label="new_whale", threshold=limit)(oof))
        for limit in limits
    )
    assert MAP_AT_2.score(y_true, found) == pytest.approx(best, abs=1e-9)
    assert best > MAP_AT_2.score(y_true, oof) + 0.1
    np.testing.assert_array_equal(found[:, 1:], oof[:, 1:])


def test_open_set_raises_only_what_is_less_sure():
    oof = np.array([[0.1, 0.6, 0.2, 0.1], [0.8, 0.1, 0.1, 0.0], [np.nan] * 4])
    found = open_set(oof, np.array([1, 0, 2]), MAP_AT_2, WHALES, label="new_whale", threshold=0.3)(oof)
    assert found[:2, 0].tolist() == [0.3, 0.8]
    assert np.isnan(found[2]).all()
    assert oof[0, 0] == 0.1


def test_open_set_changes_nothing_where_no_row_has_the_label():
    y_true, oof = whales()
    known = y_true > 0
    step = open_set(oof[known], y_true[known], MAP_AT_2, WHALES, label="new_whale")
    np.testing.assert_array_equal(step(oof), oof)


def test_open_set_takes_numbers_and_names_the_nearest_class():
    y_true, oof = whales()
    assert open_set(oof, y_true, MAP_AT_2, ("0", "5", "7", "9"), label=5, threshold=0.9)(oof)[:, 1].min() == 0.9
    with pytest.raises(ConfigError, match=r"label = 'new_whales' is not a class. Did you mean 'new_whale'\?"):
        open_set(oof, y_true, MAP_AT_2, WHALES, label="new_whales")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("clip", {}, "set low, high or both."),
        ("clip", {"low": 2, "high": 1}, "low = 2 must be below high = 1."),
        ("floor", {"low": 0.6, "high": 0.5}, "low = 0.6 must be below high = 0.5."),
        ("floor", {"low": 1.0}, "must be a number, 0 <= x < 1."),
        ("threshold", {"min_labels": 3, "max_labels": 2}, "max_labels = 2 must not be below min_labels = 3."),
        ("threshold", {"scope": "label"}, "global"),
        ("prior", {"tau": 3.0}, "must be a number, 0 <= x <= 2."),
        ("cut_points", {"steps": 1}, "must be an integer, 2 <= x <= 10000."),
    ],
)
def test_bad_options_show_when_the_toml_is_read(name, options, message):
    component = Component("postprocessors", name, register_postprocessors()[name], "postprocessors")
    problems = [str(problem) for problem in bind(component, options, "[[postprocess]]")[1]]
    assert any(message in problem for problem in problems), problems
