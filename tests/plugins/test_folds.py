"""Folds: groups stay whole, classes are spread, and the same seed gives the same folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compete import ConfigError, DataError
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.folds import (
    auto,
    binned,
    fixed,
    group,
    holdout,
    kfold,
    multilabel_stratified,
    register_folds,
    stratified,
    stratified_group,
)


def table(rows: int, **cells) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"r{number}" for number in range(rows)], **cells})


def counts(folds, labels) -> np.ndarray:
    """Rows of each class in each fold (folds, C)."""
    sets = np.eye(labels.max() + 1)[labels] if labels.ndim == 1 else labels
    return np.stack([sets[folds == fold].sum(axis=0) for fold in range(folds.max() + 1)])


def straddling(folds, groups) -> int:
    return int((pd.Series(folds).groupby(np.asarray(groups)).nunique() > 1).sum())


def mask_people() -> tuple[pd.DataFrame, np.ndarray]:
    """The mask competition's table: 7 images of each person, 5 with a mask, 18 classes, 49:1."""
    people = {(0, 0): 549, (0, 1): 410, (0, 2): 83, (1, 0): 732, (1, 1): 817, (1, 2): 109}
    kinds = np.repeat([gender * 3 + age for gender, age in people], list(people.values()))
    kinds = np.random.default_rng(0).permutation(kinds)
    labels = (kinds[:, None] + np.array([0, 0, 0, 0, 0, 6, 12])).ravel()
    return table(len(labels), group=np.repeat(np.arange(len(kinds)), 7)), labels


def test_kfold_gives_folds_of_one_size():
    folds = kfold(table(13), np.zeros(13, int), 0, n=3)
    assert sorted(np.bincount(folds)) == [4, 4, 5]
    assert folds.dtype == np.int64


@given(st.lists(st.integers(0, 6), min_size=7, max_size=80), st.integers(2, 7), st.integers(0, 9))
def test_stratified_spreads_every_class_to_within_one_row(labels, n, seed):
    labels = np.array(labels)
    folds = stratified(table(len(labels)), labels, seed, n=n)
    assert np.ptp(np.bincount(folds, minlength=n)) <= 1
    assert (np.ptp(counts(folds, labels), axis=0) <= 1).all()


def test_stratified_spreads_a_class_smaller_than_the_number_of_folds():
    labels = np.array([0] * 20 + [1] * 3)
    folds = stratified(table(23), labels, 0, n=5)
    assert len(set(folds[labels == 1])) == 3


def test_stratified_takes_the_largest_share_of_votes():
    votes = np.array([[0.9, 0.1], [0.4, 0.6]] * 10, dtype=np.float32)
    folds = stratified(table(20), votes, 0, n=5)
    assert (counts(folds, votes.argmax(axis=1)) == 2).all()


def test_stratified_group_is_as_even_as_whole_people_allow():
    train, labels = mask_people()
    for seed in range(3):
        folds = stratified_group(train, labels, seed, n=5)
        assert straddling(folds, train["group"]) == 0
        spread = np.ptp(counts(folds, labels), axis=0)
        # One person more or less: five images in the classes with a mask, one in the others.
        assert spread[:6].max() <= 5 and spread[6:].max() <= 1
        assert np.ptp(np.bincount(folds)) <= 7


def unevenness(folds, labels) -> float:
    """Mean over folds and classes of how far a class's rows are from their even share, in parts of it."""
    found = counts(folds, labels)
    return float((np.abs(found - found.mean(axis=0)) / found.mean(axis=0)).mean())


def sklearn_folds(labels, groups, seed) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold

    folds = np.empty(len(labels), int)
    split = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, groups)
    for fold, (_, valid) in enumerate(split):
        folds[valid] = fold
    return folds


def test_stratified_group_is_more_even_than_scikit_learn_with_rare_positives():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(500), rng.integers(1, 20, 500))
    labels = ((rng.random(len(groups)) < 0.4) & (groups < 25)).astype(int)
    train = table(len(groups), group=groups)
    for seed in range(3):
        ours = unevenness(stratified_group(train, labels, seed), labels)
        assert ours < unevenness(sklearn_folds(labels, groups, seed), labels)


def test_stratified_group_is_as_even_as_scikit_learn_on_mixed_groups():
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 30, 150)
    groups = np.repeat(np.arange(150), sizes)
    labels = np.concatenate([rng.choice(8, size, p=rng.dirichlet(np.full(8, 0.3))) for size in sizes])
    train = table(len(labels), group=groups)
    ours = [unevenness(stratified_group(train, labels, seed), labels) for seed in range(5)]
    theirs = [unevenness(sklearn_folds(labels, groups, seed), labels) for seed in range(5)]
    assert np.mean(ours) < 1.1 * np.mean(theirs)


