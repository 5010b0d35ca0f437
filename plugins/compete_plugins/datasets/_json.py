"""JSON files as rows of text, each fault with its place."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from compete import DataError, decode, did_you_mean, format_list

from ._common import Files
from ._tables import find_file


def read_json(files: Files, path: str, encoding: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read a JSON file, which may be packed. Raise `DataError` with the line of a fault."""
    place = find_file(files, path)
    try:
        return json.loads(decode(files.read(place), place, encoding).text)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}, line {error.lineno}: not valid JSON: {error.msg}.") from None


def rows_under(data: Any, key: str, option: str, where: str) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return the list of objects under a key of a JSON object, or the data itself where it is such a list."""
    if isinstance(data, dict):
        if key not in data:
            raise DataError(
                f"{option} = '{key}': {where} has no such key.{did_you_mean(key, data)} Its keys: {format_list(data)}."
            )
        data = data[key]
    return object_list(data, f"{where}: {key}")


def object_list(data: Any, where: str) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return data that is a list of objects; raise `DataError` for anything else."""
    if not isinstance(data, list) or not data or not all(isinstance(row, dict) for row in data):
        raise DataError(f"{where}: not a list of objects, or an empty one.")
    return data


def text_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a table of text of JSON objects; what is missing or null becomes an empty cell."""
    table = pd.DataFrame(rows, dtype=object)  # object, because a gap would turn integers into floats
    return table.where(table.notna(), "").astype(str)
