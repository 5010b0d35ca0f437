"""Fit weights on the simplex that minimise a smooth loss on OOF."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SMALLEST = 1e-7  # a probability below this costs no more


def simplex_weights(members: list[Array], labels: Array) -> Array:
    """Return the weights (m,) of mean one that minimise log loss, or for values the squared error scaled by variance.

    `members` are predictions m x (N, C). Both losses are convex in the weights, so the start does not matter.
    """
    from scipy.optimize import minimize

    stacked = np.stack([member.astype(np.float64) for member in members])  # m x (N, C) -> (m, N, C)
    hits = _probability_of_truth(stacked, labels)
    if hits is None:
        wanted = labels.reshape(len(labels), -1).astype(np.float64)  # (N,) or (N, C) -> (N, C)
        scale = max(float(wanted.var()), 1e-30)

        def loss(weights: Array) -> tuple[float, Array]:
            error = np.tensordot(weights, stacked, 1) - wanted
            slopes = 2 * np.array([(error * member).mean() for member in stacked]) / scale
            return float((error**2).mean()) / scale, slopes
    else:

        def loss(weights: Array) -> tuple[float, Array]:
            mixed = np.clip(weights @ hits, SMALLEST, None)  # (m,) @ (m, n) -> (n,)
            return float(-np.log(mixed).mean()), -(hits / mixed).mean(axis=1)

    count = len(members)
    found = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    )
    weights = np.clip(found.x, 0, None)
    return np.asarray(weights * count / weights.sum())


def _probability_of_truth(members: Array, labels: Array) -> Array | None:
    """Return what each member gave each true decision, (m, n): one a row, or one for each output; None for values."""
    if members.min() < 0 or members.max() > 1:
        return None
    if labels.ndim == 1 and members.shape[2] > 1 and np.issubdtype(labels.dtype, np.integer):
        return np.asarray(members[:, np.arange(len(labels)), labels])
    if not np.isin(labels, (0, 1)).all():
        return None
    true = labels.reshape(1, len(labels), -1)  # (N,) or (N, C) -> (1, N, C)
    return np.where(true == 1, members, 1 - members).reshape(len(members), -1)
