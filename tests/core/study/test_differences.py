"""Paired differences: against SciPy's paired t-test, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from compete.study.differences import compare, validated_ratio


def scores(values, seed=0):
    return {(fold, seed): value for fold, value in enumerate(values)}


def test_without_shared_training_rows_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    base, other = rng.random(6), rng.random(6)
    expected = stats.ttest_rel(other, base)
    found = compare(scores(base), scores(other), 0.0, True)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.mean == pytest.approx((other - base).mean())


def test_the_error_of_five_folds_is_corrected():
    found = compare(scores([0.80] * 5), scores([0.78, 0.79, 0.77, 0.78, 0.78]), 1 / 4, True)
    spread = np.std([-0.02, -0.01, -0.03, -0.02, -0.02], ddof=1)
    assert found.standard_error == pytest.approx(spread * np.sqrt(1 / 5 + 1 / 4))  # 1.5 times the naive one
    assert found.mean == pytest.approx(-0.02) and found.verdict == "helps"
    assert found.units == pytest.approx(
        {"fold0": -0.02, "fold1": -0.01, "fold2": -0.03, "fold3": -0.02, "fold4": -0.02}
    )


def test_the_correction_can_decide():
    base, other = scores([0.0] * 3), scores([0.047, 0.026, 0.038])
    assert compare(base, other, 0.0, True).verdict == "hurts"  # without the part the score is higher
    assert compare(base, other, 0.5, True).verdict == "cannot be told with this spread"
    assert compare(base, other, 0.0, False).verdict == "helps"  # of a loss, lower is better


def test_seeds_of_a_fold_are_averaged_before_folds_are_compared():
    base = {(fold, seed): 0.5 for fold in range(2) for seed in (1, 2, 3)}
    other = {key: 0.5 + (0.1 if key[0] else 0.2) + (key[1] - 2) * 0.05 for key in base}
    found = compare(base, other, 1.0, True)
    assert found.units == pytest.approx({"fold0": 0.2, "fold1": 0.1})


def test_seeds_are_the_units_of_one_fold():
    base, other = {(0, seed): 0.5 for seed in range(3)}, {(0, 0): 0.6, (0, 1): 0.61, (0, 2): 0.62}
    found = compare(base, other, 1.0, True)
    assert set(found.units) == {"seed0", "seed1", "seed2"} and found.verdict == "hurts"
    assert found.standard_error == pytest.approx(0.01 / np.sqrt(3))


def test_what_cannot_be_told_is_said():
    assert compare(scores([0.5]), scores([0.9]), 1.0, True).verdict == "cannot be told from one fold and one seed"
    assert "has no score" in compare(scores([0.5, None]), scores([0.9, 0.9]), 1.0, True).verdict
    assert compare(scores([0.5, 0.6]), scores([0.5, 0.6]), 1.0, True).verdict == "changes no score"


def test_the_ratio_counts_rows_that_are_always_trained_on():
    assert validated_ratio(np.array([0, 0, 1, 1, 2, 2])) == pytest.approx(2 / 4)
    assert validated_ratio(np.array([0, 0, -1, -1, -1, -1])) == pytest.approx(2 / 4)
