"""Deal rows or groups to folds so that every fold gets its share of every class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = np.ndarray[Any, Any]


def deal_rows(strata: Array, shares: Sequence[float], seed: int) -> Array:
    """Return folds (N,) of single rows, each stratum spread over the folds to within one row.

    Rows are shuffled, sorted by stratum and dealt like cards, in one pass over all strata: fold sizes differ by at most
    one, and a class with fewer rows than folds reaches as many folds as it has rows.
    """
    shuffled = np.random.default_rng(seed).permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    folds = np.empty(len(strata), dtype=np.int64)
    folds[order] = _card_sequence(len(strata), shares)
    return folds


def untrained_rows(strata: Array, validated: Array) -> Array:
    """Return one row of each stratum whose rows would all validate, and none train."""
    lost = np.flatnonzero(validated & ~np.isin(strata, strata[~validated]))
    return lost[np.unique(strata[lost], return_index=True)[1]]


def deal_groups(groups: Array, labels: csr_matrix, shares: Sequence[float], seed: int) -> Array:
    """Return folds (N,) in which each group stays whole and every class is spread as its rows allow.

    `labels` (N, C) marks the classes of each row; the number of rows counts as one more class. Groups are dealt one by
    one, the heaviest first, each to the fold that has least of what the group holds. Weight and fill are measured in
    shares of each class, so that rare classes count as much as frequent ones: iterative stratification (Sechidis et
    al. 2011) for whole groups.
    """
    from scipy.sparse import csr_matrix, hstack

    names, members = np.unique(groups, return_inverse=True)
    rows = len(groups)
    belongs = csr_matrix((np.ones(rows), (members, np.arange(rows))), shape=(len(names), rows))
    counts = hstack([belongs @ labels, belongs.sum(axis=1)], format="csr")  # (G, N) @ (N, C) -> (G, C), then (G, C + 1)
    return _deal(counts, shares, np.random.default_rng(seed))[members]  # (G,) -> (N,)


def _deal(counts: csr_matrix, shares: Sequence[float], rng: np.random.Generator) -> Array:
    """Return the fold of each group (G,), given its rows per class and in total (G, C + 1)."""
    totals = np.asarray(counts.sum(axis=0)).ravel()
    share = np.reshape(shares, (-1, 1))
    loads = np.zeros((len(shares), len(totals)))  # rows of each class in each fold
    folds = np.empty(counts.shape[0], dtype=np.int64)
    for group in _heaviest_first(counts, totals, rng):
        entries = slice(counts.indptr[group], counts.indptr[group + 1])
        classes, rows = counts.indices[entries], counts.data[entries]
        # The group adds twice this to the sum of (load / total) ** 2 / share, whose minimum is at even loads.
        cost = ((loads[:, classes] + rows / 2) / share) @ (rows / totals[classes] ** 2)
        # Equal up to rounding counts as equal, so that every machine draws among the same folds.
        folds[group] = rng.choice(np.flatnonzero(cost <= cost.min() * (1 + 1e-9)))
        loads[folds[group], classes] += rows
    return folds


def _heaviest_first(counts: csr_matrix, totals: Array, rng: np.random.Generator) -> Array:
    weights = np.add.reduceat((counts.data / totals[counts.indices]) ** 2, counts.indptr[:-1])
    # Groups of about the same weight stay in random order: a full sort would give every seed the same folds.
    return np.lexsort((rng.permutation(len(weights)), -np.floor(np.log2(weights))))


def _card_sequence(rows: int, shares: Sequence[float]) -> Array:
    """Return the fold of each card dealt, every fold evenly spaced by its share."""
    if len(set(shares)) == 1:
        return np.arange(rows) % len(shares)
    reached = np.floor(np.arange(rows + 1) * shares[0] + 0.5)
    return np.where(np.diff(reached) > 0, 0, 1)
