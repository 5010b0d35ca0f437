"""The folds of a competition: split once, checked, and shared by all of its runs through a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compete.errors import DataError
from compete.store import write_text
from compete.text import format_first, plural

if TYPE_CHECKING:
    from compete.config.options import BoundComponent
    from compete.types import Array, Target

MOST_LISTED = 3


def split(folds: BoundComponent, train: pd.DataFrame, labels: Array, seed: int) -> Array:
    """Return the fold of each row, int64 (N,). Raise `DataError` if the component returns anything else."""
    found = np.asarray(folds.build(train, labels, seed))
    if found.shape != (len(train),) or not np.issubdtype(found.dtype, np.integer):
        raise DataError(f'[folds] name = "{folds.name}": returned {found.dtype} {found.shape}, not one integer per row')
    return found.astype(np.int64)


def split_once(path: Path, folds: BoundComponent, train: pd.DataFrame, labels: Array, seed: int) -> Array:
    """Return the folds in a file (N,); split and write it if it does not exist.

    The path names what the folds depend on. A later run reads the file, so another library version changes nothing.
    Raise `DataError` if the file no longer holds a fold for each row.
    """
    if path.exists():
        return _read_folds(path, train)
    new = split(folds, train, labels, seed)
    write_folds(path, train, new)
    return new


def _read_folds(path: Path, train: pd.DataFrame) -> Array:
    try:
        table = pd.read_csv(path, dtype={"id": str, "fold": np.int64}, keep_default_na=False)
        if table["id"].tolist() == train["id"].tolist():
            return table["fold"].to_numpy()
        reason = "its ids are not those of the training table"
    except (ValueError, KeyError, OSError) as error:
        reason = str(error)
    raise DataError(f"{path} is damaged ({reason}). Remove it and run again: the folds are split again.")


def write_folds(path: Path, train: pd.DataFrame, folds: Array) -> None:
    """Write the id and fold of each row."""
    table = pd.DataFrame({"id": train["id"].to_numpy(), "fold": folds})
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def missing_classes(folds: Array, labels: Array, target: Target, ids: pd.Series[str]) -> list[str]:
    """Return the classes that the training or validation rows of a fold lack.

    Classes that the whole table lacks are left out. A class with fewer rows than folds is named with its rows: it may
    be a misspelt or truncated label.
    """
    classes = len(target.classes)
    total = class_counts(labels, classes)
    if total is None:
        return []
    numbers = sorted(set(folds[folds >= 0].tolist()))
    few = max(2, len(numbers))
    problems = []
    for fold in numbers:
        validated = class_counts(labels[folds == fold], classes)
        for part, counts in (("validation", validated), ("training", total - validated)):
            lacking = np.flatnonzero((total > 0) & (counts == 0)).tolist()
            if lacking:
                first = [
                    target.classes[number] + (_rows_text(labels, number, classes, ids) if total[number] < few else "")
                    for number in lacking[:MOST_LISTED]
                ]
                listed = format_first(first, MOST_LISTED, len(lacking))
                problems.append(f"fold {fold} has no {part} row of class {listed}")
    return problems


def _rows_text(labels: Array, number: int, classes: int, ids: pd.Series[str]) -> str:
    """Return " (2 rows in all, first id x)" for a class."""
    has = np.flatnonzero(rows_of(labels, number, classes))
    return f" ({plural(len(has), 'row')} in all, {'id' if len(has) == 1 else 'first id'} {ids.iloc[has[0]]})"


def class_counts(labels: Array, classes: int) -> Array | None:
    """Return the number of rows of each class (C,), or None if the labels are not classes."""
    if labels.ndim == 2:
        return np.asarray((labels > 0).sum(axis=0))
    if not np.issubdtype(labels.dtype, np.integer):
        return None
    if classes == 1:  # one output: yes or no, or a level on a scale, which is not a class
        return np.array([(labels == 1).sum()]) if np.isin(labels, (0, 1)).all() else None
    return np.bincount(labels, minlength=classes)


def class_totals(labels: Array, classes: int) -> Array | None:
    """Return how often each class occurs (C,), where a soft label counts by its probabilities; None without classes."""
    if labels.ndim == 2:
        return labels.sum(axis=0, dtype=np.float64) if ((labels >= 0) & (labels <= 1)).all() else None
    return class_counts(labels, classes)


def rows_of(labels: Array, number: int, classes: int) -> Array:
    """Return whether each row has a class, bool (N,)."""
    if labels.ndim == 2:
        return np.asarray(labels[:, number] > 0)
    return np.asarray(labels == (number if classes > 1 else 1))


def fold_counts(folds: Array, labels: Array, classes: int) -> list[list[int]]:
    """Return the number of rows of each class among each fold's validation rows, or nothing without classes."""
    if class_counts(labels, classes) is None:
        return []
    of_folds = (class_counts(labels[folds == fold], classes) for fold in sorted(set(folds[folds >= 0].tolist())))
    return [[] if counts is None else counts.tolist() for counts in of_folds]
