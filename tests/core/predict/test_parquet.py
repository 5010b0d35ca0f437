"""Predictions on disk come back by id, and never as another class."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from compete.errors import CompeteError
from compete.predict.parquet import read_predictions, write_predictions
from compete.types import TopK

CLASSES = ["id", "b c", "2"]
VALUES = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
BEST = TopK(np.array([[1], [0]], np.int32), np.array([[0.6], [0.5]], np.float32), 3)


def test_rows_come_back_by_id_and_unknown_ones_are_nan(tmp_path):
    write_predictions(tmp_path / "a.parquet", ["x", "y"], VALUES, CLASSES)
    back = read_predictions(tmp_path / "a.parquet", ["y", "?", "x", "x"], CLASSES)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, [VALUES[1], [np.nan] * 3, VALUES[0], VALUES[0]], rtol=1e-6)


def test_columns_are_the_id_the_keys_and_the_classes(tmp_path):
    write_predictions(tmp_path / "a.parquet", ["01", "1"], VALUES, CLASSES, fold=np.array([0, 1]))
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert list(table) == ["id", "fold", "class id", "b c", "2"]
    assert table["id"].tolist() == ["01", "1"] and table["fold"].tolist() == [0, 1]


def test_the_best_classes_are_written_by_name(tmp_path):
    write_predictions(tmp_path / "a.parquet", ["x", "y"], BEST, CLASSES)
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert list(table) == ["id", "top1", "p1"] and table["top1"].tolist() == ["b c", "id"]


@pytest.mark.parametrize("predictions", [VALUES, BEST])
def test_other_classes_are_an_error(tmp_path, predictions):
    write_predictions(tmp_path / "a.parquet", ["x", "y"], predictions, CLASSES)
    with pytest.raises(CompeteError, match=r"a\.parquet cannot be read .*Remove it and run again"):
        read_predictions(tmp_path / "a.parquet", ["x"], ["id", "other", "2"])


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(CompeteError, match=r"a\.parquet cannot be read"):
        read_predictions(tmp_path / "a.parquet", ["x"], CLASSES)
