"""Predictions on disk: parquet with an id column and one column per class, always read back by id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compete.errors import CompeteError
from compete.store import write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compete.types import Array

RESERVED = frozenset({"id", "fold", "answer"})


def class_columns(classes: Sequence[str]) -> list[str]:
    """Return the column name of each class; one that is called like a key column is told apart."""
    return [f"class {name}" if name in RESERVED else str(name) for name in classes]


def write_predictions(
    path: Path, ids: Sequence[str], predictions: Array, classes: Sequence[str], **keys: Array
) -> None:
    """Write predictions (R, C) with their ids, and key columns such as the fold, atomically."""
    table = pd.DataFrame(predictions, columns=class_columns(classes))
    for position, (name, values) in enumerate({"id": ids, **keys}.items()):
        table.insert(position, name, np.asarray(values))
    write_atomic(path, lambda file: table.to_parquet(file, index=False))


def read_predictions(path: Path, ids: Sequence[str], classes: Sequence[str]) -> Array:
    """Return predictions (len(ids), C) float32 in the order of `ids`; ids that the file lacks are NaN rows."""
    try:
        table = pd.read_parquet(path).set_index("id")
    except Exception as error:  # a damaged parquet file can raise nearly anything
        raise CompeteError(f"{path} cannot be read ({error}). Remove it and run again: it is made anew.") from error
    return table[class_columns(classes)].reindex(list(ids)).to_numpy(np.float32)


def answer_columns(answers: Array, classes: Sequence[str]) -> dict[str, Array]:
    """Return the key columns that hold the answers: one, or one per class."""
    if answers.ndim == 1:
        return {"answer": answers}
    return {f"answer_{name}": answers[:, number] for number, name in enumerate(class_columns(classes))}
