"""Ensembles: hand-worked blends, NaN kept where no member validated, and weights that help."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compete import ConfigError, Metric
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.ensembles import (
    geometric_mean,
    hard_vote,
    mean,
    rank_mean,
    register_ensembles,
    weighted,
)

NAN = np.nan


def log_loss(labels, predictions) -> float:
    return float(-np.log(np.clip(predictions[np.arange(len(labels)), labels], 1e-9, 1)).mean())


def accuracy(labels, predictions) -> float:
    return float((predictions.argmax(axis=1) == labels).mean())


LOG_LOSS = Metric(log_loss, higher_is_better=False)
ACCURACY = Metric(accuracy)


def softmax(logits) -> np.ndarray:
    probabilities = np.exp(logits)
    return probabilities / probabilities.sum(axis=-1, keepdims=True)


def members(noise, rows=300, classes=4, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Members that see the labels through noise of different strength: (labels, predictions (M, N, C))."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    signal = 3 * np.eye(classes)[labels]
    return labels, np.stack([softmax(signal + n * rng.normal(size=signal.shape)) for n in noise])


def by_fold(predictions, folds=3) -> np.ndarray:
    """Blank each member outside its own fold, as cross-validation does."""
    blanked = predictions.copy()
    rows = np.arange(predictions.shape[1]) % folds
    for number in range(len(predictions)):
        blanked[number, rows != number % folds] = NAN
    return blanked


def test_mean_averages_what_members_saw():
    oof = np.array([[[0.2, 0.8], [NAN, NAN], [NAN, NAN]], [[0.6, 0.4], [0.5, 0.5], [NAN, NAN]]])
    test = np.array([[[0.0, 1.0]], [[0.5, 0.5]]])
    blended, predicted = mean(oof, None, test, ACCURACY)
    np.testing.assert_allclose(blended, [[0.4, 0.6], [0.5, 0.5], [NAN, NAN]])
    np.testing.assert_allclose(predicted, [[0.25, 0.75]])


@pytest.mark.parametrize("name", sorted(set(register_ensembles()) - {"stacking"}))
def test_every_ensemble_keeps_the_contract(name):
    """Folds with two seeds, one row that only trains, float32, and the members are left as they were."""
    labels, predictions = members([1, 1, 1, 1, 1, 1])
    oof = by_fold(predictions).astype(np.float32)
    oof[:, 7] = NAN
    before, test = oof.copy(), predictions[:, :50].astype(np.float32)
    blended, predicted = register_ensembles()[name](oof, labels, test, ACCURACY)
    assert blended.shape == (300, 4) and predicted.shape == (50, 4)
    assert np.isnan(blended[7]).all() and np.isnan(blended).sum() == 4
    np.testing.assert_allclose(predicted.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.delete(blended, 7, axis=0).sum(axis=1), 1, rtol=1e-5)
    assert accuracy(labels[:50], predicted) > 0.9
    np.testing.assert_array_equal(oof, before)


@pytest.mark.parametrize("name", sorted(set(register_ensembles()) - {"stacking"}))
def test_one_member_keeps_its_order(name):
    labels, predictions = members([1.5])
    blended, predicted = register_ensembles()[name](predictions, labels, predictions, ACCURACY)
    np.testing.assert_array_equal(blended, predicted)
    if name != "rank_mean":  # ranks within a class may change the order within a row
        assert (predicted.argmax(axis=1) == predictions[0].argmax(axis=1)).all()


def test_weighted_prefers_the_better_member():
    labels, predictions = members([0.5, 8.0])
    blended, predicted = weighted(predictions, labels, predictions, LOG_LOSS)
    equal, _ = mean(predictions, labels, predictions, LOG_LOSS)
    assert log_loss(labels, blended) < log_loss(labels, equal)
    # The weights are the same for test as for OOF, and lean to the first member.
    np.testing.assert_allclose(predicted, blended)
    share = (predicted - predictions[1])[0, 0] / (predictions[0] - predictions[1])[0, 0]
    assert 0.6 < share <= 1


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=20, deadline=None)
def test_weighted_is_never_worse_than_equal_weights_on_oof(seed, whole):
    labels, predictions = members(np.random.default_rng(seed).uniform(0.5, 5, 4), rows=60, seed=seed)
    oof = predictions if whole else by_fold(predictions, folds=2)
    for metric in (LOG_LOSS, ACCURACY):
        equal = mean(oof, labels, predictions, metric)[0]
        found = weighted(oof, labels, predictions, metric, rounds=8)[0]
        if whole:
            assert not metric.better(metric.score(labels, equal), metric.score(labels, found))
        else:
            for rows in (np.arange(60) % 2 == 0, np.arange(60) % 2 == 1):
                best = metric.score(labels[rows], equal[rows])
                assert not metric.better(best, metric.score(labels[rows], found[rows]))


def test_weighted_gives_folds_equal_weights_when_nothing_can_be_compared():
    labels, predictions = members([0.5, 8.0, 3.0])
    _, predicted = weighted(by_fold(predictions), labels, predictions, LOG_LOSS)
    np.testing.assert_allclose(predicted, predictions.mean(axis=0))


def test_weighted_compares_seeds_within_folds_and_leaves_the_folds_equal():
    # Members 0 and 3 share fold 0, 1 and 4 fold 1, 2 and 5 fold 2; the first of each pair is good.
    labels, predictions = members([0.5, 0.5, 0.5, 20.0, 20.0, 20.0])
    test = np.zeros((6, 1, 6))
    test[np.arange(6), 0, np.arange(6)] = 1  # what comes out is the weights
    _, weights = weighted(by_fold(predictions), labels, test, LOG_LOSS)
    np.testing.assert_allclose(weights[0].reshape(2, 3).sum(axis=0), 1 / 3)
    assert (weights[0, :3] > 0.25).all()


def test_weighted_takes_seeds_with_different_splits():
    labels, predictions = members([1.0, 2.0, 3.0, 4.0])
    oof = predictions.copy()
    for number, rows in enumerate([slice(0, 150), slice(150, 300), slice(0, 200), slice(200, 300)]):
        keep = np.zeros(300, bool)
        keep[rows] = True
        oof[number, ~keep] = NAN
    blended, predicted = weighted(oof, labels, predictions, LOG_LOSS, rounds=5)
    assert not np.isnan(blended).any()
    np.testing.assert_allclose(predicted.sum(axis=1), 1)


def test_rank_mean_ranks_each_class_of_each_member():
    # Single-output scores on different scales: ranks 1/3, 2/3, 1 and 1, 1/3, 2/3.
    members_ = np.array([[[0.1], [0.2], [0.9]], [[0.0003], [0.0001], [0.0002]]])
    blended, _ = rank_mean(members_, None, members_, ACCURACY)
    np.testing.assert_allclose(blended, [[2 / 3], [1 / 2], [5 / 6]])


def test_rank_mean_ranks_oof_within_the_member_and_gives_ties_the_mean_rank():
    oof = np.array([[[0.5], [0.5], [NAN], [NAN]], [[NAN], [NAN], [0.7], [0.1]]])
    blended, _ = rank_mean(oof, None, oof, ACCURACY)
    np.testing.assert_allclose(blended[:, 0], [0.75, 0.75, 1.0, 0.5])


def test_geometric_mean_by_hand():
    oof = np.array([[[0.9, 0.1]], [[0.4, 0.6]]])
    blended, _ = geometric_mean(oof, None, oof, ACCURACY)
    probabilities = np.sqrt([0.9 * 0.4, 0.1 * 0.6])
    np.testing.assert_allclose(blended[0], probabilities / probabilities.sum())
    # One sigmoid output is the same thing as two classes.
    single, _ = geometric_mean(oof[:, :, :1], None, oof[:, :, :1], ACCURACY)
    np.testing.assert_allclose(single[0], blended[0, :1])


def test_geometric_mean_survives_zeros_and_ones():
    oof = np.array([[[1.0, 0.0]], [[0.0, 1.0]]], dtype=np.float32)
    blended, _ = geometric_mean(oof, None, oof, ACCURACY)
    np.testing.assert_allclose(blended, [[0.5, 0.5]])
    single, _ = geometric_mean(oof[:, :, :1], None, oof[:, :, :1], ACCURACY)
    np.testing.assert_allclose(single, [[0.5]], atol=1e-3)


def test_hard_vote_counts_votes_and_breaks_ties_by_the_mean():
    oof = np.array([[[0.6, 0.4, 0.0]], [[0.6, 0.4, 0.0]], [[0.0, 1.0, 0.0]]])
    blended, _ = hard_vote(oof, None, oof, ACCURACY)
    np.testing.assert_allclose(blended[0], [2 / 3, 1 / 3, 0], atol=1e-3)
    assert blended[0].argmax() == 0  # although the mean prefers the second class
    tie, _ = hard_vote(oof[1:], None, oof[1:], ACCURACY)
    np.testing.assert_allclose(tie[0], [0.5, 0.5, 0], atol=1e-3)
    assert tie[0].argmax() == 1


def test_hard_vote_of_independent_labels():
    oof = np.array([[[0.9, 0.9]], [[0.6, 0.2]], [[0.1, 0.1]]])
    blended, _ = hard_vote(oof, None, oof, ACCURACY)
    np.testing.assert_allclose(blended[0], [2 / 3, 1 / 3], atol=1e-3)


@pytest.mark.parametrize("name", ["geometric_mean", "hard_vote"])
def test_values_that_are_no_probabilities_are_refused(name):
    values = np.array([[[37.5], [NAN]]])
    with pytest.raises(ConfigError, match=rf"name = '{name}' needs probabilities; .* from 37\.5 to 37\.5\. Use 'mean'"):
        register_ensembles()[name](values, None, values, ACCURACY)


def test_options_have_bounds():
    component = Component("ensembles", "weighted", weighted, "ensembles")
    assert bind(component, {"rounds": 0}, "[ensemble]")[1]
    assert bind(component, {}, "[ensemble]")[1] == []
