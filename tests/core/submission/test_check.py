"""The check against the sample submission."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from compete.submission.check import check_submission
from compete.submission.csv_file import read_submission, write_submission

SAMPLE = pd.DataFrame({"ImageID": ["a.jpg", "b.jpg", "c.jpg", "a.jpg"], "ans": ["0", "0", "0", "0"]})


def frame(ids=tuple(SAMPLE["ImageID"]), ans=(0, 1, 2, 0)) -> pd.DataFrame:
    return pd.DataFrame({"ImageID": list(ids), "ans": list(ans)})


def problems(given, sample=SAMPLE, **rules) -> list[str]:
    return check_submission(given, sample, **rules).problems


# --- columns and ids ---------------------------------------------------------------------------------------------


def test_a_good_submission_has_no_problem_typed_or_as_text():
    rules = {"integers": True, "low": 0, "high": 2, "allowed": [0, 1, 2]}
    assert problems(frame(), **rules) == problems(frame(ans="0120"), **rules) == []


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            ["ImageID", "answer"],
            ["column 'ans' of the sample is missing. Did you mean 'answer'?", "no column 'answer'"],
        ),
        (["ans", "ImageID"], ["the columns are ans, ImageID; the sample's order is ImageID, ans."]),
        (["ImageID", "ImageID"], ["column 'ans' of the sample is missing."]),
    ],
)
def test_columns_must_be_the_samples(columns, expected):
    found = problems(frame().set_axis(columns, axis=1))
    assert len(found) == len(expected)
    assert all(text in problem for text, problem in zip(expected, found, strict=True))


def test_an_index_column_and_a_repeated_one_are_named():
    with_index = frame().reset_index().rename(columns={"index": "Unnamed: 0"})
    assert problems(with_index) == [
        "the sample has no column 'Unnamed: 0'. Its columns are ImageID, ans; leave out the index."
    ]
    twice = pd.concat([frame(), frame()[["ans"]]], axis=1)
    assert problems(twice) == ["a column occurs more than once: ImageID, ans, ans."]


def test_missing_rows_are_named():
    assert problems(frame().iloc[:3]) == ["column 'ImageID': 1 row of the sample missing: 'a.jpg'. Add them."]
    assert "2 rows of the sample missing: 'b.jpg', 'c.jpg'" in problems(frame().iloc[[0, 3]])[0]


def test_unknown_ids_are_named_with_the_nearest():
    found = problems(frame(["a.jpg", "b.jpeg", "c.jpg", "a.jpg"]))
    assert found[1] == (
        "column 'ImageID': 1 id not in the sample: 'b.jpeg'. Did you mean 'b.jpg'? Write ids as the sample does."
    )


def test_repeated_rows_are_named_but_the_samples_own_repeats_are_right():
    extra = pd.concat([frame(), frame().iloc[[1]]])
    assert problems(extra) == ["column 'ImageID': rows repeated more often than in the sample: 'b.jpg'. Remove them."]


def test_another_order_is_named():
    assert problems(frame().iloc[[0, 2, 1, 3]]) == [
        "column 'ImageID': the ids are reordered, first in row 2: 'c.jpg' instead of 'b.jpg'. Sort the rows as in the "
        "sample."
    ]


def test_int_ids_are_compared_as_text():
    sample = pd.DataFrame({"id": ["1", "2"], "y": ["0", "0"]})
    assert problems(pd.DataFrame({"id": [1, 2], "y": [0, 0]}), sample) == []
    assert "'1.0'" in problems(pd.DataFrame({"id": [1.0, 2.0], "y": [0, 0]}), sample)[1]


def test_at_most_five_ids_are_listed():
    sample = pd.DataFrame({"id": [str(row) for row in range(9)], "y": "0"})
    found = problems(sample.iloc[:0], sample)
    assert found == ["column 'id': 9 rows of the sample missing: '0', '1', '2', '3', '4' and 4 more. Add them."]


# --- cells -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [np.nan, None, "", " "])
def test_empty_cells_are_named(empty):
    given = frame(ans=["0", empty, "1", "2"])
    assert problems(given) == [
        "column 'ans' is empty in 1 row, id 'b.jpg'. If empty cells are valid, set [checks] may_be_empty = true."
    ]
    assert problems(given, may_be_empty=True) == []


@pytest.mark.parametrize("value", [np.inf, -np.inf, "inf", "nan", "NaN"])
def test_infinity_and_written_nan_are_named(value):
    text = f"column 'ans' contains NaN or infinity in 1 row, id 'b.jpg' ({value})."
    assert problems(frame(ans=["0", value, "1", "2"])) == [text]
    ranged = problems(frame(ans=["0", value, "1", "2"]), low=-9)
    assert ranged[0] == f"column 'ans' is not a finite number in 1 row, id 'b.jpg' ({value})."


def test_a_label_called_nan_is_a_label():
    assert problems(frame(ans=["nan", "nan", "x", "x"]), allowed=["nan", "x"]) == []


@pytest.mark.parametrize("ans", [[0, 1.5, 2, 3], ["0", "1.5", "2", "3"]])
def test_fractions_are_not_integers(ans):
    assert any("must be an integer without a decimal point in" in p for p in problems(frame(ans=ans), integers=True))


def test_integral_floats_are_flagged_because_platforms_read_text():
    text = "column 'ans' must be an integer without a decimal point in 4 rows, id 'a.jpg' (2.0), 'b.jpg' (1.0)"
    assert problems(frame(ans=[2.0, 1.0, 0.0, 0.0]), integers=True)[0].startswith(text)


def test_values_outside_the_range_are_named():
    assert problems(frame(ans=[-1, 0.5, 1, 101]), low=0, high=100) == [
        "column 'ans' is below 0 in 1 row, id 'a.jpg' (-1.0).",
        "column 'ans' is above 100 in 1 row, id 'a.jpg' (101.0).",
    ]
    assert problems(frame(ans=["0", "x", "1", "2"]), low=0) == [
        "column 'ans' is not a finite number in 1 row, id 'b.jpg' (x)."
    ]


def shares(rows=3, classes=120, seed=0) -> tuple[pd.DataFrame, pd.DataFrame]:
    values = np.random.default_rng(seed).dirichlet(np.ones(classes), rows)
    given = pd.DataFrame(values, columns=[f"c{number}" for number in range(classes)])
    given.insert(0, "id", [f"r{row}" for row in range(rows)])
    return given, given.assign(**dict.fromkeys(given.columns[1:], "0"))


def test_rows_must_sum_to_one_with_enough_digits(tmp_path):
    given, sample = shares()
    assert problems(given, sample, rows_sum_to_one=True, low=0, high=1) == []
    for digits, good in ((8, True), (2, False)):
        write_submission(given, tmp_path / "s.csv", float_digits=digits)
        found = problems(read_submission(tmp_path / "s.csv"), sample, rows_sum_to_one=True)
        assert (found == []) is good
    assert found[0].startswith("rows must sum to one, but 3 rows, id 'r0', 'r1', 'r2' do not: the first sums to ")


@pytest.mark.parametrize(("cell", "advised"), [("0.4999", True), ("0.3", False)])
def test_more_digits_are_advised_only_where_rounding_can_be_the_fault(cell, advised):
    rows = pd.DataFrame({"id": ["r"], "a": [cell], "b": ["0.5"]})
    (found,) = problems(rows, rows, rows_sum_to_one=True)
    assert found.endswith("Write more digits.") is advised


def test_labels_outside_the_list_are_named_with_the_nearest():
    given = frame(ans=["dog", "dgo", "cat", "ufo"])
    assert problems(given, allowed=["cat", "dog"]) == [
        "column 'ans': 'dgo' is not an allowed label, in 1 row, id 'b.jpg'. Did you mean 'dog'?",
        "column 'ans': 'ufo' is not an allowed label, in 1 row, id 'a.jpg'.",
    ]


def test_label_lists_are_split_by_the_separator():
    given = frame(ans=["dog cat", "cat", "", "dog,cat"])
    assert problems(given, allowed=["cat", "dog"], separator=" ", may_be_empty=True) == [
        "column 'ans': 'dog,cat' is not an allowed label, in 1 row, id 'a.jpg'. Did you mean 'cat'?"
    ]


def test_all_problems_come_at_once():
    found = problems(frame(["a.jpg", "b.jpg", "x", "a.jpg"], ["0", "", "7", "1.5"]), integers=True, high=5)
    assert len(found) == 5


# --- warnings ----------------------------------------------------------------------------------------------------


def warned(ans, train_shares, **rules) -> list[str]:
    sample = pd.DataFrame({"id": [str(row) for row in range(len(ans))], "y": "0"})
    check = check_submission(sample.assign(y=ans), sample, train_shares=train_shares, **rules)
    assert check.problems == []
    return check.warnings


def test_classes_never_predicted_are_a_warning():
    assert warned([0] * 50 + [1] * 50, {"0": 0.5, "1": 0.4, "2": 0.1}) == [
        "never predicted: class '2' (10.0% of training)."
    ]
    assert (
        warned([0] * 5 + [1] * 5, {"0": 0.5, "1": 0.49, "2": 0.01}) == []
    )  # a tenth of a row is expected to be missing


def test_shares_far_from_training_are_a_warning():
    assert warned(["a"] * 95 + ["b"] * 5, {"a": 0.25, "b": 0.75}) == [
        "class 'a' is 95.0% of the predictions but 25.0% of the training rows.",
        "class 'b' is 5.0% of the predictions but 75.0% of the training rows.",
    ]
    assert warned(["a"] * 60 + ["b"] * 40, {"a": 0.4, "b": 0.6}) == []


def test_shares_say_nothing_about_probabilities_and_little_about_label_sets():
    assert warned([0.5] * 50, {"1": 0.5}) == []
    sets = ["a b"] * 50
    assert warned(sets, {"a": 0.1, "b": 0.2, "c": 0.3}, separator=" ") == [
        "never predicted: class 'c' (30.0% of training)."
    ]
