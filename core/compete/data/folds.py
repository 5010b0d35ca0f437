"""The folds of a competition: made once, checked, and shared by all of its runs through a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compete.errors import DataError
from compete.store import write_text

if TYPE_CHECKING:
    from compete.config.options import BoundComponent
    from compete.types import Array, Target

SHOWN = 3


def split(folds: BoundComponent, train: pd.DataFrame, labels: Array, seed: int) -> Array:
    """Return the fold of each row, int64 (N,). Raise `DataError` where the component gives anything else."""
    found = np.asarray(folds.build(train, labels, seed))
    if found.shape != (len(train),) or not np.issubdtype(found.dtype, np.integer):
        raise DataError(f'[folds] name = "{folds.name}": gave {found.dtype} {found.shape}, not an integer a row')
    return found.astype(np.int64)


def split_once(path: Path, folds: BoundComponent, train: pd.DataFrame, labels: Array, seed: int) -> Array:
    """Return the folds that a file holds; where there is none, split and write it.

    The path names what the folds depend on. A later run reads the file, whatever its library versions would draw.
    """
    if path.exists():
        known = pd.read_csv(path, dtype={"id": str, "fold": np.int64}, keep_default_na=False)
        return known["fold"].to_numpy()
    new = split(folds, train, labels, seed)
    write_folds(path, train, new)
    return new


def write_folds(path: Path, train: pd.DataFrame, folds: Array) -> None:
    """Write id and fold of each row."""
    table = pd.DataFrame({"id": train["id"].to_numpy(), "fold": folds})
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def group_leaks(train: pd.DataFrame, folds: Array) -> list[str]:
    """Return a problem if a group's rows are in more than one fold, naming the first groups."""
    if "group" not in train:
        return []
    seen = pd.DataFrame({"group": train["group"].to_numpy(), "fold": folds}).drop_duplicates()
    straddling = seen[seen.duplicated("group", keep=False)].groupby("group")["fold"].agg(sorted)
    if straddling.empty:
        return []
    groups = seen["group"].nunique()
    shown = [f"{group} in {', '.join(map(str, f))}" for group, f in straddling.iloc[:SHOWN].items()]
    return [
        f"[folds]: {len(straddling)} of {groups} groups are in more than one fold ({'; '.join(shown)}"
        f"{' ...' if len(straddling) > SHOWN else ''}). A network that has seen a person, patient or place in training "
        'scores too well on its other images. Write [folds] name = "stratified_group" or "group".'
    ]


def missing_classes(folds: Array, labels: Array, target: Target, ids: pd.Series[str]) -> list[str]:
    """Return the classes that no row of some fold's validation, or training, part has.

    A class that the whole table lacks is not the folds' fault and is left out. Of a class with fewer rows than folds
    its rows are told: it may be a misspelt or cut label.
    """
    total = class_counts(labels, len(target.classes))
    if total is None:
        return []
    numbers = sorted(set(folds[folds >= 0].tolist()))
    few = max(2, len(numbers))

    def named(number: int) -> str:
        name, rows = target.classes[number], total[number]
        if rows >= few:
            return name
        first = ids.iloc[np.argmax(rows_of(labels, number, len(target.classes)))]
        return f"{name} (1 row in all, id {first})" if rows == 1 else f"{name} ({rows} rows in all, first id {first})"

    problems = []
    for fold in numbers:
        validated = class_counts(labels[folds == fold], len(target.classes))
        for part, count in (("validation", validated), ("training", total - validated)):
            lacking = np.flatnonzero((total > 0) & (count == 0)).tolist()
            if lacking:
                more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
                shown = ", ".join(named(number) for number in lacking[:SHOWN])
                problems.append(f"fold {fold} has no {part} row of class {shown}{more}")
    return problems


def class_counts(labels: Array, classes: int) -> Array | None:
    """Return how many rows have each class (C,), or None for numbers that are no classes."""
    if labels.ndim == 2:
        return np.asarray((labels > 0).sum(axis=0))
    if not np.issubdtype(labels.dtype, np.integer):
        return None
    if classes == 1:  # one output: yes or no, or a level on a scale, which is no class
        return np.array([(labels == 1).sum()]) if labels.max(initial=0) <= 1 else None
    return np.bincount(labels, minlength=classes)


def rows_of(labels: Array, number: int, classes: int) -> Array:
    """Return which rows (N,) have a class."""
    if labels.ndim == 2:
        return np.asarray(labels[:, number] > 0)
    return np.asarray(labels == (number if classes > 1 else 1))


def fold_counts(folds: Array, labels: Array, classes: int) -> list[list[int]]:
    """Return the rows of each class in each fold's validation part."""
    if class_counts(labels, classes) is None:
        return []
    of_folds = (class_counts(labels[folds == fold], classes) for fold in sorted(set(folds[folds >= 0].tolist())))
    return [[] if counts is None else counts.tolist() for counts in of_folds]
