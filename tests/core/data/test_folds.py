"""Folds are shared through a file, and what would mislead is named."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compete import DataError
from compete.data.folds import fold_counts, missing_classes, split, split_once
from compete.data.leaks import group_leaks

TRAIN = pd.DataFrame({"id": ["x", "y", "NA", "z"]})
LABELS = np.array([0, 1, 0, 1])


def component(folds: Any) -> Any:
    return SimpleNamespace(name="mine", build=lambda _train, _labels, _seed: folds)


def test_a_later_run_reads_the_folds_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    assert split_once(path, component([0, 1, 1, 0]), TRAIN, LABELS, 0).tolist() == [0, 1, 1, 0]
    assert split_once(path, component([1, 0, 0, 1]), TRAIN, LABELS, 0).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    "text",
    [
        "id,fold\nx,0\ny,1\nNA,1\n",
        "id,fold\ny,1\nx,0\nNA,1\nz,0\n",
        "id,fold\nx,zero\n",
        "name\nx\n",
        "",
        "id,fold\nx,0,1,2\n",
    ],
    ids=["a row is missing", "another order", "not integers", "no such columns", "empty", "ragged"],
)
def test_a_damaged_file_of_folds_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "folds.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"folds\.csv is damaged \(.*\)\. Remove it and run again"):
        split_once(path, component([0, 1, 1, 0]), TRAIN, LABELS, 0)


@pytest.mark.parametrize("folds", [[0, 1], [0.5, 1, 1, 0], [[0], [1], [1], [0]]])
def test_folds_are_one_integer_per_row(folds: Any) -> None:
    with pytest.raises(DataError, match=r'\[folds\] name = "mine": returned .* not one integer per row'):
        split(component(folds), TRAIN, LABELS, 0)


def test_the_first_groups_in_several_folds_are_named() -> None:
    train = pd.DataFrame({"group": list("aabbccddee")})
    (problem,) = group_leaks(train, np.array([0, 1] * 4 + [2, 2]))
    assert problem.startswith(
        "[folds]: 4 of 5 groups are in more than one fold (a in 0/1, b in 0/1, c in 0/1 and 1 more)."
    )
    assert group_leaks(train, np.repeat(range(5), 2)) == []


def test_rare_classes_are_named_with_their_rows() -> None:
    target: Any = SimpleNamespace(classes=("a", "b", "c"))
    labels, folds = np.array([0, 1, 0, 1, 2]), np.array([0, 0, 1, 1, 1])
    ids = pd.Series(list("vwxyz"))
    assert missing_classes(folds, labels, target, ids) == [
        "fold 0 has no validation row of class c (1 row in all, id z)",
        "fold 1 has no training row of class c (1 row in all, id z)",
    ]
    assert fold_counts(folds, labels, 3) == [[1, 1, 0], [1, 1, 1]]
    assert missing_classes(folds, labels.astype(np.float32), target, ids) == []
