"""Competitions whose pixels are inside the records: number arrays in JSON, or encoded images in BSON."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from math import isqrt
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from compete import Count, DataError, Tables, component, did_you_mean, format_list

from ._bson import bson_path, documents
from ._common import Files, Problems, check_group, need_column, replaced
from ._json import object_list, read_json, text_table
from ._rows import Policies, Rows, assemble, choose_id_column
from ._tables import find_file, read_sample

Array = np.ndarray[Any, np.dtype[np.float32]]
ROWS, PLACES = "rows.parquet", "places.npz"


class _Records(NamedTuple):
    """A file's rows, and the path or paths of each row's images."""

    table: pd.DataFrame
    images: pd.Series[Any]


def _check(*, group: str, group_pattern: str, **_: object) -> Iterator[str]:
    yield from check_group(group, group_pattern)


@component(check=_check)
def records(
    root: Path,
    *,
    train: str,
    test: str,
    sample: str = "",
    bands: tuple[str, ...] = (),
    shape: tuple[Count, Count] | None = None,
    id: str = "",
    replace: dict[str, dict[str, str]] | None = None,
    group: str = "",
    group_pattern: str = "",
    encoding: str = "utf-8",
    duplicates: Literal["error", "keep", "first"] = "error",
) -> Tables:
    """Read rows whose pixels are inside the records of a JSON or BSON file; every other value becomes text.

    JSON (a list of objects, packed or not): `bands` names the keys with pixel values, one channel each, and `shape`
    their (height, width), which is square if it is not given. The pixels are written once, as .npy files, to the
    folder `.compete/records/` in the working directory.
    BSON (`train` ends in .bson, not packed): every block of bytes in a document is an encoded image; a row has as
    many images as its document has. They are read where they lie; only their places are kept in `.compete/records/`.
    `sample` is the sample submission, found by its name if not given. `id` is the id's key, by default the sample
    submission's first column. `replace`, `group`, `group_pattern`, `encoding` and `duplicates`: as for `csv`.
    """
    files = Files(root)
    problems = Problems()
    with problems.collecting():
        train_rows = _read(files, train, bands, shape, encoding)
    with problems.collecting():
        test_rows = _read(files, test, bands, shape, encoding)
    with problems.collecting():
        sample_read = read_sample(files, sample, encoding=encoding)
    problems.raise_if_any()
    notes = list[str]()
    train_table, test_table = replaced(replace, train, [train_rows.table, test_rows.table], notes)
    train_rows, test_rows = train_rows._replace(table=train_table), test_rows._replace(table=test_table)
    id_column = choose_id_column(id, train_rows.table, sample_read, train)
    return assemble(
        files,
        _rows(train_rows, train, id_column),
        _rows(test_rows, test, id_column),
        sample_read,
        Policies(group, group_pattern, duplicates, notes=tuple(notes)),
    )


def _rows(read: _Records, where: str, id_column: str) -> Rows:
    need_column(read.table, id_column, where, "id")
    return Rows(read.table, where, id_column, read.images, "", sure=True)


def _read(files: Files, path: str, bands: tuple[str, ...], shape: tuple[int, int] | None, encoding: str) -> _Records:
    """Return a file's rows and the paths of their images; the file is only gone through the first time."""
    place = find_file(files, path)
    content = f"{files.root}/{place} {files.stamp(place)} {bands} {shape} {encoding}"
    name = f"records/{sha256(content.encode()).hexdigest()[:16]}"
    if place.endswith(".bson"):
        files.build_once(name, lambda folder: _index_bson(files, place, folder))
        return _open_bson(files.cache / name, place)
    folder = files.build_once(
        name, lambda folder: _unpack_json(read_json(files, path, encoding), place, bands, shape, folder)
    )
    table = pd.read_parquet(files.cache / name / ROWS)
    return _Records(table, pd.Series([f"{folder}/{number}.npy" for number in range(len(table))], dtype=object))


def _unpack_json(
    data: Any,  # noqa: ANN401 - any JSON value
    place: str,
    bands: tuple[str, ...],
    shape: tuple[int, int] | None,
    folder: Path,
) -> None:
    """Write each record's pixels as (H, W, bands) float32, and the rest of all records as one table."""
    rows = object_list(data, place)
    lists = [key for key, value in rows[0].items() if isinstance(value, list)]
    unknown = [band for band in bands if band not in lists]
    if unknown or not bands:
        wanted = f"has no pixels under {format_list(unknown)}" if unknown else "needs the keys that hold its pixels"
        raise DataError(
            f"bands: {place} {wanted}.{did_you_mean(unknown[0] if unknown else '', lists)} "
            f"Lists are under: {format_list(lists) or 'no key'}."
        )
    shape = shape or _square(len(rows[0][bands[0]]), place)
    for number, row in enumerate(rows):
        np.save(folder / f"{number}.npy", _pixels(row, bands, shape, f"{place}, record {number + 1}"))
    text_table([{key: value for key, value in row.items() if key not in bands} for row in rows]).to_parquet(
        folder / ROWS
    )


def _square(count: int, place: str) -> tuple[int, int]:
    side = isqrt(count)
    if side * side != count:
        raise DataError(
            f"shape: the {count} values of a band of {place} are not a square; set shape = [height, width]."
        )
    return side, side


def _pixels(row: dict[str, Any], bands: tuple[str, ...], shape: tuple[int, int], where: str) -> Array:
    try:
        return np.stack([np.asarray(row[band], dtype=np.float32).reshape(shape) for band in bands], axis=-1)
    except KeyError as error:
        raise DataError(f"{where} has no {error}.") from None
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: a band is not {shape[0]} x {shape[1]} numbers: {error}.") from None


def _index_bson(files: Files, place: str, folder: Path) -> None:
    """Keep the plain values of all documents, how many images each has, and where these are."""
    rows, counts, blocks = [], [], []
    for document in documents(bson_path(files, place)):
        rows.append(document.values)
        counts.append(len(document.blocks))
        blocks.extend(document.blocks)
    if not counts or 0 in counts:
        raise DataError(f"{place}: {counts.count(0)} of its {len(counts)} documents hold no image.")
    text_table(rows).to_parquet(folder / ROWS)
    np.savez(folder / PLACES, counts=counts, blocks=blocks)


def _open_bson(folder: Path, place: str) -> _Records:
    with np.load(folder / PLACES) as kept:
        counts, blocks = kept["counts"], kept["blocks"].tolist()
    paths: list[Any] = [f"{place}#{offset}+{length}" for offset, length in blocks]
    if (counts != 1).any():
        ends = np.cumsum(counts).tolist()
        paths = [paths[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return _Records(pd.read_parquet(folder / ROWS), pd.Series(paths, dtype=object))
