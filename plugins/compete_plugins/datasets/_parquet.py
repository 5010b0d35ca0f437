"""Competitions whose images are bytes in Parquet files, as the Hugging Face Hub stores them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from compete import DataError, Files, Tables, component, did_you_mean, format_first, format_list, plural

from ._common import Problems, check_group, need_column
from ._json import text_table
from ._rows import Policies, Rows, assemble
from ._tables import NO_SAMPLE, read_sample_if_any

BYTES, ROWS, PLACES = "images.bin", "rows.parquet", "places.npy"
ROWS_AT_ONCE = 256


def _check(*, group: str, group_pattern: str, **_: object) -> Iterator[str]:
    yield from check_group(group, group_pattern)


@component(check=_check)
def parquet(
    root: Path,
    *,
    train: str | tuple[str, ...],
    test: str | tuple[str, ...] = (),
    sample: str = "",
    image: str = "image",
    id: str = "",
    group: str = "",
    group_pattern: str = "",
    duplicates: Literal["error", "keep", "first"] = "error",
) -> Tables:
    """Read rows and images from Parquet files with the images inside, as the Hugging Face Hub stores them.

    `train` and `test` are files below the root or patterns of them: `data/train-*.parquet`; the shards of a pattern are
    read in the order of their names. `image` is the column with the encoded images, each as bytes or as a struct
    `{bytes, path}`. Every other column becomes text; a column that the file's own metadata declares a ClassLabel gets
    the names of its classes. The images are written once, as one file, to `.compete/parquet/` in the working directory.
    `id` is the id column; without it the id is the number of the row, with its table's name: `train/17`.
    Without `test` there is no test set, and the run ends with its CV and OOF. `sample` is the sample submission;
    without it every test row is predicted, in columns `id` and `label`.
    `group`, `group_pattern` and `duplicates`: as for `csv`.
    """
    files = Files(root)
    problems = Problems()
    with problems.collecting():
        train_rows = _rows(files, "train", train, image, id)
    test_rows = None
    with problems.collecting():
        test_rows = _rows(files, "test", test, image, id) if test else None
    sample_table = None
    with problems.collecting():
        sample_table = read_sample_if_any(files, sample or NO_SAMPLE)
    problems.raise_if_any()
    return assemble(files, train_rows, test_rows, sample_table, Policies(group, group_pattern, duplicates))


def _rows(files: Files, option: str, patterns: str | tuple[str, ...], image: str, id: str) -> Rows:
    places = _shards(files, option, (patterns,) if isinstance(patterns, str) else patterns)
    where = places[0] if len(places) == 1 else f"{option} ({plural(len(places), 'file')})"
    content = [f"{files.root}/{place} {files.stamp(place)}" for place in places]
    name = f"parquet/{sha256(repr((content, image)).encode()).hexdigest()[:16]}"
    folder = files.build_once(name, lambda folder: _unpack(files, places, image, folder))
    table = pd.read_parquet(files.cache / name / ROWS)
    offsets, lengths = np.load(files.cache / name / PLACES)  # (2, N)
    images = [f"{folder}/{BYTES}#{start}+{size}" for start, size in zip(offsets, lengths, strict=True)]
    if id:
        need_column(table, id, where, "id")
    else:
        id = "id"
        table = table.rename(columns={"id": "raw_id"}).assign(id=[f"{option}/{n}" for n in range(len(table))])
    return Rows(table, where, id, pd.Series(images, dtype=object), "", sure=True)


def _shards(files: Files, option: str, patterns: Sequence[str]) -> list[str]:
    """Return the files that the patterns name, each once. Raise `DataError` for a pattern that names none."""
    found: dict[str, None] = {}
    for pattern in patterns:
        folder, _, name = pattern.rpartition("/")
        there = files.list(folder)
        matching = sorted(entry for entry in there if fnmatchcase(entry, name))
        if not matching:
            holds = format_first([entry for entry in there if entry.endswith(".parquet")]) or "no Parquet file"
            raise DataError(
                f"{option} = '{pattern}': no such file. '{folder or '.'}' has {holds}.{did_you_mean(name, there)}"
            )
        found |= dict.fromkeys(f"{folder}/{entry}" if folder else entry for entry in matching)
    return list(found)


def _unpack(files: Files, places: Sequence[str], image: str, folder: Path) -> None:
    """Write the images of all files one after the other, where each is, and the other columns as one table."""
    tables: list[pd.DataFrame] = []
    lengths: list[int] = []
    with (folder / BYTES).open("wb") as out:
        for place in places:
            file = _open(files, place, image)
            classes = _class_labels(file.schema_arrow)
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                for data in _encoded(batch.column(image)):
                    if not data:
                        raise DataError(f"{place}: row {len(lengths) + 1} of all has no bytes in column '{image}'.")
                    lengths.append(out.write(data))
                tables.append(_plain(batch.drop_columns([image]), classes))
    sizes = np.array(lengths, np.int64)
    np.save(folder / PLACES, np.stack([np.cumsum(sizes) - sizes, sizes]))  # (2, N): offset and length of each
    pd.concat(tables, ignore_index=True).to_parquet(folder / ROWS)


def _open(files: Files, place: str, image: str) -> pq.ParquetFile:
    path = files.root / place
    if not path.is_file():
        raise DataError(f"{place}: Parquet is read where it is on disk; unpack it first.")
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place}: not a readable Parquet file: {error}.") from error
    names = file.schema_arrow.names
    if image not in names:
        raise DataError(
            f"image = '{image}': {place} has no such column.{did_you_mean(image, names)} "
            f"Its columns: {format_list(names)}."
        )
    kind = file.schema_arrow.field(image).type
    if not holds_bytes(kind):
        raise DataError(f"image = '{image}': {place} has {kind} there, not bytes or a struct with `bytes`.")
    return file


def holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and holds_bytes(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _encoded(column: pa.Array) -> list[bytes | None]:
    """Return the encoded image of each row."""
    values: list[Any] = (column.field("bytes") if pa.types.is_struct(column.type) else column).to_pylist()
    return values


def _class_labels(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the names of the classes of each column that the metadata of `datasets` declares a ClassLabel."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {
        name: list(map(str, feature["names"]))
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }


def _plain(batch: pa.RecordBatch, classes: dict[str, list[str]]) -> pd.DataFrame:
    """Return the other columns as text, with class numbers replaced by names."""
    table = text_table(batch.to_pylist())
    for name, names in classes.items():
        if name in table:
            known = {str(number): label for number, label in enumerate(names)} | {"-1": ""}  # -1: no label
            table[name] = table[name].map(lambda cell, known=known: known.get(cell, cell))
    return table
