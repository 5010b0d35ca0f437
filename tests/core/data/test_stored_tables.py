"""Stored rows: text comes back as text, whatever pandas calls its type; what changes is not stored."""

from __future__ import annotations

import pandas as pd
import pytest

from compete.data.stored_tables import read_stored_tables, write_tables
from compete.types import Tables

EMPTY = pd.DataFrame({"id": [], "label": []}, dtype=str)


@pytest.mark.parametrize("kind", [object, str])
def test_text_of_any_type_is_stored(tmp_path, kind):
    train = pd.DataFrame({"id": ["a", "b"], "image": pd.Series(["x/1.png", "ä.png"], dtype=kind)})
    assert write_tables(tmp_path, Tables(train, EMPTY, EMPTY)) == ""
    stored = read_stored_tables(tmp_path)
    assert stored is not None and stored.train.to_numpy().tolist() == train.to_numpy().tolist()


def test_what_parquet_changes_is_not_stored(tmp_path):
    train = pd.DataFrame({"id": ["a"], "image": pd.Series([("1.png", "2.png")], dtype=object)})
    assert write_tables(tmp_path, Tables(train, EMPTY, EMPTY)).startswith("train: ")
    assert read_stored_tables(tmp_path) is None
