"""Submissions: the sample's columns and rows, and cells as the platform wants them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from compete import ConfigError, SubmissionError, Target
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.submissions import (
    label,
    long,
    positive,
    probabilities,
    register_submissions,
    tokens,
    top_k,
    value,
)


def target(classes=("0", "1"), spelled=(0, 1)) -> Target:
    def decode(predictions):
        return [spelled[number] for number in predictions.argmax(axis=1)]

    return Target(tuple(classes), len, len, lambda logits: logits, decode, (len(classes),))


def predicted(ids, values, classes) -> pd.DataFrame:
    return pd.DataFrame(np.array(values), index=list(ids), columns=list(classes))


def sample(ids, **columns) -> pd.DataFrame:
    return pd.DataFrame({"ImageID": list(ids), **columns})


# --- label -----------------------------------------------------------------------------------------------------


def test_label_fills_the_only_column_and_keeps_repeated_rows():
    frame = label(sample("abca", ans=["0"] * 4), predicted("abca", [[1, 0], [0, 1], [0, 1], [1, 0]], "01"), target())
    assert frame.columns.tolist() == ["ImageID", "ans"]
    assert frame["ImageID"].tolist() == ["a", "b", "c", "a"]
    assert frame["ans"].tolist() == [0, 1, 1, 0] and np.issubdtype(frame["ans"].dtype, np.integer)


def test_label_writes_text_where_the_sample_has_empty_cells():
    frame = label(sample("ab", ans=["", ""]), predicted("ab", np.eye(2), "cd"), target("cd", ["cat", "dog"]))
    assert frame["ans"].tolist() == ["cat", "dog"]


def test_label_fills_the_column_named_and_leaves_the_others():
    given = sample("ab", note=["x", "y"], ans=["0", "0"])
    frame = label(given, predicted("ab", np.eye(2), "01"), target(), column="ans")
    assert frame.columns.tolist() == ["ImageID", "note", "ans"]
    assert frame["note"].tolist() == ["x", "y"] and frame["ans"].tolist() == [0, 1]
    assert given["ans"].tolist() == ["0", "0"]


def test_label_asks_which_column():
    rows = predicted("ab", np.eye(2), "01")
    with pytest.raises(
        ConfigError, match=r"the sample has 2 columns beside its ids \(ans, note\); set 'column' to the one to fill"
    ):
        label(sample("ab", note=["", ""], ans=["", ""]), rows, target())
    with pytest.raises(ConfigError, match=r"column = 'asn': .* Did you mean 'ans'\? Columns: ans\."):
        label(sample("ab", ans=["", ""]), rows, target(), column="asn")


def test_predictions_in_another_order_are_refused():
    with pytest.raises(SubmissionError, match="row 1 of the sample is 'a', but that of the predictions is 'b'"):
        label(sample("ab", ans=["", ""]), predicted("ba", np.eye(2), "01"), target())
    with pytest.raises(SubmissionError, match="the sample has 3 rows, but there are 2 predictions"):
        label(sample("abc", ans=["", "", ""]), predicted("ab", np.eye(2), "01"), target())


# --- probabilities, positive, value --------------------------------------------------------------------------------


def test_probabilities_follow_the_samples_columns_by_name():
    frame = probabilities(sample("ab", dog=0, cat=0), predicted("ab", [[0.25, 0.75], [1, 0]], ["cat", "dog"]), target())
    assert frame.columns.tolist() == ["ImageID", "dog", "cat"]
    assert frame.to_numpy()[:, 1:].tolist() == [[0.75, 0.25], [0, 1]]


def test_probabilities_of_many_classes_sum_to_one_after_rounding():
    rng = np.random.default_rng(0)
    values = rng.dirichlet(np.full(120, 0.05), 50).astype(np.float32) * np.float32(1.0004)
    names = [f"class{number}" for number in range(120)]
    given = sample([f"r{row}" for row in range(50)], **dict.fromkeys(names, 0))
    frame = probabilities(given, predicted(given["ImageID"], values, names), target())
    np.testing.assert_allclose(frame[names].sum(axis=1), 1, atol=1e-6)
    # Significant digits, not decimals: small probabilities stay apart.
    assert frame[names].min().min() < 1e-9
    np.testing.assert_allclose(frame[names], values / values.sum(axis=1, keepdims=True, dtype=np.float64), rtol=1e-7)


def test_probabilities_of_independent_labels_and_of_part_of_the_classes_stay_as_they_are():
    rows = predicted("a", [[0.9, 0.8, 0.1]], "xyz")
    assert probabilities(sample("a", x=0, y=0, z=0), rows, target()).iloc[0, 1:].tolist() == [0.9, 0.8, 0.1]
    assert probabilities(sample("a", x=0, z=0), rows, target()).iloc[0, 1:].tolist() == [0.9, 0.1]
    one_class = predicted("a", [[0.5, 0.3, 0.2]], "xyz")
    part = probabilities(sample("a", x=0, z=0), one_class, target(), normalise=False)
    assert part.iloc[0, 1:].tolist() == [0.5, 0.2]
    scaled = probabilities(sample("a", x=0, y=0, z=0), rows, target(), normalise=True)
    np.testing.assert_allclose(scaled.iloc[0, 1:].tolist(), [0.5, 0.4444444, 0.0555556], atol=1e-7)


def test_a_class_without_a_column_is_left_out_only_with_normalise():
    given, names = sample("a", wolf=0, dog=0), ["wolf", "dog", "wolff", *"uvxyz"]
    rows = predicted("a", [[0.5, 0.25, 0.25, 0, 0, 0, 0, 0]], names)
    with pytest.raises(SubmissionError) as error:
        probabilities(given, rows, target())
    assert error.value.problems[0] == (
        "class 'wolff' is not a column of the sample. Did you mean 'wolf'? Fix the label, or set [submission] "
        "normalise = true to leave it out and rescale the others (false: and keep them as they are)."
    )
    assert error.value.problems[5:] == ["1 more class of 8 without a column in the sample."]
    written = probabilities(given, rows, target(), normalise=True)
    np.testing.assert_allclose(written.iloc[0, 1:].tolist(), [2 / 3, 1 / 3], atol=1e-7)


def test_probabilities_are_rounded_to_digits():
    frame = probabilities(sample("a", x=0, y=0), predicted("a", [[0.123456, 0.000123456]], "xy"), target(), digits=3)
    assert frame.iloc[0, 1:].tolist() == [0.123, 0.000123]


def test_probabilities_name_columns_that_are_not_a_class():
    with pytest.raises(SubmissionError) as error:
        probabilities(sample("a", dgo=0, ufo=0), predicted("a", [[0.5, 0.5]], ["cat", "dog"]), target())
    assert error.value.problems == [
        "the sample's column 'dgo' is not a class. Did you mean 'dog'? Classes: cat, dog.",
        "the sample's column 'ufo' is not a class. Classes: cat, dog.",
    ]


def test_positive_writes_the_only_or_the_named_class():
    one = positive(sample("ab", p=0), predicted("ab", [[1e-12], [0.5]], ["dog"]), target())
    assert one["p"].tolist() == [1e-12, 0.5]
    two = positive(sample("ab", p=0), predicted("ab", [[0.1, 0.9], [1, 0]], ["cat", "dog"]), target(), positive="dog")
    assert two["p"].tolist() == [0.9, 0]


def test_positive_asks_which_class():
    rows = predicted("a", [[0.1, 0.9]], ["cat", "dog"])
    with pytest.raises(ConfigError, match=r"there are 2 classes \(cat, dog\); set 'positive'"):
        positive(sample("a", p=0), rows, target())
    with pytest.raises(ConfigError, match=r"positive = 'dig': .* Did you mean 'dog'\? Classes: cat, dog\."):
        positive(sample("a", p=0), rows, target(), positive="dig")


def test_value_writes_numbers_and_keeps_whole_ones():
    frame = value(sample("ab", y=0), predicted("ab", [[12.3456789123], [-0.5]], ["y"]), target())
    assert frame["y"].tolist() == [12.345679, -0.5]
    whole = value(sample("ab", y=0), predicted("ab", [[3], [0]], ["y"]), target())
    assert whole["y"].tolist() == [3, 0] and np.issubdtype(whole["y"].dtype, np.integer)


# --- tokens, top_k -------------------------------------------------------------------------------------------------

SETS = [[0.9, 0.6, 0.1], [0.2, 0.4, 0.3], [0.7, 0.8, 0.9]]


@pytest.mark.parametrize(
    ("options", "cells"),
    [
        ({}, ["rust scab", "scab", "rust scab spot"]),
        ({"min_labels": 0}, ["rust scab", "", "rust scab spot"]),
        ({"max_labels": 1}, ["rust", "scab", "spot"]),
        ({"threshold": 0.35, "separator": "|"}, ["rust|scab", "scab", "rust|scab|spot"]),
        ({"min_labels": 2, "threshold": 0.95}, ["rust scab", "scab spot", "scab spot"]),
    ],
)
def test_tokens_join_the_labels(options, cells):
    rows = predicted("abc", SETS, ["rust", "scab", "spot"])
    assert tokens(sample("abc", labels=""), rows, target(), **options)["labels"].tolist() == cells


def test_top_k_ranks_the_best_first():
    rows = predicted("ab", [[0.1, 0.5, 0.15, 0.25], [0.4, 0.1, 0.4, 0.1]], ["w1", "w2", "w3", "w4"])
    assert top_k(sample("ab", Id=""), rows, target(), k=3)["Id"].tolist() == ["w2 w4 w3", "w1 w3 w2"]
    assert top_k(sample("ab", Id=""), rows, target(), k=9)["Id"].tolist() == ["w2 w4 w3 w1", "w1 w3 w2 w4"]


def test_top_k_agrees_with_a_full_sort():
    values = np.random.default_rng(0).random((40, 30))
    rows = predicted([str(row) for row in range(40)], values, [f"c{number}" for number in range(30)])
    cells = top_k(sample(rows.index, Id=""), rows, target(), k=7)["Id"]
    expected = [" ".join(f"c{number}" for number in row) for row in np.argsort(-values, axis=1)[:, :7]]
    assert cells.tolist() == expected


def test_top_k_puts_the_open_set_label_where_its_threshold_ranks():
    rows = predicted("abc", [[0.9, 0.05, 0.04], [0.4, 0.35, 0.25], [0.2, 0.15, 0.1]], ["w1", "w2", "w3"])
    cells = top_k(sample("abc", Id=""), rows, target(), k=3, open_set="new", open_set_threshold=0.37)["Id"]
    assert cells.tolist() == ["w1 new w2", "w1 new w2", "new w1 w2"]


def test_top_k_raises_an_open_set_label_that_is_a_class_too():
    rows = predicted("ab", [[0.6, 0.3, 0.1], [0.25, 0.05, 0.7]], ["w1", "w2", "new"])
    cells = top_k(sample("ab", Id=""), rows, target(), k=2, open_set="new", open_set_threshold=0.5)["Id"]
    assert cells.tolist() == ["w1 new", "new w1"]
    assert rows.iloc[0, 2] == 0.1


# --- long --------------------------------------------------------------------------------------------------------


def test_long_writes_a_row_for_each_image_and_class_in_the_samples_order():
    rows = predicted(["u1", "u2"], [[0.1, 0.2], [0.3, 0.4]], ["C1", "C2"])
    frame = long(sample(["u2_C1", "u1_C2", "u1_C1", "u2_C2"], p=0), rows, target())
    assert frame["ImageID"].tolist() == ["u2_C1", "u1_C2", "u1_C1", "u2_C2"]
    assert frame["p"].tolist() == [0.3, 0.2, 0.1, 0.4]


def test_long_takes_numbered_classes_and_integer_ids():
    rows = predicted(["0", "12"], [[0.1, 0.2], [0.3, 0.4]], ["crow", "owl"])  # id * 100 + class
    frame = long(sample(["0", "1", "1200", "1201"], p=0), rows, target(), template="{id}{number:02d}")
    assert frame["p"].tolist() == [0.1, 0.2, 0.3, 0.4]


def test_long_names_rows_that_fit_no_image():
    rows = predicted(["u1"], [[0.1, 0.2]], ["C1", "C2"])
    with pytest.raises(SubmissionError, match=r"2 rows .* in the form '{id}_{class}', first 'u1-C1'\. Did you mean"):
        long(sample(["u1-C1", "u1-C2"], p=0), rows, target())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "long",
            {"template": "{id}_{klass}"},
            "template: unknown field {klass}. Available: {id}, {class} and {number}.",
        ),
        ("long", {"template": "{id}"}, "template must hold {id} and one of {class} and {number}."),
        ("long", {"template": "{class}"}, "template must hold {id}"),
        ("long", {"template": "{id}_{class"}, "template: expected '}' before end of string."),
        ("tokens", {"min_labels": 3, "max_labels": 2}, "max_labels = 2 must not be below min_labels = 3."),
        ("probabilities", {"digits": 9}, "must be an integer, 1 <= x <= 8."),
        ("top_k", {"k": 0}, "must be an integer, 1 <= x <= 100000."),
    ],
)
def test_bad_options_show_when_the_toml_is_read(name, options, message):
    component = Component("submissions", name, register_submissions()[name], "submissions")
    problems = [str(problem) for problem in bind(component, options, "[submission]")[1]]
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize("name", list(register_submissions()))
def test_every_format_binds_without_options(name):
    assert (
        bind(Component("submissions", name, register_submissions()[name], "submissions"), {}, "[submission]")[1] == []
    )


# --- labels that are joined -------------------------------------------------------------------------------------


def joined_by(separator: str) -> Target:
    return Target(("a", "b"), *[lambda *_: None] * 4, separator=separator)


def test_labels_are_joined_as_the_target_splits_them_unless_another_separator_is_set():
    rows = predicted("x", [[0.9, 0.8]], ["a", "b"])
    for options, cell in (({}, "a|b"), ({"separator": ","}, "a,b")):
        assert tokens(sample("x", labels=""), rows, joined_by("|"), **options)["labels"].tolist() == [cell]
    assert tokens(sample("x", labels=""), rows, joined_by(""))["labels"].tolist() == ["a b"]


@pytest.mark.parametrize(("form", "options"), [(tokens, {}), (top_k, {"k": 2})])
def test_labels_that_hold_their_separator_are_refused(form, options):
    rows = predicted("x", [[0.9, 0.8, 0.1]], ["red fox", "elk", "grey wolf"])
    with pytest.raises(SubmissionError, match="separator = ' ' is inside 2 labels: 'red fox', 'grey wolf'"):
        form(sample("x", labels=""), rows, target(), **options)
    form(sample("x", labels=""), rows, target(), separator="|", **options)
    top_k(sample("x", labels=""), rows, target(), k=1)


def test_label_numbers_are_places_in_the_order_of_the_classes():
    rows = predicted("xy", [[0.9, 0.1], [0.2, 0.8]], ["dog", "cat"])
    named = target(("dog", "cat"), ("dog", "cat"))
    assert label(sample("xy", ans="0"), rows, named)["ans"].tolist() == ["dog", "cat"]
    assert label(sample("xy", ans="0"), rows, named, numbers=True)["ans"].tolist() == [0, 1]
    with pytest.raises(ConfigError, match="numbers = true: 'dog' is not one class"):
        label(sample("xy", ans="0"), rows, target(("d", "c"), ("dog", "cat")), numbers=True)
