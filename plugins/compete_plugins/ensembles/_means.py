"""Means over members that skip the rows a member did not predict, and what kind of numbers the predictions are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from compete import ConfigError

Array = np.ndarray[Any, Any]


def predicted_rows(members: Array) -> Array:
    """Return which rows each member predicted, bool (M, N)."""
    return np.stack([np.logical_not(np.any(np.isnan(member), axis=1)) for member in members])  # M x (N,) -> (M, N)


def weighted_mean(
    members: Array, weights: Sequence[float] | Array, change: Callable[[Array], Array] | None = None
) -> Array:
    """Return the weighted mean (N, C) over members (M, N, C); each row counts only the members that predicted it.

    `change` is applied to each member's predictions first. Members are added one at a time, so that memory does not
    grow with M. A row that no member predicted is NaN.
    """
    total = np.zeros(members.shape[1:], dtype=np.result_type(members.dtype, np.float32))
    weight = np.zeros(members.shape[1])
    for member, member_weight in zip(members, weights, strict=True):
        rows = ~np.isnan(member).any(axis=1)
        values = member[rows] if change is None else change(member[rows])
        total[rows] += member_weight * values
        weight += member_weight * rows
    return divide(total, weight)


def divide(total: Array, weight: Array) -> Array:
    """Divide rows (N, C) by weights (N,); a row of weight 0 becomes NaN."""
    total /= np.where(weight > 0, weight, np.nan)[:, None]
    return total


def rows_sum_to_one(members: Array) -> bool:
    """Return whether all rows sum to one, as class probabilities do."""
    if members.shape[2] == 1:
        return False
    return all(np.allclose(member[~np.isnan(member[:, 0])].sum(axis=1), 1, atol=1e-3) for member in members)


def refuse_values(members: Array, name: str) -> None:
    """Raise `ConfigError` unless all predictions are probabilities."""
    low, high = np.fmin.reduce(members, axis=None), np.fmax.reduce(members, axis=None)
    if low < 0 or high > 1:
        raise ConfigError(
            f"[ensemble] name = '{name}' needs probabilities; the predictions range from {low:g} to {high:g}. "
            "Use 'mean' or 'weighted'."
        )


def normalise(predictions: Array) -> Array:
    """Scale rows to sum to one; NaN rows stay NaN."""
    return divide(predictions, predictions.sum(axis=1))
