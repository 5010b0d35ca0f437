"""Cells that hold several labels: label sets and rankings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from compete import Count, Number, SubmissionError, Target, component, format_first, plural

from ._frames import Array, column_to_fill, fill


def check_tokens(*, min_labels: int, max_labels: int | None, **_: object) -> Iterator[str]:
    """Yield what is wrong with the limits."""
    if max_labels is not None and max_labels < min_labels:
        yield f"max_labels = {max_labels} must not be below min_labels = {min_labels}."


@component(check=check_tokens)
def tokens(
    sample: pd.DataFrame,
    predictions: pd.DataFrame,
    target: Target,
    *,
    column: str | None = None,
    separator: str | None = None,
    threshold: Number = 0.5,
    min_labels: Annotated[int, Field(ge=0, le=100_000)] = 1,
    max_labels: Count | None = None,
) -> pd.DataFrame:
    """Write each row's label set, joined in one cell.

    A label is in the set if its prediction is at least `threshold`; the 0 and 1 of the postprocessor `threshold` pass
    unchanged. The most probable labels fill up to `min_labels`, and only the most probable `max_labels` are kept.
    `separator` joins them, by default the target's, or a space; `column` is the column to fill, by default the only one
    beside the ids.
    """
    separator = separator or target.separator or " "
    sets = _label_sets(predictions.to_numpy(), threshold, min_labels, max_labels)
    names = np.array([str(name) for name in predictions.columns], dtype=object)
    refuse_separator_inside(names, separator)
    cells = [separator.join(names[chosen]) for chosen in sets]
    return fill(sample, predictions, {column_to_fill(sample, column): cells})


def top_k(
    sample: pd.DataFrame,
    predictions: pd.DataFrame,
    _target: Target,
    *,
    k: Count = 5,
    column: str | None = None,
    separator: str = " ",
    open_set: str | None = None,
    open_set_threshold: Number = 0.5,
) -> pd.DataFrame:
    """Write each row's `k` most probable labels, best first, joined in one cell.

    `open_set` is the label that stands for unknown classes, such as `new_whale`: it ranks as if its probability were
    `open_set_threshold`, or its own if that is higher. `separator` joins the labels; `column` is the column to fill, by
    default the only one beside the ids.
    """
    names = [str(name) for name in predictions.columns]
    values = predictions.to_numpy()
    if open_set is not None:
        names, values = _with_open_set(names, values, open_set, open_set_threshold)
    if k > 1:
        refuse_separator_inside(names, separator)
    cells = [separator.join(names[number] for number in row) for row in _ranking(values, k)]
    return fill(sample, predictions, {column_to_fill(sample, column): cells})


def refuse_separator_inside(names: Iterable[str], separator: str) -> None:
    """Raise `SubmissionError` for labels that hold their separator: joined, nobody could tell them apart."""
    inside = [name for name in names if separator in name]
    if inside:
        raise SubmissionError(
            f"[submission] separator = {separator!r} is inside {plural(len(inside), 'label')}: "
            f"{format_first([repr(name) for name in inside])}. Set the separator that the competition asks for."
        )


def _label_sets(predictions: Array, threshold: float, min_labels: int, max_labels: int | None) -> Array:
    """Return the labels of each row, bool (T, C)."""
    rank = np.argsort(np.argsort(-predictions, axis=1, kind="stable"), axis=1)
    most = predictions.shape[1] if max_labels is None else max_labels
    sets: Array = ((predictions >= threshold) | (rank < min_labels)) & (rank < most)
    return sets


def _with_open_set(names: list[str], values: Array, open_set: str, threshold: float) -> tuple[list[str], Array]:
    if open_set not in names:
        return [*names, open_set], np.column_stack([values, np.full(len(values), threshold)])
    place = names.index(open_set)
    raised = values.copy()
    raised[:, place] = np.maximum(raised[:, place], threshold)
    return names, raised


def _ranking(values: Array, k: int) -> Array:
    """Return each row's k best columns, best first (T, k), without sorting whole rows."""
    k = min(k, values.shape[1])
    # (T, C) -> (T, k) column numbers in table order, so that ties go to the lower number
    best = np.sort(np.argpartition(-values, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(values, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)
