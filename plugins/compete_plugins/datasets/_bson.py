"""BSON (bsonspec.org) without copying its images: the plain values of each document, and where its bytes are."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from compete import DataError, Files

_INT32, _INT64, _DOUBLE = struct.Struct("<i"), struct.Struct("<q"), struct.Struct("<d")
_DOCUMENT, _ARRAY, _BINARY, _STRING = 0x03, 0x04, 0x05, 0x02
# Payload sizes of the types that have a fixed one.
_FIXED = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0}


class Document(NamedTuple):
    """A document's top values by name, (offset, length) of every block of bytes anywhere in it, and where it ends."""

    values: dict[str, Any]
    blocks: list[tuple[int, int]]
    end: int


def bson_path(files: Files, place: str) -> Path:
    """Return where a BSON file is on disk. Raise `DataError` for one in an archive."""
    path = files.root / place
    if not path.is_file():
        raise DataError(f"{place}: BSON is read where it is on disk; unpack it first.")
    return path


def documents(path: Path) -> Iterator[Document]:
    """Yield the documents of a BSON file one by one. Raise `DataError` with the byte where it is damaged."""
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = 0
        while start < len(data):
            try:
                document = Document({}, [], _end_of(data, start, len(data)))
                _read(data, start, document.end, document, top=True)
            except (ValueError, IndexError, struct.error, RecursionError) as error:
                raise DataError(f"{path.name}: damaged BSON in the document at byte {start}: {error}.") from error
            yield document
            start = document.end


def _end_of(data: mmap.mmap, start: int, limit: int) -> int:
    end = start + int(_INT32.unpack_from(data, start)[0])
    if end < start + 5 or end > limit or data[end - 1] != 0:
        raise ValueError(f"its length, {end - start} bytes, cannot be right")
    return end


def _read(data: mmap.mmap, start: int, end: int, into: Document, top: bool) -> None:
    """Walk over the elements of a document, and into the documents and arrays in it."""
    at = start + 4
    while at < end - 1:
        kind = data[at]
        name_end = data.find(b"\0", at + 1, end)
        if name_end < 0:
            raise ValueError("a name has no end")
        value = name_end + 1
        after = _after(data, kind, value, end)
        if kind in (_DOCUMENT, _ARRAY):
            _read(data, value, after, into, top=False)
        elif kind == _BINARY:
            into.blocks.append((value + 5, after - value - 5))
        elif top:
            into.values[data[at + 1 : name_end].decode()] = _value(data, kind, value, after)
        at = after


def _after(data: mmap.mmap, kind: int, value: int, end: int) -> int:
    """Return where the element ends whose value begins at `value`."""
    if kind in _FIXED:
        after = value + _FIXED[kind]
    elif kind in (_DOCUMENT, _ARRAY):
        after = _end_of(data, value, end)
    elif kind in (_BINARY, _STRING):
        length = int(_INT32.unpack_from(data, value)[0])
        after = value + length + (5 if kind == _BINARY else 4)
        if length < 0:
            raise ValueError("a length is negative")
    else:
        raise ValueError(f"it has a value of type 0x{kind:02x}, which is not read")
    if after > end - 1:
        raise ValueError("a value is longer than its document")
    return after


def _value(data: mmap.mmap, kind: int, value: int, after: int) -> Any:  # noqa: ANN401 - any plain value
    if kind == _STRING:
        return data[value + 4 : after - 1].decode()
    if kind in (0x09, 0x12):
        return _INT64.unpack_from(data, value)[0]
    if kind == 0x10:
        return _INT32.unpack_from(data, value)[0]
    if kind == 0x01:
        return _DOUBLE.unpack_from(data, value)[0]
    if kind == 0x08:
        return bool(data[value])
    return data[value:after].hex() if kind in (0x07, 0x11, 0x13) else None
