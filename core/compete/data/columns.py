"""Columns of the tables that the network sees beside the image, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compete.errors import DataError
from compete.text import did_you_mean, format_list

if TYPE_CHECKING:
    from compete.config.settings import Columns
    from compete.types import Array, Tables

MOST_CATEGORIES = 1000


@dataclass(frozen=True)
class TableColumns:
    """The numbers of each row: train (N, F) and test (T, F) float32, and what each of the F is."""

    names: tuple[str, ...]
    train: Array
    test: Array


def encode_columns(settings: Columns, tables: Tables) -> TableColumns | None:
    """Turn the columns of `[columns]` into numbers, or return None where there are none.

    A numeric column is centred and divided by its standard deviation over the training rows; where it is missing
    it is 0, told by a second number. A categorical column is one number for each value of the training rows, and
    all 0 for any other. Raise `DataError` with every problem.
    """
    problems: list[str] = []
    numeric = _chosen("numeric", settings.numeric, tables, problems)
    categorical = _chosen("categorical", settings.categorical, tables, problems)
    both = pd.concat([tables.train[numeric + categorical], tables.test[numeric + categorical]], ignore_index=True)
    missing = {str(token) for token in settings.missing}
    train_rows = len(tables.train)
    parts: dict[str, Array] = {}
    for name in numeric:
        parts.update(_numbers(name, both[name], missing, train_rows, problems))
    for name in categorical:
        parts.update(_categories(name, both[name].astype(str), missing, train_rows, problems))
    if problems:
        raise DataError(problems)
    if not parts:
        return None
    values = np.stack(list(parts.values()), axis=1).astype(np.float32)
    return TableColumns(tuple(parts), values[:train_rows], values[train_rows:])


def _chosen(key: str, patterns: list[str], tables: Tables, problems: list[str]) -> list[str]:
    """Return the columns that the patterns name, such as `margin*`; each must be in both tables."""
    known = [str(column) for column in tables.train.columns]
    found: list[str] = []
    for pattern in patterns:
        matching = [name for name in known if fnmatchcase(name, pattern)]
        if not matching:
            problems.append(
                f'[columns] {key} = "{pattern}": the train table has no such column.'
                f"{did_you_mean(pattern, known)} There is: {_own(known)}."
            )
        found += [name for name in matching if name not in found]
    lacking = [name for name in found if name not in tables.test]
    if lacking:
        there = [str(column) for column in tables.test.columns]
        problems.append(
            f'[columns] {key} = "{lacking[0]}": the test table has no such column, so nothing can be predicted from '
            f"it. There is: {_own(there)}."
        )
    return [name for name in found if name not in lacking]


def _own(columns: list[str]) -> str:
    """Return the columns that are the competition's: every dataset makes `id` and `image`."""
    return format_list(name for name in columns if name not in ("id", "image")) or "no other column"


def _numbers(name: str, column: pd.Series, missing: set[str], train_rows: int, problems: list[str]) -> dict[str, Array]:
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    known = np.isfinite(values)
    text = column.astype(str)
    wrong = ~known & ~text.isin(missing).to_numpy()
    if wrong.any():
        shown = format_list(sorted(set(text[wrong].head(5))))
        problems.append(
            f'[columns] numeric = "{name}": {wrong.sum()} cells are no numbers: {shown}. Name the column under '
            "`categorical`, or add what stands for a missing value to `missing`."
        )
        return {}
    train = values[:train_rows][known[:train_rows]]
    if not len(train):
        problems.append(f'[columns] numeric = "{name}": no training row has a value.')
        return {}
    mean, spread = train.mean(), train.std()
    # Rounding alone gives a constant column a spread, by which another value would become huge.
    spread = spread if spread > 1e-9 * max(1.0, abs(mean)) else 1.0
    scaled = np.where(known, (values - mean) / spread, 0.0)
    return {name: scaled} if known.all() else {name: scaled, f"{name} missing": ~known}


def _categories(
    name: str, column: pd.Series, missing: set[str], train_rows: int, problems: list[str]
) -> dict[str, Array]:
    values = sorted(set(column[:train_rows]) - missing)
    if len(values) > MOST_CATEGORIES:
        problems.append(
            f'[columns] categorical = "{name}": has {len(values)} different values; an id teaches a network nothing. '
            f"At most {MOST_CATEGORIES} are taken."
        )
        return {}
    return {f"{name}={value}": (column == value).to_numpy() for value in values}
