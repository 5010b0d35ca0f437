"""The classes that a TOML lists, itself or in a file."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pandas as pd

from compete import DataError, DataFile, decode, did_you_mean, format_list

from ._cells import repeated

Classes = list[str | int] | DataFile | None


def check_classes(option: str, classes: Classes, at_least: int) -> Iterator[str]:
    """Yield what is wrong with a list of classes; a file is only read with the data."""
    if classes == "":
        yield f"{option} is empty: list the classes, or name a file that does."
    if not isinstance(classes, list):
        return
    if len(classes) < at_least:
        yield f"{option} needs at least two names."
    for name in repeated(classes):
        yield f"{option} names '{name}' twice."


def given_classes(classes: Classes) -> list[str] | None:
    """Return the listed classes as strings, from a list, the lines of a file or its column (`file.csv#column`)."""
    if classes is None or isinstance(classes, list):
        return None if classes is None else [str(name) for name in classes]
    path, _, column = classes.partition("#")
    try:
        text = decode(Path(path).read_bytes(), f"classes = '{classes}'", option="").text
        names = _column(text, path, column) if column else _lines(text)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"classes = '{classes}': the file cannot be read: {error}.") from error
    twice = repeated(names)
    if twice or not names:
        problem = f"lists {format_list(twice)} twice" if twice else "lists no classes"
        raise DataError(f"classes = '{classes}': the file {problem}.")
    return names


def _lines(text: str) -> list[str]:
    lines = text.split("\n")  # a name may hold the other signs at which `splitlines` splits
    return [line.strip() for line in lines if line.strip()]


def _column(text: str, path: str, column: str) -> list[str]:
    table = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    if column not in table:
        known = [str(name) for name in table.columns]
        raise DataError(
            f"classes = '{path}#{column}': unknown column.{did_you_mean(column, known)} Columns: {format_list(known)}."
        )
    return [str(name) for name in table[column]]
