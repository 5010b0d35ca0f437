"""The first rows of tables, JSON and BSON: enough to recognise them by, with no large file read whole."""

from __future__ import annotations

import codecs
import io
import json
import mmap
import re
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

import pandas as pd

from compete import DataError

from ._bson import bson_path, documents
from ._common import Files
from ._json import text_table
from ._tables import decode, parse_table

MOST_ROWS, MOST_DOCUMENTS = 200_000, 20_000
BYTES_OF_A_ROW, FEWEST_BYTES = 512, 1 << 20
WINDOW_BYTES = 32 << 20
BLOCK_BYTES = 1 << 22
_LIST_START = re.compile(rb'"([^"\\\n]{1,60})"\s*:\s*\[\s*\{')


@dataclass(frozen=True)
class Table:
    """A delimited table, all cells text: its first rows, how many there are, and how it is written."""

    name: str
    frame: pd.DataFrame
    rows: int
    separator: str
    encoding: str

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return [str(name) for name in self.frame.columns]


def read_head(files: Files, name: str, place: str, most_rows: int | None = None) -> Table:
    """Read a table's first rows as `read_table` would, its separator and encoding guessed; the rest is only counted.

    Raise `DataError` for what `read_table` refuses.
    """
    most_rows = most_rows or MOST_ROWS
    with _opened(files, place) as file:
        data = file.read(max(FEWEST_BYTES, BYTES_OF_A_ROW * most_rows))
        complete = not file.read(1)
    data = data if complete else _whole_rows(data)
    encoding = _encoding(data)
    text = decode(data, place, encoding)
    separator = _separator(text.partition("\n")[0])
    frame = parse_table(text, place, separator, most_rows)
    rows = len(frame) if complete and len(frame) < most_rows else _lines(files, place) - 1
    return Table(name, frame, rows, separator, encoding)


def _opened(files: Files, place: str) -> IO[bytes]:
    """Open a file on disk, or what an archive holds of it."""
    path = files.root / place
    return path.open("rb") if path.is_file() else io.BytesIO(files.read(place))


def _whole_rows(data: bytes) -> bytes:
    """Cut bytes after their last complete row, so that no quoted cell is left open."""
    data = data[: data.rfind(b"\n") + 1]
    while data.count(b'"') % 2:
        data = data[: data.rfind(b"\n", 0, -1) + 1]
    return data


def _separator(header: str) -> str:
    return max(",;\t|", key=lambda sign: (header.count(sign), sign == ","))


def _lines(files: Files, place: str) -> int:
    with _opened(files, place) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK_BYTES), b""))


def _encoding(data: bytes | mmap.mmap) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), BLOCK_BYTES):
            decoder.decode(data[start : start + BLOCK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


@dataclass(frozen=True)
class Objects:
    """A list of objects in a JSON file: its first objects, how many there are, and whether these are all of them."""

    rows: list[dict[str, Any]]
    count: int
    complete: bool

    def table(self) -> pd.DataFrame:
        """Return the objects' plain values as text."""
        return text_table(
            [{key: value for key, value in row.items() if not isinstance(value, list | dict)} for row in self.rows]
        )


@dataclass(frozen=True)
class JsonHead:
    """What a JSON file holds: its lists of objects by key ("" where the file is the list), and its encoding."""

    name: str
    lists: dict[str, Objects]
    encoding: str


def read_json_head(files: Files, name: str, place: str, whole: bool = False) -> JsonHead:
    """Read the first objects of every list in a JSON file, or all of them; nothing where it holds none."""
    path = files.root / place
    if not path.is_file():
        return _lists(name, files.read(place), whole)
    if path.stat().st_size == 0:
        return JsonHead(name, {}, "utf-8")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _lists(name, data, whole)


def _lists(name: str, data: bytes | mmap.mmap, whole: bool) -> JsonHead:
    encoding = _encoding(data)
    start = re.search(rb"\S", data)
    if start is not None and start[0] == b"[":
        return JsonHead(name, {"": _objects(data, start.end(), encoding, whole)}, encoding)
    starts: dict[str, int] = {}
    for match in _LIST_START.finditer(data):
        starts.setdefault(match[1].decode(encoding), match.end() - 1)
    found = {key: _objects(data, at, encoding, whole) for key, at in starts.items()}
    return JsonHead(name, found, encoding)


def _objects(data: bytes | mmap.mmap, start: int, encoding: str, whole: bool) -> Objects:
    """Decode objects one by one from `start` on, until the list ends or, unless `whole`, the window does."""
    text = data[start : len(data) if whole else start + WINDOW_BYTES].decode(encoding, "ignore")
    decode_next, skip = json.JSONDecoder().raw_decode, re.compile(r"[\s,]*")
    rows: list[dict[str, Any]] = []
    at = skip.match(text).end()  # type: ignore[union-attr]  # it matches anything
    while text[at : at + 1] == "{":
        try:
            row, at = decode_next(text, at)
        except json.JSONDecodeError:
            break
        rows.append(row)
        at = skip.match(text, at).end()  # type: ignore[union-attr]
    complete = text[at : at + 1] == "]"
    # What is left is counted by its size: one object's bytes are much like another's.
    share = 1.0 if complete or not at else (len(data) - start) / at
    return Objects(rows, round(len(rows) * share), complete)


@dataclass(frozen=True)
class BsonHead:
    """The plain values of a BSON file's first documents as text, about how many there are, and their first images."""

    frame: pd.DataFrame
    count: int
    images: list[str]


def read_bson_head(files: Files, place: str) -> BsonHead:
    """Read a BSON file's first documents. Raise `DataError` where the first one is damaged; a run finds the others."""
    path = bson_path(files, place)
    rows: list[dict[str, Any]] = []
    images: list[str] = []
    used = 0
    try:
        for document in islice(documents(path), MOST_DOCUMENTS):
            rows.append(document.values)
            images += [f"{place}#{offset}+{length}" for offset, length in document.blocks[:1]]
            used = document.end
    except DataError:
        if not rows:
            raise
    return BsonHead(text_table(rows), round(len(rows) * path.stat().st_size / used) if used else 0, images)
