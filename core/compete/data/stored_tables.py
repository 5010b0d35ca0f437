"""The rows of a finished run, stored in its folder: it predicts other images without the competition's files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pandas as pd

from compete.store import write_bytes
from compete.types import Tables

FOLDER = "tables"
NAMES = ("train", "test", "sample")


def write_tables(folder: Path, tables: Tables) -> str:
    """Store the rows as `tables/*-rows.parquet`; return why not, or an empty string.

    A table whose cells do not come back the same, such as text and numbers in one column, is not stored.
    """
    data: dict[str, bytes] = {}
    for name in NAMES:
        table: pd.DataFrame = getattr(tables, name)
        buffer = BytesIO()
        try:
            table.to_parquet(buffer)
            same = _same_cells(pd.read_parquet(buffer), table)
        except Exception as error:  # pyarrow and pandas raise a dozen types for odd cells
            return f"{name}: {str(error).partition(chr(10))[0]}"
        if not same:
            return f"{name}: Parquet changes its cells"
        data[name] = buffer.getvalue()
    for name, content in data.items():
        write_bytes(folder / FOLDER / f"{name}-rows.parquet", content)
    return ""


def read_stored_tables(folder: Path) -> Tables | None:
    """Return the stored rows, or None if they are not there."""
    files = [folder / FOLDER / f"{name}-rows.parquet" for name in NAMES]
    if not all(file.is_file() for file in files):
        return None
    train, test, sample = map(pd.read_parquet, files)
    return Tables(train, test, sample)


def _same_cells(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Return whether two tables hold equal cells of equal types; text may be kept as `str` or as `object`."""
    first, second = first.astype(object), second.astype(object)
    return first.equals(second) and first.map(type).equals(second.map(type))
