"""The rows of a run come back from its folder as they were."""

from __future__ import annotations

import pandas as pd
import pytest

from compete.data.stored_tables import read_stored_tables, write_tables
from compete.types import Tables


@pytest.mark.parametrize("kind", [object, "str"])
def test_text_is_stored_whatever_pandas_calls_its_type(tmp_path, kind):
    train = pd.DataFrame({"id": ["a", "b"], "image": pd.Series(["a.png", ""], dtype=kind), "x": [1, 2]})
    test = pd.DataFrame({"id": ["c"], "image": pd.Series(["c.png"], dtype=kind)})
    assert write_tables(tmp_path, Tables(train, test, test[["id"]])) == ""
    stored = read_stored_tables(tmp_path)
    assert stored.train.values.tolist() == train.values.tolist()
    assert stored.test["image"].tolist() == ["c.png"]


def test_what_parquet_changes_is_not_stored(tmp_path):
    train = pd.DataFrame({"id": ["a"], "image": [["a.png", "b.png"]]})
    assert write_tables(tmp_path, Tables(train, train[:0], train[["id"]])) != ""
    assert read_stored_tables(tmp_path) is None
