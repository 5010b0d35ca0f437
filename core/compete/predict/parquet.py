"""Predictions on disk: Parquet with an id column and a column per class, always read back by id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """Return the column name of each class; one named like a key column gets a prefix."""
    return [f"class {name}" if name in RESERVED else str(name) for name in classes]


def write_predictions(
    path: Path, ids: Sequence[str], predictions: Predictions, classes: Sequence[str], **keys: Array
) -> None:
    """Write predictions (R, C) with their ids, and key columns such as the fold, atomically.

    They have a column per class or, if only the best k classes are kept, the columns `top1`, `p1` to `topk`, `pk`.
    """
    columns = prediction_columns(predictions, classes)
    table = pa.table({"id": pa.array(ids, pa.string()), **keys, **columns})
    write_atomic(path, lambda file: pq.write_table(table, file))


def prediction_columns(predictions: Predictions, classes: Sequence[str]) -> dict[str, Any]:
    """Return the columns of predictions (R, C), each (R,)."""
    if isinstance(predictions, TopK):
        return _top_columns(predictions, classes)
    return dict(zip(class_columns(classes), np.asfortranarray(predictions).T, strict=True))


def read_predictions(path: Path, ids: Sequence[str], classes: Sequence[str]) -> Predictions:
    """Return predictions float32 (len(ids), C) in the order of `ids`; ids that the file lacks are NaN rows."""
    names = class_columns(classes)
    try:
        table = pq.read_table(path)
        rows = pd.Index(table["id"].to_pandas()).get_indexer(pd.Index(ids))
        if set(names) <= set(table.column_names):
            return _of_rows(np.stack([table[name] for name in names], axis=1), rows)
        return _read_top(table, rows, classes)
    except Exception as error:  # a damaged parquet file can raise nearly anything
        raise CompeteError(
            f"{path} cannot be read ({error}). Remove it and run again: it is predicted again."
        ) from error


def _of_rows(values: Array, rows: Array) -> Array:
    """Gather rows of values (R, W): -> float32 (len(rows), W); row -1 is NaN."""
    return np.where((rows >= 0)[:, None], values[rows], np.float32(np.nan)).astype(np.float32)


def _top_columns(best: TopK, classes: Sequence[str]) -> dict[str, object]:
    names, unknown = pa.array(classes, pa.string()), ~known_rows(best)
    columns: dict[str, object] = {}
    for rank in range(best.labels.shape[1]):
        columns[f"top{rank + 1}"] = names.take(pa.array(best.labels[:, rank], mask=unknown))
        columns[f"p{rank + 1}"] = best.values[:, rank]
    return columns


def _read_top(table: pa.Table, rows: Array, classes: Sequence[str]) -> TopK:
    ranks = range(1, 1 + sum(re.fullmatch(r"top\d+", name) is not None for name in table.column_names))
    names = pa.array(classes, pa.string())
    labels = [table[f"top{rank}"] for rank in ranks]
    numbers = [pc.index_in(column, names) for column in labels]
    if any(found.null_count > column.null_count for found, column in zip(numbers, labels, strict=True)):
        raise ValueError("it has classes that the competition lacks")
    values = _of_rows(np.stack([table[f"p{rank}"] for rank in ranks], axis=1), rows)  # k x (R,) -> (R, k)
    best = np.stack([found.fill_null(0) for found in numbers], axis=1).astype(np.int32)
    return TopK(np.where((rows >= 0)[:, None], best[rows], 0), values, len(classes))


def label_columns(labels: Array, classes: Sequence[str]) -> dict[str, Array]:
    """Return the key columns for labels (N,) or (N, C): one, or one per class."""
    if labels.ndim == 1:
        return {"label": labels}
    return {f"label_{name}": labels[:, number] for number, name in enumerate(class_columns(classes))}
