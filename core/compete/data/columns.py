"""Table columns that the network gets beside the image, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compete.errors import DataError
from compete.text import did_you_mean, format_list, plural

if TYPE_CHECKING:
    from compete.config.settings import Columns
    from compete.types import Array, Tables

MOST_CATEGORIES = 1000


@dataclass(frozen=True)
class TableColumns:
    """Features from table columns: train (N, F) and test (T, F) float32, with the names of the F features."""

    names: tuple[str, ...]
    train: Array
    test: Array


def cell_numbers(cells: pd.Series) -> Array:
    """Return cells as float64 (N,), NaN where one is not a number; True and False are 1 and 0."""
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    if np.isnan(values).any():
        words = cells.astype(str).str.lower().map({"true": 1.0, "false": 0.0}).to_numpy(np.float64)
        values = np.where(np.isnan(values), words, values)
    return values


def encode_columns(settings: Columns, tables: Tables) -> TableColumns | None:
    """Encode the columns of `[columns]` as features, or return None if there are none.

    Numeric columns are standardised by the training rows; a missing value is 0, and flagged by a second feature.
    Categorical columns are one-hot encoded by the training rows' values; any other value is all 0. Raise `DataError`
    with every problem.
    """
    problems: list[str] = []
    numeric = _chosen("numeric", settings.numeric, tables, problems)
    categorical = _chosen("categorical", settings.categorical, tables, problems)
    test = tables.test if tables.has_test else tables.train[:0]
    both = pd.concat([table[numeric + categorical] for table in (tables.train, test)], ignore_index=True)
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
    """Return the columns that match patterns such as `margin*`; each must be in both tables."""
    known = [str(column) for column in tables.train.columns]
    found: list[str] = []
    for pattern in patterns:
        matching = [name for name in known if fnmatchcase(name, pattern)]
        if not matching:
            problems.append(
                f'[columns] {key} = "{pattern}": the train table has no such column.'
                f"{did_you_mean(pattern, known)} Available: {_own(known)}."
            )
        found += [name for name in matching if name not in found]
    lacking = [name for name in found if tables.has_test and name not in tables.test]
    if lacking:
        there = [str(column) for column in tables.test.columns]
        problems.append(
            f'[columns] {key} = "{lacking[0]}": the test table has no such column to predict from. '
            f"Available: {_own(there)}."
        )
    return [name for name in found if name not in lacking]


def _own(columns: list[str]) -> str:
    """List the competition's own columns: every dataset adds `id` and `image`."""
    return format_list(name for name in columns if name not in ("id", "image")) or "no column"


def _numbers(name: str, column: pd.Series, missing: set[str], train_rows: int, problems: list[str]) -> dict[str, Array]:
    """Return the features of a numeric column (N + T,): itself, and where it is missing if it is somewhere."""
    values = cell_numbers(column)
    known = np.isfinite(values)
    text = column.astype(str)
    wrong = ~known & ~text.isin(missing).to_numpy()
    if wrong.any():
        cells = format_list(set(text[wrong].head(5)))
        problems.append(
            f'[columns] numeric = "{name}": {plural(int(wrong.sum()), "non-numeric cell")}: {cells}. Move the column '
            "to `categorical`, or add the cells that mean a missing value to `missing`."
        )
        return {}
    train = values[:train_rows][known[:train_rows]]
    if not len(train):
        problems.append(f'[columns] numeric = "{name}": no training row has a value.')
        return {}
    mean, deviation = train.mean(), train.std()
    # Rounding gives even a constant column a tiny standard deviation, which would make another value huge.
    deviation = deviation if deviation > 1e-9 * max(1.0, abs(mean)) else 1.0
    scaled = np.where(known, (values - mean) / deviation, 0.0)
    return {name: scaled} if known.all() else {name: scaled, f"{name} missing": ~known}


def _categories(
    name: str, column: pd.Series, missing: set[str], train_rows: int, problems: list[str]
) -> dict[str, Array]:
    """Return a feature (N + T,) for each value of a categorical column in the training rows."""
    values = sorted(set(column[:train_rows]) - missing)
    if len(values) > MOST_CATEGORIES:
        problems.append(
            f'[columns] categorical = "{name}": {len(values):,} different values, but at most {MOST_CATEGORIES:,} are '
            "allowed. A network learns nothing from an id."
        )
        return {}
    return {f"{name}={value}": (column == value).to_numpy() for value in values}