@given(st.data())
def test_stratified_group_never_splits_a_group_and_uses_every_fold(data):
    groups = data.draw(st.lists(st.integers(0, 30), min_size=12, max_size=60).filter(lambda g: len(set(g)) >= 4))
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(groups), max_size=len(groups))))
    folds = stratified_group(table(len(groups), group=groups), labels, 0, n=4)
    assert straddling(folds, groups) == 0
    assert set(folds) == {0, 1, 2, 3}


def test_stratified_group_spreads_a_class_of_few_groups():
    groups = np.repeat(np.arange(30), 4)
    labels = np.where(groups < 3, 1, 0)
    folds = stratified_group(table(120, group=groups), labels, 0, n=5)
    assert len(set(folds[labels == 1])) == 3


def test_group_balances_sizes():
    groups = np.repeat(np.arange(9), [40, 10, 10, 10, 10, 5, 5, 20, 10])
    folds = group(table(120, place=groups), np.zeros(120, int), 0, n=3, column="place")
    assert straddling(folds, groups) == 0
    assert np.bincount(folds).tolist() == [40, 40, 40]


def label_sets() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.random((400, 12)) < np.geomspace(0.4, 0.02, 12)).astype(np.float32)


def test_multilabel_stratified_spreads_every_label():
    sets = label_sets()
    folds = multilabel_stratified(table(400), sets, 0, n=5)
    ideal = sets.sum(axis=0) / 5
    assert (np.abs(counts(folds, sets) - ideal) <= 1.5).all()
    assert np.ptp(np.bincount(folds)) <= 5
    at_random = counts(np.arange(400) % 5, sets)
    assert np.abs(at_random - ideal).max() > 5


def test_multilabel_stratified_keeps_groups_whole():
    sets, groups = label_sets(), np.arange(400) // 4
    folds = multilabel_stratified(table(400, group=groups), sets, 0, n=4)
    assert straddling(folds, groups) == 0
    assert (np.abs(counts(folds, sets) - sets.sum(axis=0) / 4) <= 4).all()  # 4: one group


def test_binned_spreads_the_values():
    values = np.random.default_rng(0).gamma(2, 20, 500).astype(np.float32)[:, None]
    folds = binned(table(500), values, 0, n=5)
    means = [values[folds == fold].mean() for fold in range(5)]
    assert np.ptp(means) < 0.1 * np.mean(means)
    ranges = np.digitize(values[:, 0], np.quantile(values, np.linspace(0, 1, 11)[1:-1]))
    assert (np.ptp(counts(folds, ranges), axis=0) <= 1).all()


def test_binned_takes_values_with_ties_and_keeps_groups_whole():
    values, groups = np.array([[0.0], [0.0], [0.0], [5.0]] * 10), np.arange(40) // 2
    folds = binned(table(40, group=groups), values, 0, n=2)
    assert straddling(folds, groups) == 0
    assert (values[folds == 0] == 5).sum() == 5


def test_fixed_takes_the_table_at_its_word():
    folds = fixed(table(5, fold=["0", "1", "", "-1", None]), np.zeros(5, int), 0)
    assert folds.tolist() == [0, 1, -1, -1, -1] and folds.dtype == np.int64
    assert fixed(table(2, part=[1.0, np.nan]), np.zeros(2, int), 0, column="part").tolist() == [1, -1]


def test_fixed_names_what_is_not_a_fold():
    with pytest.raises(DataError, match=r"column 'fold' holds 'a', which is not a fold number, in 2 rows: id r1, r2\."):
        fixed(table(3, fold=["0", "a", "-2"]), np.zeros(3, int), 0)
    for cell in ("inf", "-inf", "1e300", "0.5"):
        with pytest.raises(DataError, match=f"holds '{cell}', which is not a fold number, in 1 row: id r2"):
            fixed(table(3, fold=["0", "1", cell]), np.zeros(3, int), 0)
    with pytest.raises(DataError, match=r"column = 'fald': unknown column of the train table\. Did you mean 'fold'\?"):
        fixed(table(1, fold=[0]), np.zeros(1, int), 0, column="fald")


def test_holdout_validates_its_share_of_every_class():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    folds = holdout(table(1000), labels, 0, share=0.15)
    assert set(folds) == {0, -1}
    for label, rows in enumerate([105, 30, 15]):
        assert abs((folds[labels == label] == 0).sum() - rows) <= 1


def test_holdout_keeps_groups_whole_and_label_sets_spread():
    train, labels = mask_people()
    folds = holdout(train, labels, 0, share=0.25)
    assert straddling(folds, train["group"]) == 0
    share = np.bincount(labels[folds == 0]) / np.bincount(labels)
    assert (np.abs(share - 0.25) < 0.01).all()
    sets = label_sets()
    folds = holdout(table(400), sets, 0, share=0.25)
    assert (np.abs(sets[folds == 0].sum(axis=0) - sets.sum(axis=0) / 4) <= 2).all()


def test_holdout_trains_on_the_only_group_of_a_class():
    labels = np.concatenate([np.zeros(100, int), np.arange(1, 21)])
    folds = holdout(table(120, group=np.arange(120)), labels, 0, share=0.2)
    assert (folds[100:] == -1).all()


