"""Search for the numbers that score best on OOF."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from compete import Metric

Array = np.ndarray[Any, Any]
Step = Callable[[Array], Array]

ROUNDS = 5  # of coordinate search; the second rarely changes anything


def validated(oof: Array, y_true: Array) -> tuple[Array, Array]:
    """Return the rows that were validated, and their labels."""
    rows = np.logical_not(np.any(np.isnan(oof), axis=1))
    return oof[rows], y_true[rows]


def on_predicted_rows(step: Step) -> Step:
    """Apply a step to the rows without NaN, and leave the others NaN."""

    def apply(predictions: Array) -> Array:
        missing = np.any(np.isnan(predictions), axis=1)
        if not missing.any():
            return step(predictions)
        found = step(predictions[~missing])
        whole = np.full((len(predictions), found.shape[1]), np.nan)
        whole[~missing] = found
        return whole

    return apply


def best_of(candidates: Iterable[float], start: float, score: Callable[[float], float], metric: Metric) -> float:
    """Return the candidate with the best score; `start` wins ties, then the first."""
    best, best_score = start, score(start)
    for candidate in candidates:
        found = score(candidate)
        if metric.better(found, best_score):
            best, best_score = candidate, found
    return best


def coordinate_search(
    start: Array, candidates: Callable[[Array, int], Array], score: Callable[[Array], float], metric: Metric
) -> Array:
    """Improve a vector one coordinate at a time, in turns, until nothing changes."""
    best = start.copy()

    def score_with(place: int) -> Callable[[float], float]:
        return lambda number: score(np.concatenate([best[:place], [number], best[place + 1 :]]))

    for _ in range(ROUNDS):
        before = best.copy()
        for place in range(len(best)):
            best[place] = best_of(candidates(best, place), best[place], score_with(place), metric)
        if np.array_equal(best, before):
            break
    return best
