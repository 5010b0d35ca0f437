"""Targets: labels to encoded targets and back, checked by hand, and every message about a bad table."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
import torch
from hypothesis import given
from hypothesis import strategies as st

from compete import CompeteError, DataError
from compete.config.options import bind
from compete.config.registry import Component
from compete.session import metric_for
from compete_plugins.metrics import register_metrics
from compete_plugins.targets import (
    binary,
    columns,
    heads,
    label,
    one_hot,
    ordinal,
    register_targets,
    regression,
    tokens,
    votes,
)


def table(**cells) -> pd.DataFrame:
    size = len(next(iter(cells.values())))
    return pd.DataFrame({"id": [f"r{number}" for number in range(size)], **cells})


def logits_of(probabilities) -> torch.Tensor:
    return torch.log(torch.tensor(probabilities))


# --- label -----------------------------------------------------------------------------------------------------


def test_label_sorts_integers_as_numbers_and_keeps_them():
    train = table(label=["10", "2", "0", "2"])
    target = label(train)
    assert target.classes == ("0", "2", "10")
    assert target.heads == (3,) and target.outputs == 3
    assert target.labels(train).tolist() == [2, 1, 0, 1]
    assert target.labels(train).dtype == np.int64
    assert target.encode(train.iloc[[3, 0]]).tolist() == [1, 2]
    assert target.decode(np.eye(3)[[2, 0]]) == [10, 0]


@pytest.mark.parametrize("cells", [[7, -3, 7], [7.0, -3.0, 7.0], ["7", "-3", "7"]])
def test_label_reads_ints_floats_and_strings_alike(cells):
    target = label(table(label=cells))
    assert target.classes == ("-3", "7")
    assert target.decode(np.eye(2)) == [-3, 7]


def test_label_keeps_text_that_only_looks_like_numbers_or_missing_values():
    target = label(table(label=["007", "None", "NA", "1.0"]))
    assert set(target.decode(np.eye(4))) == {"007", "None", "NA", "1.0"}


def test_label_sorts_digits_inside_names_as_numbers():
    assert label(table(label=["fish10", "fish2", "ape"])).classes == ("ape", "fish2", "fish10")


def test_label_takes_the_order_given_and_classes_the_table_lacks():
    train = table(label=["dog", "cat"])
    target = label(train, classes=["dog", "emu", "cat"])
    assert target.classes == ("dog", "emu", "cat")
    assert target.labels(train).tolist() == [0, 2]


def test_label_activation_is_softmax_in_float32():
    logits = logits_of([[0.2, 0.8], [0.5, 0.5]])
    predictions = label(table(label=["a", "b"])).activation(logits.half())
    assert predictions.dtype == torch.float32
    torch.testing.assert_close(predictions, torch.tensor([[0.2, 0.8], [0.5, 0.5]]), atol=1e-3, rtol=0)


def test_label_names_unknown_labels_with_rows_and_the_nearest_class():
    train = table(label=["dog", "cat", "dgo", "dgo", "ufo"])
    with pytest.raises(DataError) as error:
        label(train, classes=["cat", "dog"])
    assert error.value.problems == [
        "train table: column 'label' holds 'dgo', which is not a class (2 rows: id r2, r3). Did you mean 'dog'?",
        "train table: column 'label' holds 'ufo', which is not a class (1 row: id r4).",
    ]


@pytest.mark.parametrize("empty", [None, np.nan, "", "  "])
def test_label_names_empty_rows(empty):
    with pytest.raises(
        DataError, match=r"column 'label' is empty \(1 row: id r1\)\. Label these rows, or remove them from"
    ):
        label(table(label=["a", empty, "b"]))


def test_an_int_column_with_a_hole_is_still_ints_and_the_hole_is_named():
    train = table(label=[3, None, 5])
    with pytest.raises(DataError, match=r"is empty \(1 row: id r1\)"):
        label(train)
    assert label(train.dropna()).classes == ("3", "5")


def test_label_names_at_most_five_rows():
    with pytest.raises(DataError, match=r"\(7 rows: id r0, r1, r2, r3, r4 and 2 more\)"):
        label(table(label=[""] * 7 + ["a", "b"]))


def test_label_refuses_a_single_class_and_a_missing_column():
    with pytest.raises(DataError, match="column 'label' has only one class, 'a'"):
        label(table(label=["a", "a"]))
    with pytest.raises(
        DataError, match=r"unknown column 'lable' of the train table\. Did you mean 'label'\? Columns: label\."
    ):
        label(table(label=["a", "b"]), column="lable")


def test_decode_refuses_nan():
    with pytest.raises(ValueError, match="row 1 of the predictions is not finite"):
        label(table(label=["a", "b"])).decode(np.array([[0.1, 0.9], [np.nan, 0.2]]))


@given(st.lists(st.sampled_from(["cat", "dog", "emu", "7", "a b"]), min_size=2).filter(lambda x: len(set(x)) > 1))
def test_label_decodes_what_it_encoded(cells):
    train = table(label=cells)
    target = label(train)
    assert [str(name) for name in target.decode(np.eye(len(target.classes))[target.encode(train)])] == cells


# --- heads -----------------------------------------------------------------------------------------------------

MASK = {"mask": [0, 1, 2, 2], "gender": [1, 0, 1, 0], "age_group": [2, 0, 1, 2]}


def test_heads_number_combinations_with_the_first_column_slowest():
    train = table(**MASK)
    target = heads(train, columns=list(MASK), sizes=[3, 2, 3])
    assert target.heads == (3, 2, 3) and target.outputs == 8
    assert target.head_names == ("mask", "gender", "age_group")
    assert target.encode(train).tolist() == [[0, 1, 2], [1, 0, 0], [2, 1, 1], [2, 0, 2]]
    # The mask competition's own rule: mask * 6 + gender * 3 + age group.
    assert target.labels(train).tolist() == [5, 6, 16, 14]
    assert target.encode(train).dtype == target.labels(train).dtype == np.int64
    assert target.classes == tuple(str(number) for number in range(18))


def test_heads_predict_the_product_of_the_heads():
    train = table(**MASK)
    target = heads(train, columns=list(MASK), sizes=[3, 2, 3])
    mask, gender, age = [0.2, 0.3, 0.5], [0.1, 0.9], [0.6, 0.3, 0.1]
    predictions = target.activation(logits_of([mask + gender + age]))
    assert predictions.shape == (1, 18)
    for number in range(18):
        expected = mask[number // 6] * gender[number // 3 % 2] * age[number % 3]
        assert predictions[0, number].item() == pytest.approx(expected, rel=1e-5)
    assert target.decode(predictions.numpy()) == [15]


def test_heads_take_class_lists_and_names():
    train = table(wear=["on", "off"], sex=["male", "female"])
    target = heads(train, columns=["wear", "sex"], classes={"sex": ["male", "female"]}, labels="names", separator="/")
    assert target.classes == ("off/male", "off/female", "on/male", "on/female")
    assert target.labels(train).tolist() == [2, 1]
    assert target.decode(np.eye(4)) == list(target.classes)


def test_heads_name_the_problems_of_all_columns():
    with pytest.raises(DataError) as error:
        heads(table(mask=[0, 3], gender=[1, 2]), columns=["mask", "gender"], sizes=[3, 2])
    assert error.value.problems == [
        "train table: column 'mask' holds '3', which is not a class (1 row: id r1).",
        "train table: column 'gender' holds '2', which is not a class (1 row: id r1).",
    ]
    with pytest.raises(DataError) as error:
        heads(table(mask=[0, 1]), columns=["mask", "gender", "age"])
    assert len(error.value.problems) == 2


# --- one_hot, votes ------------------------------------------------------------------------------------------


def test_one_hot_reads_the_column_with_the_one():
    train = table(healthy=["1", "0", "0"], rust=["0", "1", "0"], scab=["0", "0", "1.0"])
    target = one_hot(train, columns=["healthy", "rust", "scab"])
    assert target.labels(train).tolist() == [0, 1, 2]
    assert target.heads == (3,)
    assert target.decode(np.eye(3)) == ["healthy", "rust", "scab"]


def test_one_hot_refuses_rows_without_exactly_one():
    with pytest.raises(DataError, match=r"exactly one of a, b must hold a 1 \(2 rows: id r0, r1\)"):
        one_hot(table(a=[1, 0, 1], b=[1, 0, 0]), columns=["a", "b"])
    with pytest.raises(DataError, match=r"column 'b' must hold 0 or 1 \(1 row: id r0\)"):
        one_hot(table(a=[1, 0], b=[2, 1]), columns=["a", "b"])
    with pytest.raises(DataError, match=r"column 'b' holds 'x', which is not a number \(1 row: id r1\)"):
        one_hot(table(a=[1, 0], b=["0", "x"]), columns=["a", "b"])


def test_votes_become_shares():
    train = table(seizure=[3, 0], other=[1, 5])
    target = votes(train, columns=["seizure", "other"])
    for encoded in (target.encode(train), target.labels(train)):
        assert encoded.dtype == np.float32
        np.testing.assert_allclose(encoded, [[0.75, 0.25], [0, 1]])
    assert target.decode(target.labels(train)) == ["seizure", "other"]


def test_votes_refuse_rows_without_votes():
    with pytest.raises(DataError, match=r"no votes \(1 row: id r1\)"):
        votes(table(a=[1, 0], b=[0, 0]), columns=["a", "b"])
    with pytest.raises(DataError, match=r"negative number of votes \(1 row: id r0\)"):
        votes(table(a=[-1, 0], b=[3, 1]), columns=["a", "b"])


# --- binary, columns, tokens -----------------------------------------------------------------------------------


def test_binary_predicts_the_class_named():
    train = table(label=["dog", "cat", "dog"])
    target = binary(train, positive="dog")
    assert target.classes == ("dog",) and target.heads == (1,)
    assert target.encode(train).tolist() == [[1.0], [0.0], [1.0]] and target.encode(train).dtype == np.float32
    assert target.labels(train).tolist() == [1, 0, 1] and target.labels(train).dtype == np.int64
    predictions = target.activation(torch.tensor([[0.0], [-2.0]]))
    np.testing.assert_allclose(predictions, [[0.5], [1 / (1 + np.exp(2))]], rtol=1e-6)
    assert target.decode(predictions.numpy()) == ["dog", "cat"]
    assert binary(train, positive="cat").labels(train).tolist() == [0, 1, 0]


def test_binary_decodes_ints_and_takes_them_as_positive():
    assert binary(table(label=["0", "1"])).decode(np.array([[0.9], [0.1]])) == [1, 0]
    assert binary(table(label=[0, 1]), positive=0).classes == ("0",)


def test_binary_refuses_other_tables():
    with pytest.raises(DataError, match=r"never holds the positive label 'dogs'\. Did you mean 'dog'\? Labels: cat, d"):
        binary(table(label=["cat", "dog"]), positive="dogs")
    with pytest.raises(DataError, match="must hold two labels; it holds 0, 1, 2"):
        binary(table(label=[0, 1, 2]))


def test_columns_are_independent():
    train = table(ett=["1", "0"], ngt=["1", "1"])
    target = columns(train, columns=["ett", "ngt"])
    assert target.classes == ("ett", "ngt") and target.heads == (2,)
    assert target.encode(train).tolist() == target.labels(train).tolist() == [[1, 1], [0, 1]]
    assert target.activation(torch.zeros(1, 2)).tolist() == [[0.5, 0.5]]
    assert target.decode(np.array([[0.9, 0.6], [0.1, 0.2]])) == ["ett, ngt", ""]


def test_tokens_split_and_join():
    train = table(labels=["scab frog_eye", "healthy", " scab  healthy"])
    target = tokens(train)
    assert target.classes == ("frog_eye", "healthy", "scab")
    assert target.labels(train).tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 1]]
    assert target.encode(train.iloc[[1]]).tolist() == [[0, 1, 0]]
    assert target.decode(target.labels(train)) == ["frog_eye scab", "healthy", "healthy scab"]


def test_tokens_sort_integers_as_numbers():
    assert tokens(table(labels=["10|9", "9"]), separator="|").classes == ("9", "10")


def test_tokens_take_empty_cells_only_with_allow_empty():
    train = table(labels=["a", "", "b"])
    with pytest.raises(DataError, match=r"column 'labels' is empty \(1 row: id r1\)"):
        tokens(train)
    assert tokens(train, allow_empty=True).labels(train).tolist() == [[1, 0], [0, 0], [0, 1]]


def test_tokens_refuse_unknown_and_no_labels():
    with pytest.raises(DataError, match=r"'scap', which is not a class \(1 row: id r1\)\. Did you mean 'scab'\?"):
        tokens(table(labels=["scab", "rust scap"]), classes=["scab", "rust"])
    with pytest.raises(DataError, match=r"column 'labels' holds no labels \(1 row: id r1\)"):
        tokens(table(labels=["a,b", ","]), separator=",")
    with pytest.raises(DataError, match="has no labels"):
        tokens(table(labels=["", ""]), allow_empty=True)


# --- ordinal, regression -------------------------------------------------------------------------------------


def test_ordinal_as_regression_lives_on_the_label_scale():
    train = table(label=["0", "4", "2"])
    target = ordinal(train, levels=5)
    assert target.heads == (1,) and target.classes == ("label",)
    np.testing.assert_allclose(target.encode(train), [[0], [1], [0.5]])
    assert target.labels(train).tolist() == [0, 4, 2]
    predictions = target.activation(torch.tensor([[0.0], [20.0]]))
    np.testing.assert_allclose(predictions, [[2.0], [4.0]], rtol=1e-6)
    assert target.decode(np.array([[2.4], [2.6], [-1.0], [9.0]])) == [2, 3, 0, 4]


def test_ordinal_cumulative_counts_the_levels_exceeded():
    train = table(label=[0, 3, 1])
    target = ordinal(train, levels=4, method="cumulative")
    assert target.heads == (3,)
    assert target.encode(train).tolist() == [[0, 0, 0], [1, 1, 1], [1, 0, 0]]
    assert target.activation(torch.tensor([[30.0, 0.0, -30.0]])).tolist() == [[pytest.approx(1.5)]]


@pytest.mark.parametrize(("cells", "spelled"), [
    (["1", "3", "5", "2", "4"], [1, 2, 3, 4, 5]),
    ([1, 2, 5, 9], [1, 2, 5, 9]),
    ([-10.0, 0.0, 20.0], [-10, 0, 20]),
    (["01", "02", "10"], ["01", "02", "10"]),
    (["1.0", "2.0", "3.0"], ["1.0", "2.0", "3.0"]),
    (["1", "1.0", "3"], [1, 3]),
])  # fmt: skip
@pytest.mark.parametrize("method", ["regression", "cumulative"])
def test_levels_are_those_of_the_table_wherever_they_start(cells, spelled, method):
    train = table(label=cells)
    target = ordinal(train, method=method)
    values = np.array([float(cell) for cell in cells])
    labels = target.labels(train)
    assert labels.dtype == np.int64 and labels.tolist() == values.tolist()
    # A network that is sure of the encoded targets predicts the labels, on their own scale, and they are decoded so.
    sure = torch.logit(torch.from_numpy(target.encode(train)).clamp(1e-6, 1 - 1e-6))
    predictions = target.activation(sure).numpy()
    np.testing.assert_allclose(predictions[:, 0], values, atol=1e-3)
    assert target.decode(predictions) == [spelled[place] for place in np.unique(values, return_inverse=True)[1]]
    assert target.decode(np.array([[-99.0], [99.0]])) == [spelled[0], spelled[-1]]
    assert target.ranks(labels).tolist() == np.unique(values, return_inverse=True)[1].tolist()


def test_listed_levels_may_be_more_than_the_table_s():
    target = ordinal(table(label=["1", "4"]), levels=[1, 2, 4])
    assert target.decode(np.array([[2.9], [3.0], [1.4]])) == [2, 4, 1]
    assert target.ranks(np.array([[1.4], [np.nan]])).tolist() == [0, pytest.approx(np.nan, nan_ok=True)]


@pytest.mark.parametrize(("levels", "off"), [((1, 2, 3, 4, 5), 0.4), ((10, 20, 40), 4.0), ((-3, -1, 0), 0.4)])
def test_metrics_of_classes_score_the_nearest_levels(levels, off):
    rng = np.random.default_rng(0)
    labels, found = rng.choice(levels, (2, 60))
    target = ordinal(table(label=[*levels]))
    predictions = (found + rng.uniform(-off, off, 60))[:, None]

    def scored(metric, predictions=predictions):
        config = SimpleNamespace(one=lambda _kind: SimpleNamespace(build=register_metrics()[metric]))
        return metric_for(config, target).score(labels, predictions)

    assert target.decode(predictions) == found.tolist()
    assert scored("kappa") == pytest.approx(sk.cohen_kappa_score(labels, found, weights="quadratic"))
    assert scored("accuracy") == pytest.approx(sk.accuracy_score(labels, found))
    assert scored("macro_f1") == pytest.approx(sk.f1_score(labels, found, average="macro"))
    assert scored("rmse") == pytest.approx(sk.root_mean_squared_error(labels, predictions[:, 0]))
    with pytest.raises(CompeteError, match="hold NaN or infinity, first in row 3"):
        scored("kappa", np.where(np.arange(60)[:, None] == 3, np.nan, predictions))


def test_ordinal_refuses_what_is_not_a_level():
    with pytest.raises(DataError, match=r"must hold one of the levels 0, 1, 2 \(2 rows: id r1, r2\)"):
        ordinal(table(label=[0, 1.5, 3]), levels=3)
    with pytest.raises(DataError, match=r"not start at 0, list them: levels = \[1, 2, ...\] \(1 row: id r1\)"):
        ordinal(table(label=[1, 3]), levels=3)
    with pytest.raises(DataError, match="column 'label' must hold integers; for other numbers"):
        ordinal(table(label=[0.5, 1]))
    with pytest.raises(DataError, match="column 'label' has only one level, 0"):
        ordinal(table(label=[0, 0]))
    with pytest.raises(DataError, match="column 'label' has 10,001 levels"):
        ordinal(table(label=range(10_001)))


def test_regression_is_scaled_to_its_range():
    train = table(pawpularity=["1", "100", "50.5"])
    target = regression(train, column="pawpularity", low=1, high=100)
    np.testing.assert_allclose(target.encode(train), [[0], [1], [0.5]])
    np.testing.assert_allclose(target.labels(train), [[1], [100], [50.5]])
    np.testing.assert_allclose(target.activation(torch.tensor([[0.0], [-99.0]])), [[50.5], [1.0]])
    assert target.decode(np.array([[3.25]])) == [3.25]
    assert regression(train, column="pawpularity").encode(train.iloc[[2]]).tolist() == [[0.5]]


def test_regression_refuses_values_outside_and_no_range():
    with pytest.raises(DataError, match=r"column 'y' is outside 0 to 1 \(1 row: id r1\)"):
        regression(table(y=[0.5, 1.5]), column="y", low=0, high=1)
    with pytest.raises(DataError, match="column 'y' has no range: low 2, high 2"):
        regression(table(y=[2, 2]), column="y")
    with pytest.raises(DataError, match="column 'y' holds 'inf', which is not a number"):
        regression(table(y=["1", "inf"]), column="y")


# --- options -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("label", {"classes": ["a"]}, "classes needs at least two names."),
        ("label", {"classes": ["a", "b", "a"]}, "classes names 'a' twice."),
        ("one_hot", {"columns": ["a", "a"]}, "columns names 'a' twice."),
        ("votes", {"columns": ["a"]}, "columns needs at least two names."),
        ("heads", {"columns": ["a", "b"], "sizes": [3]}, "sizes = [3] must hold one number of classes, 2 or more"),
        (
            "heads",
            {"columns": ["a", "b"], "sizes": [3, 1]},
            "must be a list of integers, 2 <= x <= 100000, but sizes.1 is 1",
        ),
        ("heads", {"columns": ["a", "b"], "classes": {"c": ["x", "y"]}}, "classes.c: not one of the columns a, b."),
        ("heads", {"columns": ["a", "b"], "sizes": [2, 2], "classes": {}}, "set either 'sizes' or 'classes'"),
        ("columns", {"columns": []}, "columns needs at least one name."),
        ("columns", {"columns": ["a", "a"]}, "columns names 'a' twice."),
        ("tokens", {"separator": ""}, "separator is empty."),
        ("tokens", {"classes": ["a", "a"]}, "classes names 'a' twice."),
        ("ordinal", {"levels": 1}, "must be an integer, 2 <= x <= 10000, or a list of integers"),
        ("ordinal", {"levels": [3, 2]}, "levels = [3, 2] must list at least two integers, in ascending order."),
        ("ordinal", {"levels": [3, 3]}, "in ascending order."),
        ("ordinal", {"levels": [3]}, "at least two integers"),
        ("ordinal", {"levels": [3, 10**30]}, "or a list of integers, -2147483647 <= x <= 2147483647."),
        ("heads", {}, "is required and missing"),
    ],
)
def test_bad_options_show_when_the_toml_is_read(name, options, message):
    component = Component("targets", name, register_targets()[name], "targets")
    problems = [str(problem) for problem in bind(component, options, "[target]")[1]]
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize("name", list(register_targets()))
def test_every_target_binds_and_has_a_summary(name):
    component = Component("targets", name, register_targets()[name], "targets")
    needs = {"columns": ["a", "b"]} if name in {"heads", "one_hot", "votes", "columns"} else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bind(component, needs, "[target]")[1] == []
    assert component.summary.endswith(".")


# --- separators -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "separator", "advice"),
    [
        (["scab, rust", "rust", "scab"], " ", "holds both 'scab,' and 'scab'. Set [target] separator = ', '"),
        (["a, b", "a,b", "b", "a"], ", ", "holds both 'a,b' and 'a', 'b'. Set [target] separator = ','"),
        (["a b|c", "b", "c", "b|c"], " ", "separator = '|'"),
    ],
)
def test_labels_that_another_separator_would_split_are_refused(cells, separator, advice):
    with pytest.raises(DataError) as caught:
        tokens(table(labels=cells), separator=separator)
    assert advice in str(caught.value)


def test_classes_that_hold_the_separator_are_refused():
    with pytest.raises(DataError, match="classes: 'powdery mildew' holds the separator ' '"):
        tokens(table(labels=["rust"]), classes=["rust", "powdery mildew"])


def test_a_target_of_label_sets_says_what_joins_them():
    assert tokens(table(labels=["a|b", "a"]), separator="|").separator == "|"


def test_combinations_that_would_have_one_name_are_refused():
    with pytest.raises(DataError, match="separator = ' ': 'a b c' is more than one combination"):
        heads(table(x=["a", "a b"], y=["b c", "c"]), columns=["x", "y"], labels="names")