def test_holdout_trains_on_the_only_row_of_a_class():
    labels = np.concatenate([np.zeros(60, int), np.repeat(np.arange(1, 11), 2), np.arange(11, 41)])
    folds = holdout(table(len(labels)), labels, 0, share=0.2)
    assert set(labels[folds == -1]) == set(labels)
    assert (folds[-30:] == -1).all()
    assert 12 <= (folds == 0).sum() <= 22


def test_holdout_refuses_a_share_of_nothing():
    with pytest.raises(DataError, match=r"share = 0\.01: too small for 10 rows"):
        holdout(table(10), np.zeros(10, int), 0, share=0.01)


def test_auto_chooses_by_the_table():
    train, labels = mask_people()
    assert (auto(train, labels, 3) == stratified_group(train, labels, 3)).all()
    alone = train.drop(columns="group")
    assert (auto(alone, labels, 3) == stratified(alone, labels, 3)).all()
    sets = label_sets()
    assert (auto(table(400), sets, 3) == multilabel_stratified(table(400), sets, 3)).all()
    values = np.linspace(0, 1, 50)[:, None]
    assert (auto(table(50), values, 3) == binned(table(50), values, 3)).all()


@pytest.mark.parametrize("name", sorted(set(register_folds()) - {"fixed"}))
def test_the_seed_decides(name):
    split = register_folds()[name]
    labels = label_sets() if name == "multilabel_stratified" else np.arange(400) % 7
    train = table(400, group=np.arange(400) // 4)
    first = split(train, labels, 1)
    assert first.shape == (400,) and first.dtype == np.int64
    assert (first == split(train, labels, 1)).all()
    assert (first != split(train, labels, 2)).any()


def test_missing_and_empty_groups_are_named():
    labels = np.array([0, 1] * 5)
    with pytest.raises(DataError, match=r"column = 'patient': .* Did you mean 'patients'\? Columns: patients\."):
        stratified_group(table(10, patients=range(10)), labels, 0, column="patient")
    with pytest.raises(DataError, match=r"column 'group' is empty in 2 rows: id r1, r2\."):
        group(table(10, group=["a", "", None, *"bcdefgh"]), labels, 0)


def test_too_few_rows_or_groups_are_named():
    with pytest.raises(DataError, match=r"n = 5: the train table has only 4 rows\."):
        stratified(table(4), np.arange(4), 0)
    with pytest.raises(
        DataError, match=r"only 2 groups\. Set \[folds\] n = 2\. .*: \[dataset\] drop = \[\"group\"\]\.$"
    ):
        stratified_group(table(10, group=[0, 1] * 5), np.arange(10), 0)
    with pytest.raises(DataError, match=r"has only 1 group\. If the column"):
        stratified_group(table(10, group=[0] * 10), np.arange(10), 0)


def test_stratified_refuses_label_sets_and_values():
    with pytest.raises(
        ConfigError, match=r"\'stratified\': needs one class per row, not label sets\. Use 'multilabel_stratified'"
    ):
        stratified(table(400), label_sets(), 0)
    with pytest.raises(ConfigError, match=r"\'stratified_group\': needs one class per row, not values\. Use 'binned'"):
        stratified_group(table(5, group=range(5)), np.ones((5, 1)), 0)


@pytest.mark.parametrize(
    ("name", "options"),
    [("auto", {"n": 1}), ("stratified", {"n": 101}), ("holdout", {"share": 1.0}), ("binned", {"bins": 1})],
)
def test_options_have_bounds(name, options):
    component = Component("folds", name, register_folds()[name], "folds")
    assert bind(component, options, "[folds]")[1]
    assert bind(component, {}, "[folds]")[1] == []


@pytest.mark.parametrize("name", ["auto", "kfold", "stratified", "group", "stratified_group", "binned", "holdout"])
def test_rows_of_one_image_stay_in_one_fold(name):
    rows = 60
    images = [f"{row % 40}.png" for row in range(rows)]
    train = pd.DataFrame({"id": [str(row) for row in range(rows)], "image": images, "group": np.arange(rows) // 3})
    labels = np.arange(rows) % 3 if name != "binned" else np.arange(rows, dtype=float).reshape(-1, 1)
    if name in ("auto", "kfold", "stratified", "holdout"):
        train = train.drop(columns="group")
    folds = register_folds()[name](train, labels, 1)
    assert (pd.Series(folds).groupby(images).nunique() == 1).all()
    assert len(set(folds.tolist())) == (2 if name == "holdout" else 5)
    if "group" in train:
        assert (pd.Series(folds).groupby(train["group"]).nunique() == 1).all()


def test_fixed_folds_are_the_users_own():
    train = pd.DataFrame({"id": ["a", "b"], "image": "x.png", "fold": [0, 1]})
    assert register_folds()["fixed"](train, np.array([0, 1]), 0).tolist() == [0, 1]
