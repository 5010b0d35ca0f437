"""The rows of a run, stored beside its members and read back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from compete.data.stored_tables import read_stored_tables, write_tables
from compete.types import Tables


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["a.png", "b.png", "ø.png"], dtype=object),  # as the templates of a CSV dataset make it
        pd.Series(["a", "", "c"]),
        pd.Series([1, 2, 3], dtype=object),
        pd.Series([0.1, np.nan, 3]),
        pd.Series([True, False, True]),
    ],
)
def test_equal_cells_are_stored_whatever_the_type_of_their_column(tmp_path, column):
    table = pd.DataFrame({"id": ["x", "y", "z"], "image": column})
    assert write_tables(tmp_path, Tables(table, table[:0], table)) == ""
    stored = read_stored_tables(tmp_path)
    assert stored is not None
    assert stored.train.astype(object).equals(table.astype(object)) and stored.train.dtypes["id"] == table.dtypes["id"]


@pytest.mark.parametrize(
    "cells", [[1, 2.0, 3], ["a", None, "b"], ["a", 1, 2], [True, 1.5, False], [(1, 2), (3, 4), (5, 6)]]
)
def test_cells_that_parquet_would_change_are_not_stored(tmp_path, cells):
    table = pd.DataFrame({"id": ["x", "y", "z"], "cell": pd.Series(cells, dtype=object)})
    assert write_tables(tmp_path, Tables(table, table, table))
    assert read_stored_tables(tmp_path) is None
