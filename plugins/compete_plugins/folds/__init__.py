"""Folds: which fold validates each row, with groups kept whole and classes spread evenly.

The same seed always gives the same folds. Rows that show one image stay in one fold, but with `fixed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from compete import DataError, format_first, hookimpl, plural

from ._deal import deal_groups, deal_rows, untrained_rows
from ._strata import (
    GROUPS,
    Array,
    group_numbers,
    groups_if_any,
    indicator,
    is_label_sets,
    linked,
    one_class_each,
    refuse_too_few,
    require_column,
    strata,
    value_ranges,
)

MOST_FOLDS = 10_000


def kfold(train: pd.DataFrame, _labels: Array, seed: int, *, n: Annotated[int, Field(ge=2, le=100)] = 5) -> Array:
    """Split rows at random into `n` folds of equal size, regardless of labels and groups."""
    return _rows(train, np.zeros(len(train), dtype=np.int64), _equal(n), seed)


def stratified(train: pd.DataFrame, labels: Array, seed: int, *, n: Annotated[int, Field(ge=2, le=100)] = 5) -> Array:
    """Split rows into `n` folds with equal shares of every class.

    A class with fewer rows than folds reaches as many folds as it has rows. Shares of votes count as their largest
    class. Groups are ignored: use `stratified_group` where people or places repeat.
    """
    return _rows(train, one_class_each(labels, "stratified"), _equal(n), seed)


def group(
    train: pd.DataFrame,
    _labels: Array,
    seed: int,
    *,
    n: Annotated[int, Field(ge=2, le=100)] = 5,
    column: str = "group",
) -> Array:
    """Split whole groups into `n` folds of nearly equal size.

    `column` names the group of each row; the rows of a group are validated in the same fold.
    """
    one_class = np.zeros(len(train), dtype=np.int64)
    return _groups(train, one_class, group_numbers(train, column), _equal(n), seed)


def stratified_group(
    train: pd.DataFrame, labels: Array, seed: int, *, n: Annotated[int, Field(ge=2, le=100)] = 5, column: str = "group"
) -> Array:
    """Split whole groups into `n` folds with nearly equal shares of every class.

    `column` names the group of each row; the rows of a group are validated in the same fold. Large groups and those
    with rare classes are placed first.
    """
    classes = one_class_each(labels, "stratified_group")
    return _groups(train, classes, group_numbers(train, column), _equal(n), seed)


def multilabel_stratified(
    train: pd.DataFrame, labels: Array, seed: int, *, n: Annotated[int, Field(ge=2, le=100)] = 5, column: str = "group"
) -> Array:
    """Split label sets into `n` folds with nearly equal shares of every label.

    Rows with rare labels are placed first (iterative stratification, Sechidis et al. 2011). Where the table has the
    column `column`, its groups stay whole.
    """
    return _groups(train, labels, groups_if_any(train, column), _equal(n), seed)


def binned(
    train: pd.DataFrame,
    labels: Array,
    seed: int,
    *,
    n: Annotated[int, Field(ge=2, le=100)] = 5,
    bins: Annotated[int, Field(ge=2, le=10_000)] = 10,
    column: str = "group",
) -> Array:
    """Split rows into `n` folds in which a number to predict is distributed alike.

    The number is cut into `bins` ranges with equally many rows, and the ranges are stratified. Where the table has the
    column `column`, its groups stay whole.
    """
    ranges = value_ranges(labels.reshape(len(labels), -1)[:, 0], bins)
    return _stratify(train, ranges, groups_if_any(train, column), _equal(n), seed)


def fixed(train: pd.DataFrame, _labels: Array, _seed: int, *, column: str = "fold") -> Array:
    """Take the folds from the table.

    `column` holds the number of the fold that validates the row, from 0; -1 or an empty cell means that the row only
    ever trains.
    """
    require_column(train, column)
    cells = train[column].astype(str).where(train[column].notna(), "").str.strip()
    values = np.asarray(pd.to_numeric(cells.where(cells != "", "-1"), errors="coerce"), dtype=np.float64)
    wrong = ~((values >= -1) & (values <= MOST_FOLDS) & (np.floor(values) == values))
    if wrong.any():
        raise DataError(
            f"[folds] column '{column}' holds '{cells[wrong].iloc[0]}', which is not a fold number, "
            f"in {plural(int(wrong.sum()), 'row')}: id {format_first(train['id'][wrong].tolist())}."
        )
    return values.astype(np.int64)


def holdout(
    train: pd.DataFrame,
    labels: Array,
    seed: int,
    *,
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    column: str = "group",
) -> Array:
    """Validate a share of the rows once, as fold 0; all others only train.

    `share` is the share of every class that validates; the only row of a class trains. Where the table has the column
    `column`, its groups stay whole.
    """
    groups = groups_if_any(train, column)
    validated = _stratify(train, labels, groups, (share, 1 - share), seed) == 0
    if groups is None and linked(train, None) is None and not is_label_sets(labels):
        validated[untrained_rows(strata(labels), validated)] = False
    if not validated.any():
        raise DataError(f"[folds] share = {share:g}: too small for {plural(len(train), 'row')}, none would validate.")
    return np.where(validated, 0, -1).astype(np.int64)


def auto(
    train: pd.DataFrame, labels: Array, seed: int, *, n: Annotated[int, Field(ge=2, le=100)] = 5, column: str = "group"
) -> Array:
    """Choose the split by the table: groups stay whole if there are any, and labels are stratified.

    With the column `column` this is `stratified_group`, without it `stratified`; label sets are split as by
    `multilabel_stratified`, numbers as by `binned`.
    """
    return _stratify(train, labels, groups_if_any(train, column), _equal(n), seed)


@hookimpl
def register_folds() -> dict[str, Callable[..., Array]]:
    """Offer the bundled splits."""
    return {
        "auto": auto,
        "kfold": kfold,
        "stratified": stratified,
        "group": group,
        "stratified_group": stratified_group,
        "multilabel_stratified": multilabel_stratified,
        "binned": binned,
        "fixed": fixed,
        "holdout": holdout,
    }


def _equal(n: int) -> list[float]:
    return [1 / n] * n


def _stratify(train: pd.DataFrame, labels: Array, groups: Array | None, shares: Sequence[float], seed: int) -> Array:
    """Stratify by the kind of labels, keeping groups whole if there are any."""
    if groups is None and not is_label_sets(labels):
        return _rows(train, strata(labels), shares, seed)
    return _groups(train, labels, groups, shares, seed)


def _rows(train: pd.DataFrame, classes: Array, shares: Sequence[float], seed: int) -> Array:
    """Deal rows; of those that show one image the first is dealt, and the others follow it."""
    together = linked(train, None)
    if together is None:
        refuse_too_few(len(shares), len(classes), "rows")
        return deal_rows(classes, shares, seed)
    first, others = np.unique(together, return_index=True, return_inverse=True)[1:]
    refuse_too_few(len(shares), len(first), "images")
    return deal_rows(classes[first], shares, seed)[others]  # (images,) -> (N,)


def _groups(train: pd.DataFrame, labels: Array, groups: Array | None, shares: Sequence[float], seed: int) -> Array:
    together = linked(train, groups)
    alone = np.arange(len(labels)) if together is None else together
    refuse_too_few(len(shares), len(np.unique(alone)), "rows" if together is None else GROUPS)
    return deal_groups(alone, indicator(labels), shares, seed)
