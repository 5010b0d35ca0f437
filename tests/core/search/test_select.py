"""The choice among trials: a worked case, whose numbers are computed by hand."""

from __future__ import annotations

import pytest

from compete.search.select import BASE, Candidate, select


def candidate(number: int, *scores: float, state: str = "complete") -> Candidate:
    return Candidate(number, state, {}, f"run-{number}", {(fold, 42): score for fold, score in enumerate(scores)}, {})


def test_the_winner_is_chosen_on_all_folds_but_one_and_scored_on_that_one():
    base, even, lucky = candidate(BASE, 0.5, 0.5, 0.5), candidate(0, 0.7, 0.7, 0.7), candidate(1, 0.6, 0.6, 1.0)
    found = select([base, even, lucky, candidate(2, state="pruned")], True, 0.5)
    assert [each.number for each in found.ranked] == [1, 0, BASE] and found.winner.mean == pytest.approx(2.2 / 3)
    # Without fold 2 `even` is better (0.7 against 0.6), without fold 0 or 1 `lucky` is (0.8 against 0.7).
    assert {fold: each.number for fold, each in found.picks.items()} == {0: 1, 1: 1, 2: 0}
    assert found.nested == pytest.approx((0.6 + 0.6 + 0.7) / 3)
    assert found.gain.mean == pytest.approx((0.1 + 0.1 + 0.2) / 3)
    deviation = ((0.1 - 0.4 / 3) ** 2 * 2 + (0.2 - 0.4 / 3) ** 2) / 2
    assert found.gain.standard_error == pytest.approx((deviation * (1 / 3 + 0.5)) ** 0.5)


def test_lower_is_better():
    found = select([candidate(BASE, 3, 3), candidate(0, 1, 5), candidate(1, 2, 2)], False, 1.0)
    assert found.winner.number == 1 and found.gain.mean == pytest.approx((2 + 5) / 2 - 3)
    assert {fold: each.number for fold, each in found.picks.items()} == {0: 1, 1: 0}


def test_seeds_of_a_fold_count_as_one_score():
    two = Candidate(0, "complete", {}, "", {(0, 1): 0.2, (0, 2): 0.4, (1, 1): 0.5, (1, 2): 0.5}, {})
    found = select([two], True, 1.0)
    assert found.nested == pytest.approx(0.4) and found.gain is None


def test_one_fold_tells_nothing_of_the_bias():
    found = select([candidate(BASE, 0.5), candidate(0, 0.6)], True, 1.0)
    assert found.winner.number == 0 and found.nested is None and found.gain is None


def test_of_equals_the_toml_as_it_is_wins_and_then_the_earliest():
    found = select([candidate(1, 0.5, 0.5), candidate(BASE, 0.5, 0.5), candidate(0, 0.5, 0.5)], True, 1.0)
    assert [each.number for each in found.ranked] == [BASE, 0, 1]
