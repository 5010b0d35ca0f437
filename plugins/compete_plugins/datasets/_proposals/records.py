"""Recognise competitions whose pixels are inside the records: number lists in JSON, encoded images in BSON."""

from __future__ import annotations

from collections.abc import Iterable
from math import isqrt
from typing import Any

import pandas as pd

from compete import Choice, Excerpt, Proposal, Scan, same_name, spread

from .._heads import JsonHead, Table, encoding_doubts, read_bson_head, read_json_head
from .templates import MOST_IMAGES

SHORTEST_BAND = 16


def read_json_heads(scan: Scan) -> list[JsonHead]:
    """Read the first objects of every JSON file."""
    return [read_json_head(scan.files, name, place) for name, place in scan.records.items() if not _is_bson(name)]


def propose_records(scan: Scan, sample: Table, heads: Iterable[JsonHead]) -> Proposal | None:
    """Propose two files of records, one for training and one for test."""
    bson = list(filter(_is_bson, scan.records))
    train, test = _named(bson, "train"), _named(bson, "test")
    if train and test:
        return _of_bson(scan, sample, train, test)
    records = {head.name: head for head in heads if _bands(head)}
    train, test = _named(records, "train"), _named(records, "test")
    return _of_json(records[train], records[test], sample) if train and test else None


def _is_bson(name: str) -> bool:
    return name.lower().endswith(".bson")


def _named(names: Iterable[str], word: str) -> str:
    """Return the shortest name that holds a word."""
    return min((name for name in names if word in name.lower()), key=len, default="")


def _bands(head: JsonHead) -> list[str]:
    """Return the keys of a file of records whose values are lists of numbers, all of one length: the pixels."""
    rows = head.lists[""].rows if "" in head.lists else []
    if not rows:
        return []
    return [key for key, value in rows[0].items() if _is_band(value) and all(_same(row, key, value) for row in rows)]


def _is_band(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, list) and len(value) >= SHORTEST_BAND and isinstance(value[0], int | float)


def _same(row: dict[str, Any], key: str, value: list[Any]) -> bool:
    return isinstance(row.get(key), list) and len(row[key]) == len(value)


def _of_json(train: JsonHead, test: JsonHead, sample: Table) -> Proposal:
    bands, listed = _bands(train), train.lists[""]
    length = len(listed.rows[0][bands[0]])
    side = isqrt(length)
    square = side * side == length
    return _proposal(
        (
            Choice("train", train.name),
            Choice("test", test.name),
            Choice("sample", sample.name),
            Choice("bands", bands, f"lists of {length} numbers each, one channel for each"),
            *([Choice("encoding", train.encoding, f"it reads {train.readings[0]}")] if train.readings else []),
        ),
        (listed.table(), listed.count, test.lists[""].table()),
        sample,
        shape=(side, side, len(bands)),
        todo=(
            *encoding_doubts([train, test]),
            *([] if square else [f"a band has {length} values, not a square: set shape = [height, width]."]),
        ),
    )


def _of_bson(scan: Scan, sample: Table, train: str, test: str) -> Proposal:
    head, test_head = (read_bson_head(scan.files, scan.records[name]) for name in (train, test))
    options = (
        Choice("train", train, f"about {head.count} documents"),
        Choice("test", test),
        Choice("sample", sample.name),
    )
    images = tuple(spread(head.images, MOST_IMAGES))
    return _proposal(options, (head.frame, head.count, test_head.frame), sample, images=images)


def _proposal(
    options: tuple[Choice, ...],
    rows: tuple[pd.DataFrame, int, pd.DataFrame],
    sample: Table,
    images: tuple[str, ...] = (),
    shape: tuple[int, int, int] | None = None,
    todo: tuple[str, ...] = (),
) -> Proposal:
    (train, count, test), first = rows, sample.columns[0]
    name = same_name(map(str, train.columns), first) or first
    repeated = int(train[name].duplicated().sum()) if name in train else 0
    return Proposal(
        "records",
        (
            *options,
            *([Choice("id", name, f"the sample submission calls it '{first}'")] if name != first else []),
            *([Choice("duplicates", "keep", f"{repeated} rows repeat an id")] if repeated else []),
        ),
        "the pixels are inside the records",
        rows=count,
        excerpt=Excerpt(train, test, sample.frame, id=name, used=(name,), images=images, shape=shape),
        todo=todo,
    )
