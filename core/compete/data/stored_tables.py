"""The rows of a finished run, stored in its folder: it predicts other images without the competition's files."""

from __future__ import annotations

from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from compete.store import read_json, write_bytes, write_json
from compete.types import SampleForm, Tables

FOLDER = "tables"
ABOUT = "about.json"  # what the tables say beside their cells: the note, and how the sample submission is written
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
    form = asdict(tables.form) | {"quoted": sorted(tables.form.quoted), "unnamed": sorted(tables.form.unnamed)}
    write_json(folder / FOLDER / ABOUT, {"note": tables.note, "form": form})
    return ""


def read_stored_tables(folder: Path) -> Tables | None:
    """Return the stored rows, or None if they are not there."""
    files = [folder / FOLDER / f"{name}-rows.parquet" for name in NAMES]
    if not all(file.is_file() for file in files):
        return None
    train, test, sample = map(pd.read_parquet, files)
    about = read_json(folder / FOLDER / ABOUT)
    return Tables(train, test, sample, about.get("note", ""), form=_form(about.get("form", {})))


def _form(stored: dict[str, Any]) -> SampleForm:
    """Return the form from its JSON, which has lists only."""
    kinds = {"index": tuple, "quoted": frozenset, "unnamed": frozenset}
    return SampleForm(**{name: kinds.get(name, lambda value: value)(value) for name, value in stored.items()})


def _same_cells(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Return whether two tables hold equal cells of equal types; text may be kept as `str` or as `object`."""
    first, second = first.astype(object), second.astype(object)
    return first.equals(second) and first.map(type).equals(second.map(type))
