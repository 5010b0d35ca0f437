"""Read label cells: as text or numbers, with every bad row named by its id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from compete import DataError, did_you_mean, format_list

Array = np.ndarray[Any, Any]
MADE = ("id", "image", "group")  # columns that every dataset makes, whatever the competition's files call them
LONGEST_CLASS = 1000  # characters; anything longer is a text in the wrong column, and would be every column's name


def require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise `DataError` naming every column that the train table lacks."""
    known = [str(name) for name in table.columns]
    missing = [name for name in columns if name not in known]
    if missing:
        own = format_list(name for name in known if name not in MADE) or "none"
        raise DataError(
            f"the train table has no column '{name}'.{did_you_mean(name, known)} Columns: {own}." for name in missing
        )


def text(table: pd.DataFrame, column: str, allow_empty: bool = False) -> pd.Series[str]:
    """Return a column's cells as text, whole numbers without a point; an empty cell is a `DataError`."""
    require(table, [column])
    cells = table[column]
    if pd.api.types.is_float_dtype(cells) and (cells.dropna() % 1 == 0).all():
        cells = cells.astype("Int64")  # a column of ints turns float when pandas meets one empty cell
    spelled = cells.astype(str).where(cells.notna(), "")
    if not allow_empty:
        refuse_rows(table, spelled.str.strip() == "", f"column '{column}' is empty")
    return spelled


def numbers(table: pd.DataFrame, column: str) -> Array:
    """Return a column as float64 (N,); a cell that is empty or no finite number is a `DataError`."""
    cells = text(table, column)
    values = np.asarray(pd.to_numeric(cells, errors="coerce"), dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        refuse_rows(table, bad, f"column '{column}' holds no number but '{cells[bad].iloc[0]}'")
    return values


def zeros_and_ones(table: pd.DataFrame, columns: Sequence[str]) -> Array:
    """Return columns as float32 (N, columns); a value that is neither 0 nor 1 is a `DataError`."""
    require(table, columns)
    values = np.stack([numbers(table, name) for name in columns], axis=1)
    for name, column in zip(columns, values.T, strict=True):
        refuse_rows(table, (column != 0) & (column != 1), f"column '{name}' holds neither 0 nor 1")
    return values.astype(np.float32)


def refuse_rows(table: pd.DataFrame, bad: ArrayLike, what: str) -> None:
    """Raise `DataError` "train table: `what` (n rows: id a, b ...)" if any row is bad."""
    if np.any(bad):
        raise DataError(row_problem(table, bad, what))


def row_problem(table: pd.DataFrame, bad: ArrayLike, what: str, most: int = 5) -> str:
    """Say what is wrong, in how many rows, and the first ids."""
    ids = table["id"] if "id" in table else table.index.to_series()
    named = [str(name) for name in ids[np.asarray(bad, dtype=bool)]]
    more = f" and {len(named) - most} more" if len(named) > most else ""
    rows = "1 row" if len(named) == 1 else f"{len(named)} rows"
    return f"train table: {what} ({rows}: id {', '.join(named[:most])}{more})."


def class_names(cells: pd.Series[str], classes: Sequence[str | int] | None, column: str) -> tuple[str, ...]:
    """Return the classes in the order given, else those of the table in natural order."""
    names = classes_in(cells, column) if classes is None else [str(name) for name in classes]
    if len(names) < 2:
        raise DataError(f"train table: column '{column}' has one class only, '{''.join(names)}'.")
    return tuple(names)


def classes_in(cells: pd.Series[str], column: str) -> list[str]:
    """Return the classes that a column holds, in natural order; one that is too long for a name is a `DataError`."""
    names = cells.dropna().unique()
    for name in names:
        if len(name) > LONGEST_CLASS:
            raise DataError(
                f"train table: column '{column}' holds a label of {len(name):,} characters, '{name[:30]}...'. "
                f"A class name has at most {LONGEST_CLASS:,}."
            )
    return natural_order(names)


def class_numbers(table: pd.DataFrame, *, column: str, classes: tuple[str, ...]) -> Array:
    """Return each row's place in `classes` as int64 (N,); every unknown label is named at once."""
    cells = text(table, column)
    found = pd.Index(classes).get_indexer(pd.Index(cells)).astype(np.int64)
    unknown = cells[found == -1].unique()
    if len(unknown):
        raise DataError(
            row_problem(table, cells == name, f"column '{column}' holds '{name}', which is no class")
            + did_you_mean(name, classes)
            for name in unknown
        )
    return found


def natural_order(names: Sequence[str] | Array) -> list[str]:
    """Sort whole numbers as numbers and the digits inside names as numbers too: `a2` before `a10`."""
    if all_integers(names):
        return sorted(names, key=int)
    return sorted(names, key=_natural_key)


def spelled(classes: Sequence[str]) -> list[Any]:
    """Return the labels as the competition writes them: ints where all are whole numbers, else text."""
    return [int(name) for name in classes] if all_integers(classes) else list(classes)


def all_integers(names: Sequence[str] | Array) -> bool:
    """Return whether every name is a whole number in its plain spelling; `007` and `1.0` are not."""
    return all(re.fullmatch(r"0|-?[1-9][0-9]*", name) for name in names)


def repeated(names: Sequence[object]) -> list[str]:
    """Return the names given twice, for checks of options."""
    texts = [str(name) for name in names]
    return sorted({name for name in texts if texts.count(name) > 1})


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]
