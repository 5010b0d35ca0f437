"""Bring `y_true` and predictions into the shape a metric needs, or explain why the metric does not fit them."""

from __future__ import annotations

from typing import Any

import numpy as np

from compete import CompeteError, ConfigError, TopK, plural, top_labels

Array = np.ndarray[Any, Any]


def finite(y_true: Array, predictions: Array) -> Array:
    """Return predictions as (N, C). Raise `CompeteError` for NaN, infinity, no rows, or another number of labels."""
    columns = predictions[:, None] if predictions.ndim == 1 else predictions  # (N,) -> (N, 1)
    if len(y_true) != len(columns):
        raise CompeteError(
            f"cannot score: {plural(len(y_true), 'label')}, but {plural(len(columns), 'row')} of predictions."
        )
    if len(columns) == 0:
        raise CompeteError("cannot score: no rows.")
    usable = np.isfinite(columns).all(axis=1)
    if not usable.all():
        raise CompeteError(
            f"cannot score: {int((~usable).sum()):,} of {plural(len(columns), 'row')} of predictions hold NaN or "
            f"infinity, first in row {int(usable.argmin())}."
        )
    return columns


def class_numbers(y_true: Array) -> Array:
    """Return one class number per row, int64 (N,); of soft labels, the class with the largest share."""
    numbers: Array
    if y_true.ndim == 2 and y_true.shape[1] > 1:
        _refuse_label_sets(y_true)
        numbers = y_true.argmax(axis=1)  # (N, C) -> (N,)
        return numbers
    if (y_true % 1 != 0).any():
        raise misfit("scores classes, but the target is a number. Use 'rmse'.")
    numbers = y_true.reshape(-1).astype(np.int64)
    return numbers


def chosen_classes(predictions: Array) -> Array:
    """Return the predicted class, int64 (N,): the most probable one, or the nearest level of a single column."""
    several = predictions.shape[1] > 1
    choice = predictions.argmax(axis=1) if several else np.floor(predictions[:, 0] + 0.5).clip(min=0)
    numbers: Array = choice.astype(np.int64)
    return numbers


def class_pairs(y_true: Array, predictions: Array | TopK) -> tuple[Array, Array]:
    """Return the true and the predicted class numbers, both int64 (N,)."""
    if isinstance(predictions, TopK):
        finite(y_true, predictions.values)
        return class_numbers(y_true), top_labels(predictions, 1)[:, 0]
    return class_numbers(y_true), chosen_classes(finite(y_true, predictions))


def known_classes(y_true: Array, columns: int) -> Array:
    """Return class numbers (N,) that all have a column of their own."""
    numbers = class_numbers(y_true)
    if numbers.max() >= columns:
        raise misfit(
            f"needs a column for each class; class {numbers.max()} is beyond the {columns} that are predicted."
        )
    return numbers


def class_shares(y_true: Array, columns: int) -> Array:
    """Return the true share of each class, float64 (N, C), rows summing to one; class numbers become one-hot."""
    if y_true.ndim == 1 or y_true.shape[1] == 1:
        return indicators(class_numbers(y_true), columns).astype(np.float64)
    _same_columns(y_true, columns)
    _refuse_label_sets(y_true)
    normalised: Array = y_true / y_true.sum(axis=1, keepdims=True, dtype=np.float64)
    return normalised


def indicators(y_true: Array, columns: int) -> Array:
    """Return which labels are true, bool (N, C); class numbers become one-hot, and a single column is class 1."""
    positive: Array
    if y_true.ndim == 2:
        _same_columns(y_true, columns)
        positive = y_true >= 0.5
    else:
        labels = np.arange(columns) if columns > 1 else np.array([1])
        # (N, 1) == (C,) -> (N, C)
        positive = known_classes(y_true, max(columns, 2))[:, None] == labels
    return positive


def binary(y_true: Array, predictions: Array) -> tuple[Array, Array]:
    """Return whether class 1 is true, bool (N,), and its predicted score, float (N,), of a target with two classes."""
    columns = finite(y_true, predictions)
    if columns.shape[1] > 2:
        raise misfit(f"is for two classes; there are {columns.shape[1]} columns of predictions.")
    numbers = class_numbers(y_true)
    if numbers.max() > 1:
        raise misfit(f"is for two classes; the labels hold class {numbers.max()}.")
    return numbers == 1, columns[:, -1]


def probabilities(y_true: Array, predictions: Array) -> Array:
    """Return float64 (N, C), C at least 2, rows summing to one; a single column is the probability of class 1."""
    columns = in_unit_range(finite(y_true, predictions))
    if columns.shape[1] == 1:
        return np.concatenate([1 - columns, columns], axis=1)  # (N, 1) -> (N, 2)
    sums = columns.sum(axis=1, keepdims=True)
    if sums.min() == 0:
        raise CompeteError(f"cannot score: the probabilities of row {int(sums.argmin())} sum to zero.")
    normalised: Array = columns / sums
    return normalised


def in_unit_range(predictions: Array) -> Array:
    """Return float64 predictions in 0..1; rounding errors beyond are clipped."""
    low, high = float(predictions.min()), float(predictions.max())
    if low < -1e-6 or high > 1 + 1e-6:
        raise misfit(f"needs probabilities; the predictions range from {low:g} to {high:g}.")
    return predictions.astype(np.float64).clip(0, 1)


def misfit(why: str) -> ConfigError:
    """Return the error for a metric that cannot score this target."""
    return ConfigError(f"[metric] the metric {why}")


def _same_columns(y_true: Array, columns: int) -> None:
    if y_true.shape[1] != columns:
        raise misfit(f"needs one column for each of the {y_true.shape[1]} labels, but {columns} are predicted.")


def _refuse_label_sets(y_true: Array) -> None:
    off = int((np.abs(y_true.sum(axis=1) - 1) > 1e-3).sum())
    if off:
        raise misfit(
            f"needs one class, or soft labels that sum to one, per row; {off:,} of {plural(len(y_true), 'row')} hold "
            "several labels or none. Use 'label_set_f1', 'mean_column_auc' or 'multilabel_log_loss'."
        )
