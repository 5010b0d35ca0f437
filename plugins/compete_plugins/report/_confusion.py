"""Which classes are taken for which, on OOF and before post-processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._files import RunFiles

PAIRS = 10
MATRIX_CLASSES = 40


@dataclass(frozen=True)
class Pair:
    """A class that is taken for another: in how many of its rows, and in what share of them."""

    answer: str
    predicted: str
    rows: int
    share: float


@dataclass(frozen=True)
class Row:
    """One class of the matrix: its number, and of which class its rows are predicted, as shares."""

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
    from sklearn.metrics import confusion_matrix

    known = ~np.isnan(files.predictions).any(axis=1)
    predicted = files.predictions[known].argmax(axis=1)
    counts = confusion_matrix(files.answers[known], predicted, labels=np.arange(len(files.classes)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return Confusion(_pairs(counts, shares, files.classes), _matrix(counts, shares, files.classes))


def _pairs(counts: np.ndarray[Any, Any], shares: np.ndarray[Any, Any], classes: list[str]) -> list[Pair]:
    mistakes = counts.copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:PAIRS]
    cells = [np.unravel_index(flat, mistakes.shape) for flat in order]
    return [
        Pair(classes[row], classes[column], int(counts[row, column]), float(shares[row, column]))
        for row, column in cells
        if mistakes[row, column]
    ]


def _matrix(counts: np.ndarray[Any, Any], shares: np.ndarray[Any, Any], classes: list[str]) -> list[Row]:
    if len(classes) > MATRIX_CLASSES:
        return []
    return [
        Row(number, name, shares[number].tolist(), int(counts[number].sum())) for number, name in enumerate(classes)
    ]
