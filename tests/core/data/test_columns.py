"""Columns beside the images: scaled numbers, categories, missing values, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from compete.config.settings import Columns
from compete.data.columns import cell_numbers, encode_columns
from compete.errors import DataError
from compete.types import Tables

TRAIN = pd.DataFrame({"id": list("abcd"), "age": ["10", "30", "NA", "20"], "sex": ["f", "m", "f", ""]})
TEST = pd.DataFrame({"id": list("xyz"), "age": ["50", " 20", ""], "sex": ["m", "unheard", "f"]})


def encode(train: pd.DataFrame = TRAIN, test: pd.DataFrame = TEST, **settings: object):
    return encode_columns(Columns(**settings), Tables(train, test, test))


def test_numbers_are_scaled_by_the_training_rows_and_missing_ones_are_flagged():
    columns = encode(numeric=["age"])
    deviation = np.std([10, 30, 20])
    assert columns.names == ("age", "age missing")
    assert columns.train.dtype == np.float32
    np.testing.assert_allclose(columns.train, [[-10 / deviation, 0], [10 / deviation, 0], [0, 1], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(columns.test, [[30 / deviation, 0], [0, 0], [0, 1]], rtol=1e-6)


def test_a_constant_column_is_not_divided_by_its_rounding_error():
    train = pd.DataFrame({"id": list("abc"), "angle": ["0.1"] * 3})
    columns = encode(train, pd.DataFrame({"id": ["x"], "angle": ["0.2"]}), numeric=["angle"])
    assert np.std([0.1] * 3) > 0
    np.testing.assert_allclose(columns.test, [[0.1]], rtol=1e-6)


def test_categories_are_those_of_the_training_rows():
    columns = encode(categorical=["sex"])
    assert columns.names == ("sex=f", "sex=m")
    assert columns.train.tolist() == [[1, 0], [0, 1], [1, 0], [0, 0]]
    assert columns.test.tolist() == [[0, 1], [0, 0], [1, 0]]


def test_patterns_name_several_columns_and_a_constant_one_is_allowed():
    table = pd.DataFrame({"id": list("ab"), "margin1": ["1", "2"], "margin2": ["5", "5"], "shape": ["0", "1"]})
    columns = encode(table, table, numeric=["margin*"])
    assert columns.names == ("margin1", "margin2")
    assert columns.train[:, 1].tolist() == [0, 0]


def test_no_columns_are_none():
    assert encode() is None


def test_every_problem_is_reported_at_once():
    test = TEST.drop(columns="sex")
    with pytest.raises(DataError) as raised:
        encode(TRAIN.assign(age=["10", "old", "x", "20"]), test, numeric=["age", "agee"], categorical=["sex"])
    text = "\n".join(raised.value.problems)
    assert "[columns] numeric = \"agee\": the train table has no such column. Did you mean 'age'?" in text
    assert '[columns] categorical = "sex": the test table has no such column' in text
    assert '[columns] numeric = "age": 2 non-numeric cells: old, x' in text.replace("'", "")


def test_ids_and_empty_columns_are_refused():
    many = pd.DataFrame({"id": [str(n) for n in range(1001)], "empty": ""})
    with pytest.raises(DataError) as raised:
        encode(many, many, categorical=["id"], numeric=["empty"])
    assert "1,001 different values, but at most 1,000 are allowed" in raised.value.problems[1]
    assert "no training row has a value" in raised.value.problems[0]


def test_true_and_false_are_one_and_zero_and_other_words_are_not_numbers():
    found = cell_numbers(pd.Series(["True", "FALSE", "false", "2.5", " 1", "", "yes"]))
    np.testing.assert_array_equal(found, [1, 0, 0, 2.5, 1, np.nan, np.nan])
    columns = encode(
        TRAIN.assign(big=["True", "False", "True", "True"]), TEST.assign(big=["False"] * 3), numeric=["big"]
    )
    assert len(set(columns.train[:, 0])) == 2
