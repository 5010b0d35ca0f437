"""The check against the sample, and what is written and read back."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compete.errors import CompeteError, SubmissionError
from compete.submission.check import check_submission, read_submission, write_submission

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
            ["ImageID", "label"],
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
        "the sample has no column 'Unnamed: 0'. Its columns are ImageID, ans; write no index."
    ]
    twice = pd.concat([frame(), frame()[["ans"]]], axis=1)
    assert problems(twice) == ["a column is there more than once: ImageID, ans, ans."]


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
        "column 'ans' is empty in 1 row, id 'b.jpg'. Where that is an answer, write [checks] may_be_empty = true."
    ]
    assert problems(given, may_be_empty=True) == []


@pytest.mark.parametrize("value", [np.inf, -np.inf, "inf", "nan", "NaN"])
def test_infinity_and_written_nan_are_named(value):
    text = f"column 'ans' holds NaN or infinity in 1 row, id 'b.jpg' ({value})."
    assert problems(frame(ans=["0", value, "1", "2"])) == [text]
    ranged = problems(frame(ans=["0", value, "1", "2"]), low=-9)
    assert ranged[0] == f"column 'ans' is no finite number in 1 row, id 'b.jpg' ({value})."


def test_a_label_called_nan_is_a_label():
    assert problems(frame(ans=["nan", "nan", "x", "x"]), allowed=["nan", "x"]) == []


@pytest.mark.parametrize("ans", [[0, 1.5, 2, 3], ["0", "1.5", "2", "3"]])
def test_fractions_are_no_integers(ans):
    assert any("must be a whole number without a point in" in p for p in problems(frame(ans=ans), integers=True))


def test_floats_that_are_whole_are_still_flagged_as_the_platform_reads_them():
    text = "column 'ans' must be a whole number without a point in 4 rows, id 'a.jpg' (2.0), 'b.jpg' (1.0)"
    assert problems(frame(ans=[2.0, 1.0, 0.0, 0.0]), integers=True)[0].startswith(text)


def test_values_outside_the_range_are_named():
    assert problems(frame(ans=[-1, 0.5, 1, 101]), low=0, high=100) == [
        "column 'ans' is below 0 in 1 row, id 'a.jpg' (-1.0).",
        "column 'ans' is above 100 in 1 row, id 'a.jpg' (101.0).",
    ]
    assert problems(frame(ans=["0", "x", "1", "2"]), low=0) == [
        "column 'ans' is no finite number in 1 row, id 'b.jpg' (x)."
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
    assert found[0].startswith("rows must sum to one, but not 3 rows, id 'r0', 'r1', 'r2': the first sums to ")


@pytest.mark.parametrize(("cell", "advised"), [("0.4999", True), ("0.3", False)])
def test_more_digits_are_advised_only_where_rounding_can_be_the_fault(cell, advised):
    rows = pd.DataFrame({"id": ["r"], "a": [cell], "b": ["0.5"]})
    (found,) = problems(rows, rows, rows_sum_to_one=True)
    assert found.endswith("Write more digits.") is advised


def test_labels_outside_the_list_are_named_with_the_nearest():
    given = frame(ans=["dog", "dgo", "cat", "ufo"])
    assert problems(given, allowed=["cat", "dog"]) == [
        "column 'ans': 'dgo' is no label, in 1 row, id 'b.jpg'. Did you mean 'dog'?",
        "column 'ans': 'ufo' is no label, in 1 row, id 'a.jpg'.",
    ]


def test_label_lists_are_split_by_the_separator():
    given = frame(ans=["dog cat", "cat", "", "dog,cat"])
    assert problems(given, allowed=["cat", "dog"], separator=" ", may_be_empty=True) == [
        "column 'ans': 'dog,cat' is no label, in 1 row, id 'a.jpg'. Did you mean 'dog'?"
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
    assert warned([0] * 5 + [1] * 5, {"0": 0.5, "1": 0.49, "2": 0.01}) == []  # a tenth of a row is no news


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


# --- write and read ------------------------------------------------------------------------------------------------


def test_write_is_plain_utf8_and_returns_its_digest(tmp_path):
    path = tmp_path / "submission.csv"
    given = pd.DataFrame({"id": ["a,b", "é"], "n": [1, 2], "p": [0.123456789012, 1e-12], "t": ["x y", 'say "hi"']})
    digest = write_submission(given, path)
    data = path.read_bytes()
    assert data.decode() == 'id,n,p,t\n"a,b",1,0.12345679,x y\né,2,1e-12,"say ""hi"""\n'
    assert digest == hashlib.sha256(data).hexdigest()
    assert [p.name for p in tmp_path.iterdir()] == ["submission.csv"]


def test_write_replaces_the_old_file_and_says_when_it_cannot(tmp_path):
    path = tmp_path / "submission.csv"
    first = write_submission(frame(), path)
    assert write_submission(frame(ans=(1, 1, 1, 1)), path) != first
    assert read_submission(path)["ans"].tolist() == ["1"] * 4
    with pytest.raises(CompeteError, match="cannot write"):
        write_submission(frame(), path / "below.csv")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8), min_size=1),
    st.lists(st.integers(), min_size=1),
)
def test_text_is_read_back_as_it_was_written(tmp_path_factory, words, numbers):
    size = min(len(words), len(numbers))
    given_ = pd.DataFrame({"id": words[:size], "n": [str(number) for number in numbers[:size]]}, dtype=str)
    path = tmp_path_factory.mktemp("s") / "s.csv"
    write_submission(given_, path)
    pd.testing.assert_frame_equal(read_submission(path), given_)


def test_read_keeps_what_pandas_would_take_for_missing(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("id,y\n001,NA\n2,None\n3,\n")
    assert read_submission(path).to_numpy().tolist() == [["001", "NA"], ["2", "None"], ["3", ""]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty."),
        (b"\xef\xbb\xbfid,y\n1,2\n", "begins with a byte order mark"),
        ("id,y\n1,é\n".encode("latin-1"), "line 2 is not UTF-8"),
        ("id,y\n1,2\n".encode("utf-16"), "line 1 is not UTF-8"),
        (b"id,y\n1,2\n3\0,4\n", "line 3 holds a zero byte."),
        (b"id,y\n1,2\n3\n4,5\n", "every line needs 2 cells, but line 3 has 1."),
        (b"id,y\n1,2\n3,4\n5", "every line needs 2 cells, but line 4 has 1. The file looks cut off."),
        (b"id,y\n1,2,3\n\n4,5\n", "every line needs 2 cells, but line 2 has 3, line 3 has 0."),
        (b'id,y\n1,"2\n3,4\n', "Is the file cut off?"),
        (b"id,y,y\n1,2,3\n", "column 'y' is there 2 times."),
    ],
)
def test_broken_files_are_explained(tmp_path, data, message):
    path = tmp_path / "s.csv"
    path.write_bytes(data)
    with pytest.raises(SubmissionError) as error:
        read_submission(path)
    assert message in str(error.value) and str(error.value).startswith(f"{path}: ")


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(SubmissionError, match="cannot be read: No such file"):
        read_submission(tmp_path / "none.csv")


def test_a_header_alone_lacks_all_rows(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("ImageID,ans\n")
    assert "4 rows of the sample missing" in problems(read_submission(path))[0]
