"""Which classes are mistaken for which, on OOF and before post-processing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._files import RunFiles

Array = np.ndarray[Any, Any]
PAIRS = 10
MATRIX_CLASSES = 40


@dataclass(frozen=True)
class Pair:
    """A class that is mistaken for another: in how many of its rows, and in what share of them."""

    label: str
    predicted: str
    rows: int
    share: float


@dataclass(frozen=True)
class Row:
    """One class of the matrix: its number, and the shares of its rows (C,) that are predicted as each class."""

    number: int
    name: str
    shares: list[float]
    rows: int


@dataclass(frozen=True)
class Confusion:
    """The most frequent mistakes, and the matrix where it is small enough to read."""

    pairs: list[Pair]
    matrix: list[Row]


def confusion(files: RunFiles) -> Confusion | None:
    """Count mistakes over the validated rows; None where a row has no single class."""
    if files.kind != "classes":
        return None
    classes, known = files.classes, files.predicted >= 0
    labels, predicted = files.labels[known], files.predicted[known]
    # Only the non-empty cells (labels x predictions): of 65,000 classes all would be 4 billion.
    cells, rows = np.unique(labels * len(classes) + predicted, return_counts=True)
    counts = dict(zip(cells.tolist(), rows.tolist(), strict=True))
    totals = np.bincount(labels, minlength=len(classes))
    return Confusion(_pairs(counts, totals, classes), _matrix(counts, totals, classes))


def _pairs(counts: dict[int, int], totals: Array, classes: Sequence[str]) -> list[Pair]:
    mistakes = [cell for cell in counts if cell // len(classes) != cell % len(classes)]
    most = sorted(mistakes, key=lambda cell: -counts[cell])[:PAIRS]
    return [
        Pair(classes[label], classes[predicted], rows, rows / int(totals[label]))
        for cell in most
        for (label, predicted), rows in ((divmod(cell, len(classes)), counts[cell]),)
    ]


def _matrix(counts: dict[int, int], totals: Array, classes: Sequence[str]) -> list[Row]:
    if len(classes) > MATRIX_CLASSES:
        return []
    numbers = range(len(classes))
    return [
        Row(row, name, [counts.get(row * len(classes) + c, 0) / max(total, 1) for c in numbers], total)
        for row, (name, total) in enumerate(zip(classes, totals.tolist(), strict=True))
    ]
