"""Metrics of class numbers.

Counted here and not by scikit-learn, because blends and cut points are searched by scoring thousands of times.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from compete import Metric, TopK, top_labels

from ._arrays import Array, finite, known_classes, truth_and_choice


def accuracy() -> Metric:
    """Share of rows whose most probable class is the true one."""
    return Metric(_accuracy, top=1)


def error() -> Metric:
    """Share of rows whose most probable class is not the true one (top-1 error); lower is better."""
    return Metric(_error, higher_is_better=False, top=1)


def macro_f1() -> Metric:
    """F1 of each class, averaged over the classes seen in the y_true or the predictions.

    One stray prediction of a class that the y_true lack adds a zero to the average, as in scikit-learn.
    """
    return Metric(_macro_f1, top=1)


def micro_f1() -> Metric:
    """F1 of all rows together, which for one class per row is the accuracy; for label sets see `label_set_f1`."""
    return Metric(_accuracy, top=1)


def weighted_f1() -> Metric:
    """F1 of each class, averaged with the classes' true rows as weights."""
    return Metric(_weighted_f1, top=1)


def kappa(*, weights: Literal["quadratic", "linear", "none"] = "quadratic") -> Metric:
    """Cohen's kappa: agreement beyond chance, 1 is perfect, 0 is chance.

    `weights` says how a disagreement counts: by its squared distance, its distance, or always the same. A
    single column of predictions is rounded to the nearest level. The score is 0 where y_true and predictions
    are all of one class, so that no agreement beyond chance can be seen.
    """
    return Metric(partial(_kappa, distance=_DISTANCES[weights]), top=1)


def map_at_k(*, k: Annotated[int, Field(ge=1)] = 5) -> Metric:
    """Mean average precision of the `k` most probable classes, with one true class: 1 / rank, or 0 below `k`.

    Of equal probabilities the class with the lower number ranks first.
    """
    return Metric(partial(_map_at_k, k=k), top=k)


def _accuracy(y_true: Array, predictions: Array | TopK) -> float:
    truth, choice = truth_and_choice(y_true, predictions)
    return float(np.mean(truth == choice))


def _error(y_true: Array, predictions: Array | TopK) -> float:
    return 1 - _accuracy(y_true, predictions)


def _macro_f1(y_true: Array, predictions: Array | TopK) -> float:
    f1, _ = _f1_per_class(y_true, predictions)
    return float(f1.mean())


def _weighted_f1(y_true: Array, predictions: Array | TopK) -> float:
    f1, rows = _f1_per_class(y_true, predictions)
    return float(np.average(f1, weights=rows))


def _f1_per_class(y_true: Array, predictions: Array | TopK) -> tuple[Array, Array]:
    """Return F1 and true rows of each class that is seen at all."""
    truth, choice = truth_and_choice(y_true, predictions)
    classes = int(max(truth.max(), choice.max())) + 1
    rows = np.bincount(truth, minlength=classes)
    hits = np.bincount(truth[truth == choice], minlength=classes)
    both = rows + np.bincount(choice, minlength=classes)
    seen = both > 0
    return 2 * hits[seen] / both[seen], rows[seen]


_DISTANCES: dict[str, Callable[[Array], Array]] = {
    "quadratic": np.square,
    "linear": np.abs,
    "none": lambda apart: apart != 0,
}


def _kappa(y_true: Array, predictions: Array | TopK, *, distance: Callable[[Array], Array]) -> float:
    truth, choice = truth_and_choice(y_true, predictions)
    levels = int(max(truth.max(), choice.max())) + 1
    numbers = np.arange(levels)
    of_truth, of_choice = (np.bincount(those, minlength=levels) / len(those) for those in (truth, choice))
    by_chance = of_truth @ distance(numbers[:, None] - numbers) @ of_choice
    return float(1 - distance(truth - choice).mean() / by_chance) if by_chance > 0 else 0.0


def _map_at_k(y_true: Array, predictions: Array | TopK, *, k: int) -> float:
    if isinstance(predictions, TopK):
        finite(y_true, predictions.values)
        hits = top_labels(predictions, k) == known_classes(y_true, predictions.classes)[:, None]
        return float((hits / np.arange(1, hits.shape[1] + 1)).sum(axis=1).mean())
    scores = finite(y_true, predictions)
    truth = known_classes(y_true, scores.shape[1])[:, None]
    own = np.take_along_axis(scores, truth, axis=1)
    earlier = np.arange(scores.shape[1]) < truth
    rank = 1 + (scores > own).sum(axis=1) + ((scores == own) & earlier).sum(axis=1)
    return float(np.where(rank <= k, 1 / rank, 0).mean())
