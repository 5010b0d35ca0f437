from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compete import ConfigError
from compete_plugins.samplers import (
    capped,
    class_balanced,
    effective_number,
    oversample,
    register_samplers,
    sequential,
    shuffle,
    weighted,
)

UNHURRIED = settings(deadline=None)
BY_CLASS = [weighted, effective_number, class_balanced, oversample, partial(capped, most=8)]
SAMPLERS = {**register_samplers(), "capped": partial(capped, most=4)}
LABELS = np.repeat([0, 3, 7], [90, 9, 1])  # class numbers with gaps


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def class_shares(rows: list[int], labels: np.ndarray = LABELS) -> dict[int, float]:
    counts = Counter(int(labels[row]) for row in rows)
    return {number: count / len(rows) for number, count in counts.items()}


def test_shuffle_and_sequential_draw_every_row_once():
    order = shuffle(LABELS, seeded())
    assert sorted(order) == sequential(LABELS, seeded()) == list(range(100))
    assert order != sorted(order)
    assert shuffle(np.array([[0.5], [1.5]]), seeded()) in ([0, 1], [1, 0])  # numbers have no classes, and need none


@UNHURRIED
@given(
    st.sampled_from(sorted(SAMPLERS)),
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.integers(0, 99),
)
def test_the_generator_alone_decides(name, labels, seed):
    sampler = SAMPLERS[name]
    labels = np.array(labels)
    first, second = (sampler(labels, seeded(seed)) for _ in range(2))
    assert first == second
    assert all(type(row) is int and 0 <= row < len(labels) for row in first)
    torch.manual_seed(1)
    assert sampler(labels, seeded(seed)) == first


@pytest.mark.parametrize("sampler", [shuffle, *BY_CLASS])
def test_another_generator_gives_another_order(sampler):
    assert sampler(LABELS, seeded(1)) != sampler(LABELS, seeded(2))


@pytest.mark.parametrize("sampler", [weighted, effective_number, class_balanced])
def test_rows_sets_the_length_of_an_epoch(sampler):
    assert len(sampler(LABELS, seeded())) == 100
    assert len(sampler(LABELS, seeded(), rows=7)) == 7
    assert len(sampler(LABELS, seeded(), rows=250)) == 250


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_weighted_draws_classes_by_a_power_of_their_rows(power):
    counts = np.array([90.0, 9.0, 1.0])
    expected = counts ** (1 - power) / (counts ** (1 - power)).sum()
    drawn = class_shares(weighted(LABELS, seeded(), power=power, rows=20_000))
    assert [drawn.get(number, 0) for number in (0, 3, 7)] == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999])
def test_effective_number_draws_by_the_effective_number(beta):
    counts = np.array([90.0, 9.0, 1.0])
    share = counts * (1 - beta) / (1 - beta**counts)
    drawn = class_shares(effective_number(LABELS, seeded(), beta=beta, rows=20_000))
    assert [drawn.get(number, 0) for number in (0, 3, 7)] == pytest.approx(share / share.sum(), abs=0.015)


def test_rows_of_a_class_are_drawn_alike():
    drawn = Counter(weighted(LABELS, seeded(), rows=30_000))
    own = [drawn[row] for row in range(90, 99)]
    assert min(own) > 900 and max(own) < 1350  # 10,000 / 9 on average


def test_class_balanced_draws_classes_evenly_and_uses_a_class_up_before_it_repeats():
    order = class_balanced(LABELS, seeded(), rows=3000)
    assert class_shares(order) == pytest.approx({0: 1 / 3, 3: 1 / 3, 7: 1 / 3}, abs=0.04)
    own = [row for row in order if LABELS[row] == 3]
    rounds = [own[start : start + 9] for start in range(0, len(own) - 8, 9)]
    assert all(sorted(one) == list(range(90, 99)) for one in rounds)
    assert rounds[0] != rounds[1]


@UNHURRIED
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.none() | st.integers(1, 5), st.integers(0, 99))
def test_oversample_lifts_every_class_to_the_largest(labels, most, seed):
    labels = np.array(labels)
    drawn = Counter(oversample(labels, seeded(seed), most=most))
    largest = max(Counter(labels).values())
    for number, count in Counter(labels).items():
        own = [drawn[row] for row in np.flatnonzero(labels == number)]
        assert sum(own) == (largest if most is None else min(largest, most * count))
        assert min(own) >= 1 and max(own) - min(own) <= 1
        assert most is None or max(own) <= most


def test_oversample_mixes_the_classes():
    order = oversample(LABELS, seeded())
    assert len(order) == 270
    assert len({int(LABELS[row]) for row in order[:20]}) == 3


@UNHURRIED
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(1, 12), st.integers(0, 99))
def test_capped_thins_out_large_classes_and_keeps_small_ones_whole(labels, most, seed):
    labels = np.array(labels)
    drawn = capped(labels, seeded(seed), most=most)
    assert len(set(drawn)) == len(drawn)
    assert Counter(labels[drawn].tolist()) == {label: min(most, n) for label, n in Counter(labels).items()}


def test_capped_sees_other_rows_in_other_epochs_and_mixes_the_classes():
    epochs = [capped(LABELS, seeded(seed), most=9) for seed in range(60)]
    assert set().union(*epochs) == set(range(100))
    assert len({int(LABELS[epoch[0]]) for epoch in epochs}) > 1


# --- several label columns -----------------------------------------------------------------------------------

SETS = np.array([[1, 0, 0]] * 50 + [[1, 1, 0]] * 10 + [[1, 1, 1]] * 2 + [[0, 0, 0]] * 5, dtype=np.float32)
RAREST = np.repeat([0, 1, 2, 3], [50, 10, 2, 5])


@pytest.mark.parametrize("sampler", BY_CLASS)
def test_a_row_counts_as_its_rarest_label_and_none_as_a_class(sampler):
    rarest_first = np.array([2, 1, 0, 3])[RAREST]  # the same classes, numbered from the rarest
    assert sampler(SETS, seeded()) == sampler(rarest_first, seeded())
    assert set(RAREST[sampler(SETS, seeded())]) == {0, 1, 2, 3}


def test_votes_count_as_the_class_with_most_of_them():
    votes = np.array([[0.6, 0.4, 0.0]] * 90 + [[0.1, 0.2, 0.7]] * 10)
    drawn = weighted(votes, seeded(), rows=10_000)
    assert np.mean(np.array(drawn) >= 90) == pytest.approx(0.5, abs=0.02)


def test_one_column_of_zeros_and_ones_has_two_classes():
    column = np.array([[0.0]] * 95 + [[1.0]] * 5, dtype=np.float32)
    drawn = weighted(column, seeded(), rows=10_000)
    assert np.mean(np.array(drawn) >= 95) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("sampler", BY_CLASS)
@pytest.mark.parametrize("labels", [np.array([1.5, 2.0]), np.array([[1.5], [2.0]])], ids=["(N,)", "(N, 1)"])
def test_numbers_have_no_classes_to_draw_by(sampler, labels):
    with pytest.raises(ConfigError) as error:
        sampler(labels, seeded())
    assert str(error.value) == (
        '[sampler] draws by class, but the target is a number, without classes. Use name = "shuffle".'
    )
