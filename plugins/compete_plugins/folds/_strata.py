"""Strata, of which every fold should get its share: classes, label sets or ranges of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compete import ConfigError, DataError, did_you_mean, format_first, format_list, linked_rows, plural

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = np.ndarray[Any, Any]
GROUPS = "groups"


def is_label_sets(labels: Array) -> bool:
    """Return whether the labels are 0/1 label sets (N, C), of which a row may have none or several."""
    if labels.ndim == 1 or labels.shape[1] == 1:
        return False
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) != 1).any())


def strata(labels: Array, bins: int = 10) -> Array:
    """Return one stratum per row (N,): its class, the class of its largest share, or the range of its value."""
    if labels.ndim == 1:
        return np.unique(labels, return_inverse=True)[1]
    if labels.shape[1] == 1:
        return value_ranges(labels[:, 0], bins)
    largest: Array = labels.argmax(axis=1)
    return largest


def one_class_each(labels: Array, name: str) -> Array:
    """Return the strata (N,). Raise `ConfigError` for label sets and values."""
    if is_label_sets(labels):
        raise ConfigError(
            f"[folds] name = '{name}': needs one class per row, not label sets. Use 'multilabel_stratified'."
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        raise ConfigError(f"[folds] name = '{name}': needs one class per row, not values. Use 'binned'.")
    return strata(labels)


def value_ranges(values: Array, bins: int) -> Array:
    """Return the quantile range of each value (N,); equal values share one."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.digitize(values, edges).astype(np.int64)


def indicator(labels: Array) -> csr_matrix:
    """Return the stratum or the labels of each row, sparse (N, C)."""
    from scipy.sparse import csr_matrix

    if is_label_sets(labels):
        return csr_matrix(labels, dtype=np.float64)
    classes = strata(labels)
    return csr_matrix((np.ones(len(classes)), (np.arange(len(classes)), classes)))


def require_column(train: pd.DataFrame, column: str) -> None:
    """Raise `DataError` with the nearest name if the table lacks a column."""
    if column not in train:
        known = [str(name) for name in train.columns]
        own = [name for name in known if name not in ("id", "image")]  # every dataset makes these two
        raise DataError(
            f"[folds] column = '{column}': unknown column of the train table.{did_you_mean(column, known)} "
            f"Columns: {format_list(own) or 'none'}."
        )


def group_numbers(train: pd.DataFrame, column: str) -> Array:
    """Return the number of each row's group (N,). Raise `DataError` for a missing column or an empty cell."""
    require_column(train, column)
    cells = train[column]
    empty = np.asarray(cells.isna() | (cells.astype(str).str.strip() == ""))
    if empty.any():
        ids = format_first(train["id"][empty].tolist())
        raise DataError(f"[folds] column '{column}' is empty in {plural(int(empty.sum()), 'row')}: id {ids}.")
    return pd.factorize(cells)[0].astype(np.int64)


def groups_if_any(train: pd.DataFrame, column: str) -> Array | None:
    """Return the groups (N,) if the table has them, else None."""
    return group_numbers(train, column) if column in train else None


def linked(train: pd.DataFrame, groups: Array | None) -> Array | None:
    """Return the groups (N,) in which the rows of one image are together; None if every row is alone."""
    found = linked_rows(train["image"].tolist(), groups) if "image" in train else None
    return groups if found is None else found


def refuse_too_few(n: int, units: int, what: str) -> None:
    """Raise `DataError` for fewer rows or groups than folds."""
    if units < n:
        hint = f" Set [folds] n = {units}." if units > 1 else ""
        if what == GROUPS:
            hint += " If the column 'group' should not keep rows together: [dataset] drop = [\"group\"]."
        raise DataError(f"[folds] n = {n}: the train table has only {plural(units, what[:-1])}.{hint}")
