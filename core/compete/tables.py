"""Predictions on disk: parquet with an id column and one column per class, always read back by id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compete.errors import CompeteError
from compete.store import write_atomic
from compete.topk import TopK, known_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compete.types import Array, Predictions

RESERVED = frozenset({"id", "fold", "answer"})


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
        table = _top_columns(predictions, classes)
    else:
        table = pd.DataFrame(predictions, columns=class_columns(classes))
    for position, (name, values) in enumerate({"id": ids, **keys}.items()):
        table.insert(position, name, np.asarray(values, dtype=object if name == "id" else None))
    write_atomic(path, lambda file: table.to_parquet(file, index=False))


def read_predictions(path: Path, ids: Sequence[str], classes: Sequence[str]) -> Predictions:
    """Return predictions (len(ids), C) float32 in the order of `ids`; ids that the file lacks are NaN rows."""
    try:
        table = pd.read_parquet(path).set_index("id")
    except Exception as error:  # a damaged parquet file can raise nearly anything
        raise CompeteError(f"{path} cannot be read ({error}). Remove it and run again: it is made anew.") from error
    names = class_columns(classes)
    if table.columns.isin(names).sum() == len(names):
        return table[names].reindex(list(ids)).to_numpy(np.float32)
    return _read_top(table.reindex(list(ids)), classes)


def _top_columns(best: TopK, classes: Sequence[str]) -> pd.DataFrame:
    codes = np.where(known_rows(best)[:, None], best.labels, -1)
    names = pd.CategoricalDtype(pd.Index(list(classes), dtype=object))
    columns: dict[str, object] = {}
    for place in range(best.labels.shape[1]):
        columns[f"top{place + 1}"] = pd.Categorical.from_codes(codes[:, place], dtype=names)
        columns[f"p{place + 1}"] = best.values[:, place]
    return pd.DataFrame(columns)


def _read_top(table: pd.DataFrame, classes: Sequence[str]) -> TopK:
    places = range(1, 1 + sum(re.fullmatch(r"top\d+", str(column)) is not None for column in table.columns))
    names = pd.CategoricalDtype(pd.Index(list(classes), dtype=object))
    codes = [pd.Categorical(table[f"top{place}"], dtype=names).codes for place in places]
    labels = np.stack(codes, axis=1).clip(0).astype(np.int32)
    return TopK(labels, np.stack([table[f"p{place}"] for place in places], axis=1).astype(np.float32), len(classes))


def answer_columns(answers: Array, classes: Sequence[str]) -> dict[str, Array]:
    """Return the key columns that hold the answers: one, or one per class."""
    if answers.ndim == 1:
        return {"answer": answers}
    return {f"answer_{name}": answers[:, number] for number, name in enumerate(class_columns(classes))}
