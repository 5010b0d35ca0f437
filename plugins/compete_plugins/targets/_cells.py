"""Read label cells as strings or numbers, naming every bad row by its id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from compete import DataError, cell_numbers, did_you_mean, format_first, format_list, plural

Array = np.ndarray[Any, Any]
MADE = ("id", "image", "group")  # columns of the datasets' own, whatever the competition's files call them
LABEL_THEM = " Label these rows, or remove them from the table."
LONGEST_CLASS = 1000  # characters; anything longer is text from the wrong column


def require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise `DataError` naming every column that the train table lacks."""
    known = [str(name) for name in table.columns]
    missing = [name for name in columns if name not in known]
    if missing:
        own = format_list(name for name in known if name not in MADE) or "none"
        raise DataError(
            f"[target]: unknown column '{name}' of the train table.{did_you_mean(name, known)} Columns: {own}."
            for name in missing
        )


def text(table: pd.DataFrame, column: str, allow_empty: bool = False) -> pd.Series[str]:
    """Return a column's cells as strings, integers without a decimal point. Raise `DataError` for empty cells."""
    require(table, [column])
    cells = table[column]
    if pd.api.types.is_float_dtype(cells) and (cells.dropna() % 1 == 0).all():
        cells = cells.astype("Int64")  # pandas turns integers into floats where a cell is empty
    spelled = cells.astype(str).where(cells.notna(), "")
    if not allow_empty:
        refuse_rows(table, spelled.str.strip() == "", f"column '{column}' is empty", LABEL_THEM)
    return spelled


def numbers(table: pd.DataFrame, column: str) -> Array:
    """Return a column as float64 (N,), True and False as 1 and 0. Raise `DataError` for all other cells."""
    cells = text(table, column)
    values = cell_numbers(cells)
    bad = ~np.isfinite(values)
    if bad.any():
        refuse_rows(table, bad, f"column '{column}' holds '{cells[bad].iloc[0]}', which is not a number")
    return values


def zeros_and_ones(table: pd.DataFrame, columns: Sequence[str]) -> Array:
    """Return columns as float32 (N, columns). Raise `DataError` for values other than 0 and 1."""
    require(table, columns)
    values = np.stack([numbers(table, name) for name in columns], axis=1)  # columns x (N,) -> (N, columns)
    for name, column in zip(columns, values.T, strict=True):
        refuse_rows(table, (column != 0) & (column != 1), f"column '{name}' must hold 0 or 1")
    return values.astype(np.float32)


def refuse_rows(table: pd.DataFrame, bad: ArrayLike, what: str, cure: str = "") -> None:
    """Raise `DataError` "train table: `what` (n rows: id a, b ...). `cure`" if any row is bad."""
    if np.any(bad):
        raise DataError(row_problem(table, bad, what) + cure)


def row_problem(table: pd.DataFrame, bad: ArrayLike, what: str) -> str:
    """Return what is wrong, in how many rows, and the first ids."""
    ids = table["id"] if "id" in table else table.index.to_series()
    named = ids[np.asarray(bad, dtype=bool)].tolist()
    return f"train table: {what} ({plural(len(named), 'row')}: id {format_first(named)})."


def class_names(cells: pd.Series[str], classes: Sequence[str | int] | None, column: str) -> tuple[str, ...]:
    """Return the given classes in their order, or those of the table in natural order."""
    names = classes_in(cells, column) if classes is None else [str(name) for name in classes]
    if len(names) < 2:
        raise DataError(f"train table: column '{column}' has only one class, '{''.join(names)}'.")
    return tuple(names)


def classes_in(cells: pd.Series[str], column: str) -> list[str]:
    """Return the classes of a column in natural order. Raise `DataError` for one that is too long for a name."""
    names = cells.dropna().unique()
    for name in names:
        if len(name) > LONGEST_CLASS:
            raise DataError(
                f"train table: column '{column}' holds a label of {len(name):,} characters, '{name[:30]}...'. "
                f"A class name has at most {LONGEST_CLASS:,}."
            )
    return natural_order(names)


def class_numbers(table: pd.DataFrame, *, column: str, classes: tuple[str, ...]) -> Array:
    """Return each row's class number, int64 (N,). Raise `DataError` with every unknown label."""
    cells = text(table, column)
    found = pd.Index(classes).get_indexer(pd.Index(cells)).astype(np.int64)
    unknown = cells[found == -1].unique()
    if len(unknown):
        raise DataError(
            row_problem(table, cells == name, f"column '{column}' holds '{name}', which is not a class")
            + did_you_mean(name, classes)
            for name in unknown
        )
    return found


def natural_order(names: Sequence[str] | Array) -> list[str]:
    """Sort integers as numbers, and digits inside names as numbers too: `a2` before `a10`."""
    if all_integers(names):
        return sorted(names, key=int)
    return sorted(names, key=_natural_key)


def spelled(classes: Sequence[str]) -> list[Any]:
    """Return the labels as the competition spells them: ints if all are integers, else strings."""
    return [int(name) for name in classes] if all_integers(classes) else list(classes)


def all_integers(names: Sequence[str] | Array) -> bool:
    """Return whether every name is an integer in its plain spelling; `007` and `1.0` are not."""
    return all(re.fullmatch(r"0|-?[1-9][0-9]*", name) for name in names)


def repeated(names: Sequence[object]) -> list[str]:
    """Return the names that occur twice, for checks of options."""
    texts = [str(name) for name in names]
    return sorted({name for name in texts if texts.count(name) > 1})


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]
