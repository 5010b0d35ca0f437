"""Competitions whose pixels are inside the records: number lists in JSON, encoded images in BSON."""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import isqrt
from typing import TYPE_CHECKING, Any

from compete.init.findings import Key, Pixels, Source, Table
from compete.init.naming import same_name
from compete.init.read_head import JsonFile, peek_bson, peek_json
from compete.init.scan import Look
from compete.init.source_coco import coco_source

if TYPE_CHECKING:
    import pandas as pd

SHORTEST_BAND = 16
IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n")


def json_source(look: Look, sample: Table) -> Source | None:
    """Return the rows of a competition's JSON or BSON files, or None where they hold none."""
    bson = [name for name in look.records if name.lower().endswith(".bson")]
    train, test = _named(bson, "train"), _named(bson, "test")
    if train and test:
        return _bson_source(look, sample, train, test)
    opened = [peek_json(look.files, name, place) for name, place in look.records.items() if name not in bson]
    records = {file.name: file for file in opened if _bands(file)}
    train, test = _named(list(records), "train"), _named(list(records), "test")
    if train and test:
        return _records_source(records[train], records[test], sample)
    return coco_source(look, opened, sample)


def _named(names: Sequence[str], word: str) -> str:
    """Return the shortest name that holds a word."""
    return min((name for name in names if word in name.lower()), key=len, default="")


def _bands(file: JsonFile) -> list[str]:
    """Return the keys of a file of records whose values are lists of numbers, all of one length: the pixels."""
    rows = file.lists[""].rows if "" in file.lists else []
    if not rows:
        return []
    return [key for key, value in rows[0].items() if _is_band(value) and all(_same(row, key, value) for row in rows)]


def _is_band(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, list) and len(value) >= SHORTEST_BAND and isinstance(value[0], int | float)


def _same(row: dict[str, Any], key: str, value: list[Any]) -> bool:
    return isinstance(row.get(key), list) and len(row[key]) == len(value)


def _records_source(train: JsonFile, test: JsonFile, sample: Table) -> Source:
    bands, listed = _bands(train), train.lists[""]
    length = len(listed.rows[0][bands[0]])
    side = isqrt(length)
    todo = () if side * side == length else (f"a band has {length} values, no square: write shape = [height, width].",)
    keys = (
        Key("train", train.name),
        Key("test", test.name),
        Key("sample", sample.name),
        Key("bands", bands, f"lists of {length} numbers each, one channel for each"),
        *([Key("encoding", train.encoding)] if train.encoding != "utf-8" else []),
    )
    pixels = Pixels(((side, side),), len(bands), images=False)
    return _finished(keys, listed.table(), listed.count, test.lists[""].table(), sample, pixels, todo)


def _bson_source(look: Look, sample: Table, train: str, test: str) -> Source:
    frame, rows, document = peek_bson(look.files, look.records[train])
    test_frame, _, _ = peek_bson(look.files, look.records[test])
    keys = (Key("train", train, f"about {rows} documents"), Key("test", test), Key("sample", sample.name))
    return _finished(keys, frame, rows, test_frame, sample, _first_image(document), ())


def _first_image(document: bytes) -> Pixels:
    from PIL import Image

    places = [at for start in IMAGE_STARTS if (at := document.find(start)) >= 0]
    if not places:
        return Pixels((), unreadable=("the first record holds no JPEG or PNG",))
    with Image.open(io.BytesIO(document[min(places) :])) as image:
        return Pixels(((image.height, image.width),))


def _finished(
    keys: tuple[Key, ...], train: pd.DataFrame, rows: int, test: pd.DataFrame, sample: Table, pixels: Pixels,
    todo: tuple[str, ...],
) -> Source:  # fmt: skip
    first = sample.columns[0]
    name = same_name([str(column) for column in train.columns], first) or first
    if name != first:
        keys = (*keys, Key("id", name, f"the sample submission calls it '{first}'"))
    repeated = int(train[name].duplicated().sum()) if name in train else 0
    if repeated:
        keys = (*keys, Key("duplicates", "keep", f"{repeated} rows repeat an id"))
    return Source(
        dataset="records",
        keys=keys,
        train=train,
        rows=rows,
        test=test,
        id_column=name,
        used=(name,),
        has_test_columns=True,
        pixels=pixels,
        todo=todo,
    )
