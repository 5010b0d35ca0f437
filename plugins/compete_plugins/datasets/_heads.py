"""The first rows of tables, JSON and BSON: enough to recognise them by, with no large file read whole."""

from __future__ import annotations

import codecs
import io
import json
import mmap
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

import pandas as pd

from compete import DataError, Reading, decode, format_list, readings

from ._bson import bson_path, documents
from ._common import Files
from ._json import text_table
from ._tables import is_json_lines, parse_table, without_index

MOST_ROWS, MOST_DOCUMENTS = 200_000, 20_000
BYTES_OF_A_ROW, FEWEST_BYTES = 512, 1 << 20
WINDOW_BYTES = 32 << 20
BLOCK_BYTES = 1 << 22
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LIST_START = re.compile(rb'"([^"\\\n]{1,60})"\s*:\s*\[\s*\{')


@dataclass(frozen=True)
class Table:
    """A delimited table, all cells text: its first rows, how many there are, and how it is written."""

    name: str
    frame: pd.DataFrame
    rows: int
    separator: str
    encoding: str
    readings: tuple[Reading, ...] = ()  # where it is not UTF-8

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
    if not complete and data.startswith(UTF_16):  # whose rows do not end where bytes say
        data, complete = files.read(place), True
    data = data if complete else _whole_rows(data)
    found, encoding = likely_encoding(data)
    text = decode(data, place, encoding).text
    header = "" if is_json_lines(place) else text.partition("\n")[0]
    separator = _separator(header)
    frame = without_index(parse_table(text, place, separator, most_rows))
    rows = len(frame) if complete and len(frame) < most_rows else _lines(files, place) - bool(header)
    return Table(name, frame, rows, separator, encoding, found)


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


def likely_encoding(data: bytes | mmap.mmap) -> tuple[tuple[Reading, ...], str]:
    """Return the likely readings of bytes that are not UTF-8, and the likeliest encoding; for UTF-8 none is needed."""
    if data[:2] in UTF_16 or _is_utf8(data):
        return (), "utf-8"
    found = tuple(readings(data))
    return found, found[0].encoding if found else "utf-8"


def _is_utf8(data: bytes | mmap.mmap) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), BLOCK_BYTES):
            decoder.decode(data[start : start + BLOCK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return b"\0" not in data[:BLOCK_BYTES]


def encoding_doubts(heads: Iterable[Table | JsonHead]) -> Iterator[str]:
    """Yield what to ask about the encoding of files that are not UTF-8: bytes alone do not prove one."""
    foreign = [head for head in heads if head.readings]
    for head in foreign:
        first, *others = head.readings
        also = f" It could also read {' or '.join(map(str, others))}." if others else ""
        yield f"[dataset] encoding: {head.name} is not UTF-8. Does it read {first}?{also}"
    different = {head.encoding: head.name for head in foreign}
    if len(different) > 1:
        each = format_list(f"{name} ({encoding})" for encoding, name in different.items())
        yield f"[dataset] encoding: one is for all files, and these seem to differ: {each}. Save them as UTF-8."


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
    readings: tuple[Reading, ...] = ()


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
    found, encoding = likely_encoding(data)
    if data[:2] in UTF_16 or encoding.startswith("utf-16"):
        data, whole = decode(data[:], name, encoding).text.encode(), True
        encoding = "utf-8"
    at = len(codecs.BOM_UTF8) if data[:3] == codecs.BOM_UTF8 else 0
    start = re.compile(rb"\S").search(data, at)
    if start is not None and start[0] == b"[":
        return JsonHead(name, {"": _objects(data, start.end(), encoding, whole)}, encoding, found)
    starts: dict[str, int] = {}
    for match in _LIST_START.finditer(data):
        starts.setdefault(match[1].decode(encoding), match.end() - 1)
    lists = {key: _objects(data, at, encoding, whole) for key, at in starts.items()}
    return JsonHead(name, lists, encoding, found)


def _objects(data: bytes | mmap.mmap, start: int, encoding: str, whole: bool) -> Objects:
    """Decode objects one by one from `start` on, until the list ends or, unless `whole`, the window does."""
    window = data[start : len(data) if whole else start + WINDOW_BYTES]
    text = codecs.getincrementaldecoder(encoding)().decode(window)  # a character that the window cuts is left
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
