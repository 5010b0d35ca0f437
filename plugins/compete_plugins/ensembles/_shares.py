"""Sums over members that skip what a member did not see, and what kind of numbers the predictions are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from compete import ConfigError

Array = np.ndarray[Any, Any]


def seen_rows(members: Array) -> Array:
    """Return which rows each member predicted, bool (M, N)."""
    return np.stack([np.logical_not(np.any(np.isnan(member), axis=1)) for member in members])


def weighted_mean(
    members: Array, weights: Sequence[float] | Array, change: Callable[[Array], Array] | None = None
) -> Array:
    """Return the mean over members (N, C) with weights (M,); each row's weights are those of its members.

    `change` is applied to each member's predictions first. One member is worked on at a time, so that the
    memory needed does not grow with M. A row that no member saw is NaN.
    """
    total = np.zeros(members.shape[1:], dtype=np.result_type(members.dtype, np.float32))
    weight = np.zeros(members.shape[1])
    for member, share in zip(members, weights, strict=True):
        seen = ~np.isnan(member).any(axis=1)
        values = member[seen] if change is None else change(member[seen])
        total[seen] += share * values
        weight += share * seen
    return divide(total, weight)


def divide(total: Array, weight: Array) -> Array:
    """Divide rows (N, C) by weights (N,); a row without weight becomes NaN."""
    total /= np.where(weight > 0, weight, np.nan)[:, None]
    return total


def are_shares(members: Array) -> bool:
    """Return whether all rows sum to one, as class probabilities do."""
    if members.shape[2] == 1:
        return False
    return all(np.allclose(member[~np.isnan(member[:, 0])].sum(axis=1), 1, atol=1e-3) for member in members)


def refuse_values(members: Array, name: str) -> None:
    """Raise `ConfigError` unless all predictions are probabilities."""
    low, high = np.fmin.reduce(members, axis=None), np.fmax.reduce(members, axis=None)
    if low < 0 or high > 1:
        raise ConfigError(
            f"[ensemble] name = '{name}' needs probabilities; the predictions run from {low:g} to {high:g}. "
            "Use 'mean' or 'weighted'."
        )


def to_shares(predictions: Array) -> Array:
    """Scale rows to sum to one; NaN rows stay NaN."""
    return divide(predictions, predictions.sum(axis=1))
