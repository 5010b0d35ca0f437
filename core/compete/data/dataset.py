"""A competition's rows, ready to train on, before any image is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compete.data.columns import TableColumns
    from compete.types import Array, Tables, Target


@dataclass(frozen=True)
class Dataset:
    """Rows, labels and folds.

    Row by row of `tables.train`: `targets` are what the loss sees, `labels` what is scored, int64 (N,) or float
    (N, C), and `folds` int64 (N,) the fold that validates the row, -1 for none. `columns` are the numbers beside the
    images. `folds_key` names these folds; `warnings` say what was dropped or looks odd.
    """

    tables: Tables
    target: Target
    targets: Array
    labels: Array
    columns: TableColumns | None
    folds: Array
    folds_key: str
    warnings: tuple[str, ...] = ()

    @property
    def column_count(self) -> int:
        """How many numbers a row has beside its images."""
        return len(self.columns.names) if self.columns else 0
