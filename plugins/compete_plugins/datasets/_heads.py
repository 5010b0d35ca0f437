"""Peek into tables, JSON and BSON: the first rows as text, and how many there are; no large file is taken whole."""

from __future__ import annotations

import codecs
import io
import json
import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from compete.errors import DataError
from compete.init.findings import Table

if TYPE_CHECKING:
    import pandas as pd

    from compete.files.root import Files

MOST_ROWS = 200_000
WINDOW_BYTES = 32 << 20
BLOCK_BYTES = 1 << 22
ENCODINGS = ("utf-8", "latin-1")
_LIST_START = re.compile(rb'"([^"\\\n]{1,60})"\s*:\s*\[\s*\{')
# Payload sizes of BSON's plain types, and how their bytes are read.
_BSON_PLAIN = {0x01: "<d", 0x08: "<?", 0x10: "<i", 0x12: "<q"}
_BSON_SIZES = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}


def read_table(files: Files, name: str, place: str, most_rows: int = MOST_ROWS) -> Table:
    """Read a table's first rows as text; the rest is only counted. Raise `DataError` where it is no table."""
    import pandas as pd

    with _opened(files, place) as file:
        separator = _separator(file.readline())
    for encoding in ENCODINGS:
        try:
            with _opened(files, place) as file:
                frame = pd.read_csv(
                    file, sep=separator, encoding=encoding, dtype=str, keep_default_na=False, nrows=most_rows
                )
        except UnicodeDecodeError:
            continue
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise DataError(f"{place} is no table: {error}.") from None
        frame.columns = frame.columns.astype(str)
        frame = frame.drop(columns="Unnamed: 0", errors="ignore")
        rows = len(frame) if len(frame) < most_rows else _lines(files, place) - 1
        return Table(name, frame, rows, separator, encoding)
    raise AssertionError("latin-1 reads any bytes")


def _opened(files: Files, place: str) -> IO[bytes]:
    """Open a file where it lies, or what an archive holds of it."""
    path = files.root / place
    return path.open("rb") if path.is_file() else io.BytesIO(files.read(place))


def _separator(header: bytes) -> str:
    return max(",;\t|", key=lambda sign: (header.count(sign.encode()), sign == ","))


def _lines(files: Files, place: str) -> int:
    with _opened(files, place) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK_BYTES), b""))


@dataclass(frozen=True)
class Objects:
    """A list of objects in a JSON file: its first objects, how many there are, and whether these are all of them."""

    rows: list[dict[str, Any]]
    count: int
    complete: bool

    def table(self) -> pd.DataFrame:
        """Return the objects' plain values as text."""
        return text_table(self.rows)


@dataclass(frozen=True)
class JsonFile:
    """What a JSON file holds: its lists of objects by key ("" where the file is the list), and its encoding."""

    name: str
    lists: dict[str, Objects]
    encoding: str


def peek_json(files: Files, name: str, place: str, whole: bool = False) -> JsonFile:
    """Read the first objects of every list in a JSON file, or all of them; nothing where it holds none."""
    path = files.root / place
    if not path.is_file():
        return _lists(name, files.read(place), whole)
    if path.stat().st_size == 0:
        return JsonFile(name, {}, ENCODINGS[0])
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _lists(name, data, whole)


def _lists(name: str, data: bytes | mmap.mmap, whole: bool) -> JsonFile:
    encoding = _encoding(data)
    start = re.search(rb"\S", data)
    if start is not None and start[0] == b"[":
        return JsonFile(name, {"": _objects(data, start.end(), encoding, whole)}, encoding)
    starts: dict[str, int] = {}
    for match in _LIST_START.finditer(data):
        starts.setdefault(match[1].decode(encoding), match.end() - 1)
    found = {key: _objects(data, at, encoding, whole) for key, at in starts.items()}
    return JsonFile(name, found, encoding)


def _encoding(data: bytes | mmap.mmap) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), BLOCK_BYTES):
            decoder.decode(data[start : start + BLOCK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _objects(data: bytes | mmap.mmap, start: int, encoding: str, whole: bool) -> Objects:
    """Decode objects one by one from `start` on, until the list ends or, unless `whole`, the window does."""
    text = data[start : len(data) if whole else start + WINDOW_BYTES].decode(encoding, "ignore")
    decode, skip = json.JSONDecoder().raw_decode, re.compile(r"[\s,]*")
    rows: list[dict[str, Any]] = []
    at = skip.match(text).end()  # type: ignore[union-attr]  # it matches anything
    while text[at : at + 1] == "{":
        try:
            row, at = decode(text, at)
        except json.JSONDecodeError:
            break
        rows.append(row)
        at = skip.match(text, at).end()  # type: ignore[union-attr]
    complete = text[at : at + 1] == "]"
    # What is left is counted by its size: one object's bytes are much like another's.
    share = 1.0 if complete or not at else (len(data) - start) / at
    return Objects(rows, round(len(rows) * share), complete)


def text_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a table of text of objects' plain values; what is missing or null becomes an empty cell."""
    import pandas as pd

    plain = [{key: value for key, value in row.items() if not isinstance(value, list | dict)} for row in rows]
    table = pd.DataFrame(plain, dtype=object)
    return table.where(table.notna(), "").astype(str)


def peek_bson(files: Files, place: str, most: int = 20_000) -> tuple[pd.DataFrame, int, bytes]:
    """Return the plain values of a BSON file's first documents, about how many there are, and the first of them."""
    path = files.root / place
    if not path.is_file():
        raise DataError(f"{place}: BSON is read where it lies; unpack it first.")
    rows: list[dict[str, Any]] = []
    used, first = 0, b""
    with path.open("rb") as file:
        try:
            while len(rows) < most and (document := _document(file)):
                rows.append(dict(_plain_values(document)))
                used, first = used + len(document), first or document
        except (ValueError, IndexError, struct.error):
            raise DataError(f"{place}: damaged BSON in the document at byte {used}.") from None
    count = round(len(rows) * path.stat().st_size / used) if used else 0
    return text_table(rows), count, first


def _document(file: IO[bytes]) -> bytes:
    head = file.read(4)
    if len(head) < 4:
        return b""
    length: int = struct.unpack("<i", head)[0]
    if length < len(head):
        raise ValueError(f"a document of {length} bytes")
    return head + file.read(length - len(head))


def _plain_values(document: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the numbers and texts at the top of a document (bsonspec.org), up to a type that is not known."""
    at = 4
    while at < len(document) - 1:
        kind, end = document[at], document.index(b"\0", at + 1)
        name, value = document[at + 1 : end].decode(), end + 1
        if kind in _BSON_PLAIN:
            yield name, struct.unpack_from(_BSON_PLAIN[kind], document, value)[0]
        if kind in _BSON_SIZES:
            at = value + _BSON_SIZES[kind]
            continue
        if kind not in (0x02, 0x03, 0x04, 0x05):
            return
        length = struct.unpack_from("<i", document, value)[0]
        if kind == 0x02:
            yield name, document[value + 4 : value + 3 + length].decode()
        at = value + length + {0x02: 4, 0x05: 5}.get(kind, 0)
