"""A competition's rows, labels and folds, before any image is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compete.data.columns import TableColumns
    from compete.types import Array, Tables, Target


@dataclass(frozen=True)
class Dataset:
    """Rows, labels and folds; arrays are in the row order of `tables.train`.

    The loss gets `targets`, the metric gets `labels`: int64 (N,) or float (N, C). `folds` int64 (N,) is the fold that
    validates the row, -1 for none, and `folds_key` its key. `columns` are features beside the images. `warnings`
    report what was dropped or looks odd.
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
        """F, the number of features beside the images."""
        return len(self.columns.names) if self.columns else 0
