"""Predictions on disk: parquet with an id column and one column per class, always read back by id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from compete.errors import CompeteError
from compete.predict.top_k import known_rows
from compete.store import write_atomic
from compete.types import TopK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compete.types import Array, Predictions

RESERVED = frozenset({"id", "fold", "label"})


def class_columns(classes: Sequence[str]) -> list[str]:
    """Return the column name of each class; one that is called like a key column is told apart."""
    return [f"class {name}" if name in RESERVED else str(name) for name in classes]


def write_predictions(
    path: Path, ids: Sequence[str], predictions: Predictions, classes: Sequence[str], **keys: Array
) -> None:
    """Write predictions (R, C) with their ids, and key columns such as the fold, atomically.

    There is a column for each class or, where only the best k are kept, the columns `top1`, `p1` to `topk`, `pk`.
    """
    if isinstance(predictions, TopK):
        columns = _top_columns(predictions, classes)
    else:
        columns = dict(zip(class_columns(classes), np.asfortranarray(predictions).T, strict=True))
    table = pa.table({"id": pa.array(ids, pa.string()), **keys, **columns})
    write_atomic(path, lambda file: pq.write_table(table, file))


def read_predictions(path: Path, ids: Sequence[str], classes: Sequence[str]) -> Predictions:
    """Return predictions (len(ids), C) float32 in the order of `ids`; ids that the file lacks are NaN rows."""
    names = class_columns(classes)
    try:
        table = pq.read_table(path)
        rows = pd.Index(table["id"].to_pandas()).get_indexer(pd.Index(ids))
        if set(names) <= set(table.column_names):
            return _of_rows(np.stack([table[name] for name in names], axis=1), rows)
        return _read_top(table, rows, classes)
    except Exception as error:  # a damaged parquet file can raise nearly anything
        raise CompeteError(f"{path} cannot be read ({error}). Remove it and run again: it is made anew.") from error


def _of_rows(values: Array, rows: Array) -> Array:
    """Return some rows of float32 values; number -1 is a row of NaN."""
    return np.where((rows >= 0)[:, None], values[rows], np.float32(np.nan)).astype(np.float32)


def _top_columns(best: TopK, classes: Sequence[str]) -> dict[str, object]:
    names, unknown = pa.array(classes, pa.string()), ~known_rows(best)
    columns: dict[str, object] = {}
    for place in range(best.labels.shape[1]):
        columns[f"top{place + 1}"] = names.take(pa.array(best.labels[:, place], mask=unknown))
        columns[f"p{place + 1}"] = best.values[:, place]
    return columns


def _read_top(table: pa.Table, rows: Array, classes: Sequence[str]) -> TopK:
    places = range(1, 1 + sum(re.fullmatch(r"top\d+", name) is not None for name in table.column_names))
    names = pa.array(classes, pa.string())
    labels = [table[f"top{place}"] for place in places]
    numbers = [pc.index_in(column, names) for column in labels]
    if any(found.null_count > column.null_count for found, column in zip(numbers, labels, strict=True)):
        raise ValueError("it names classes that the competition does not have")
    values = _of_rows(np.stack([table[f"p{place}"] for place in places], axis=1), rows)
    best = np.stack([found.fill_null(0) for found in numbers], axis=1).astype(np.int32)
    return TopK(np.where((rows >= 0)[:, None], best[rows], 0), values, len(classes))


def label_columns(labels: Array, classes: Sequence[str]) -> dict[str, Array]:
    """Return the key columns that hold the labels: one, or one per class."""
    if labels.ndim == 1:
        return {"label": labels}
    return {f"label_{name}": labels[:, number] for number, name in enumerate(class_columns(classes))}
