"""Metrics of class numbers.

Not from scikit-learn, because the search for blends and cut points scores thousands of times.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np

from compete import Count, Metric, TopK, top_labels

from ._arrays import Array, class_pairs, finite, known_classes


def accuracy() -> Metric:
    """Share of rows whose most probable class is the true one."""
    return Metric(_accuracy, top=1)


def error() -> Metric:
    """Share of rows whose most probable class is not the true one (top-1 error); lower is better."""
    return Metric(_error, higher_is_better=False, top=1)


def macro_f1() -> Metric:
    """F1 of each class, averaged over the classes that occur in the labels or the predictions.

    One stray prediction of a class that no row has adds a zero to the average, as in scikit-learn.
    """
    return Metric(_macro_f1, top=1)


def micro_f1() -> Metric:
    """F1 over all rows, which for one class per row is the accuracy; for label sets see `label_set_f1`."""
    return Metric(_accuracy, top=1)


def weighted_f1() -> Metric:
    """F1 of each class, averaged with the number of true rows as weights."""
    return Metric(_weighted_f1, top=1)


def kappa(*, weights: Literal["quadratic", "linear", "none"] = "quadratic") -> Metric:
    """Cohen's kappa: agreement beyond chance; 1 is perfect, 0 is chance.

    `weights` weights a disagreement by its squared distance (`quadratic`), by its distance (`linear`), or equally
    (`none`). A single column of predictions is rounded to the nearest level. The score is 0 where labels and
    predictions are all of one class, because agreement beyond chance is undefined there.
    """
    return Metric(partial(_kappa, distance=_DISTANCES[weights]), top=1)


def map_at_k(*, k: Count = 5) -> Metric:
    """Mean average precision of the `k` most probable classes, with one true class: 1 / rank, or 0 beyond `k`.

    Among equal probabilities the class with the lower number ranks first.
    """
    return Metric(partial(_map_at_k, k=k), top=k)


def _accuracy(y_true: Array, predictions: Array | TopK) -> float:
    true, predicted = class_pairs(y_true, predictions)
    return float(np.mean(true == predicted))


def _error(y_true: Array, predictions: Array | TopK) -> float:
    return 1 - _accuracy(y_true, predictions)


def _macro_f1(y_true: Array, predictions: Array | TopK) -> float:
    f1, _ = _f1_per_class(y_true, predictions)
    return float(f1.mean())


def _weighted_f1(y_true: Array, predictions: Array | TopK) -> float:
    f1, rows = _f1_per_class(y_true, predictions)
    return float(np.average(f1, weights=rows))


def _f1_per_class(y_true: Array, predictions: Array | TopK) -> tuple[Array, Array]:
    """Return F1 and the number of true rows of each class that occurs."""
    true, predicted = class_pairs(y_true, predictions)
    classes = int(max(true.max(), predicted.max())) + 1
    rows = np.bincount(true, minlength=classes)
    hits = np.bincount(true[true == predicted], minlength=classes)
    both = rows + np.bincount(predicted, minlength=classes)
    occurs = both > 0
    return 2 * hits[occurs] / both[occurs], rows[occurs]


_DISTANCES: dict[str, Callable[[Array], Array]] = {
    "quadratic": np.square,
    "linear": np.abs,
    "none": lambda apart: apart != 0,
}


def _kappa(y_true: Array, predictions: Array | TopK, *, distance: Callable[[Array], Array]) -> float:
    true, predicted = class_pairs(y_true, predictions)
    levels = int(max(true.max(), predicted.max())) + 1
    numbers = np.arange(levels)
    true_shares, predicted_shares = (np.bincount(each, minlength=levels) / len(each) for each in (true, predicted))
    by_chance = true_shares @ distance(numbers[:, None] - numbers) @ predicted_shares  # (levels,) x (levels, levels)
    return float(1 - distance(true - predicted).mean() / by_chance) if by_chance > 0 else 0.0


def _map_at_k(y_true: Array, predictions: Array | TopK, *, k: int) -> float:
    if isinstance(predictions, TopK):
        finite(y_true, predictions.values)
        hits = top_labels(predictions, k) == known_classes(y_true, predictions.classes)[:, None]
        return float((hits / np.arange(1, hits.shape[1] + 1)).sum(axis=1).mean())
    scores = finite(y_true, predictions)
    true = known_classes(y_true, scores.shape[1])[:, None]
    own = np.take_along_axis(scores, true, axis=1)  # (N, C) -> (N, 1)
    earlier = np.arange(scores.shape[1]) < true
    rank = 1 + (scores > own).sum(axis=1) + ((scores == own) & earlier).sum(axis=1)
    return float(np.where(rank <= k, 1 / rank, 0).mean())
