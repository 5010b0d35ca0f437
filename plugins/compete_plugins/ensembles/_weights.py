"""Fit the members' weights on OOF predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from compete import Metric

from ._means import predicted_rows

Array = np.ndarray[Any, Any]

# Every member keeps this much weight while others are chosen, so that a row that only unchosen members predicted
# still has a blend to score.
LEAST = 1e-6


def weights_of_shared_rows(oof: Array, labels: Array, fit: Callable[[list[Array], Array], Array]) -> Array:
    """Return the weights (M,) of a blend, summing to one; `fit` gives those of some members, of mean one.

    Members are compared only on rows they share. Those of different folds share none, so each set of members
    connected through rows is weighted by itself and keeps its part of the whole.
    """
    predicted = predicted_rows(oof)
    weights = np.ones(len(oof))
    for members in _connected(predicted):
        rows = predicted[members].any(axis=0)
        if len(members) > 1 and rows.any():
            # A slice gives views; a mask would copy every member's predictions.
            part = slice(None) if rows.all() else rows
            weights[members] = fit([oof[m, part] for m in members], labels[part])
    return weights / len(oof)


def _connected(predicted: Array) -> list[Array]:
    """Return sets of member numbers, each connected through rows that two of them predicted."""
    from scipy.sparse.csgraph import connected_components

    shared = predicted.astype(np.float32) @ predicted.T.astype(np.float32)  # (M, N) @ (N, M) -> (M, M)
    count, owner = connected_components(shared > 0, directed=False)
    return [np.flatnonzero(owner == number) for number in range(count)]


def greedy(members: list[Array], labels: Array, metric: Metric, rounds: int) -> Array:
    """Return the members' weights, of mean one, by greedy selection with replacement (Caruana et al. 2004).

    The member that helps the blend most is added, again and again; the best blend on the way wins if it beats equal
    weights.
    """
    equal = _Blend.of(members)
    best, best_score = np.ones(len(members)), metric.score(labels, equal.mean())
    chosen, blend = np.full(len(members), LEAST), equal.times(LEAST)
    for _ in range(rounds):
        scores = [metric.score(labels, blend.plus(member).mean()) for member in members]
        winner = _best(scores, metric)
        chosen[winner] += 1
        blend = blend.plus(members[winner])
        if metric.better(scores[winner], best_score):
            best, best_score = chosen.copy(), scores[winner]
    return np.asarray(best / best.mean())


def _best(scores: list[float], metric: Metric) -> int:
    winner = 0
    for number, score in enumerate(scores):
        if metric.better(score, scores[winner]):
            winner = number
    return winner


@dataclass(frozen=True)
class _Blend:
    """A weighted sum of members (N, C) and the weight that each row has so far (N,)."""

    total: Array
    weight: Array

    @classmethod
    def of(cls, members: list[Array]) -> _Blend:
        blend = cls(np.zeros(members[0].shape), np.zeros(len(members[0])))
        for member in members:
            blend = blend.plus(member)
        return blend

    def plus(self, member: Array) -> _Blend:
        rows = np.logical_not(np.any(np.isnan(member), axis=1))
        return _Blend(self.total + np.where(rows[:, None], member, 0), self.weight + rows)

    def times(self, factor: float) -> _Blend:
        return _Blend(self.total * factor, self.weight * factor)

    def mean(self) -> Array:
        return self.total / self.weight[:, None]
