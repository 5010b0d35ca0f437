"""Turn probabilities into label sets, and values into levels, with thresholds fitted on OOF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from compete import ConfigError, Count, Metric, component

from ._search import Array, Step, best_of, coordinate_search, on_predicted_rows, validated


def check_threshold(*, min_labels: int, max_labels: int | None, **_: object) -> Iterator[str]:
    """Yield what is wrong with the limits."""
    if max_labels is not None and max_labels < min_labels:
        yield f"max_labels = {max_labels} must not be below min_labels = {min_labels}."


@component(check=check_threshold)
def threshold(
    oof: Array,
    y_true: Array,
    metric: Metric,
    *,
    scope: Literal["global", "per_label"] = "global",
    steps: Annotated[int, Field(ge=2, le=10_000)] = 50,
    min_labels: Annotated[int, Field(ge=0, le=100_000)] = 0,
    max_labels: Count | None = None,
) -> Step:
    """Turn probabilities into 0 and 1 by thresholds that score best on OOF.

    `scope` is one threshold for all labels (`global`), or one for each (`per_label`), tuned in turn, starting from the
    global one; that takes at least `steps` scorings per label. Candidates are `steps` quantiles of the OOF predictions
    of the rows that have the label. Each row gets at least `min_labels` labels, the most probable ones, and at most
    `max_labels`.
    """
    if y_true.size != oof.size:
        raise ConfigError("[[postprocess]] name = 'threshold' needs a 0 or 1 for every label.")
    oof, y_true = validated(oof, y_true)
    hits = y_true.reshape(oof.shape) > 0
    most = oof.shape[1] if max_labels is None else max_labels

    def labels(predictions: Array, limits: Array) -> Array:
        return _label_sets(predictions, limits, min_labels, most)

    def score(limits: Array) -> float:
        return metric.score(y_true, labels(oof, limits))

    one = best_of(_limits(oof[hits], steps), 0.5, lambda limit: score(np.full(oof.shape[1], limit)), metric)
    limits = np.full(oof.shape[1], one)
    if scope == "per_label":
        own = [_limits(oof[hits[:, label], label], steps) for label in range(oof.shape[1])]
        limits = coordinate_search(limits, lambda _, label: own[label], score, metric)
    return on_predicted_rows(lambda predictions: labels(predictions, limits))


def cut_points(
    oof: Array, y_true: Array, metric: Metric, *, steps: Annotated[int, Field(ge=2, le=10_000)] = 40
) -> Step:
    """Turn predicted numbers into the levels of the labels, by cut points that score best on OOF.

    The search starts from the cuts that give every level its share of the rows, or from rounding where that scores
    better, and then moves one cut after another to the best of `steps` quantiles between its neighbours. Predictions
    (T, 1) become integers int64 (T, 1).
    """
    if oof.shape[1] != 1 or y_true.ndim != 1 or not np.issubdtype(y_true.dtype, np.integer):
        raise ConfigError(
            "[[postprocess]] name = 'cut_points' needs one predicted number and integer levels as labels."
        )
    oof, y_true = validated(oof, y_true)

    levels = np.unique(y_true)  # they need neither start at 0 nor be consecutive

    def score(cuts: Array) -> float:
        return metric.score(y_true, _levels(oof, cuts, levels))

    start = (levels[1:] + levels[:-1]) / 2
    by_share = np.quantile(oof, [np.mean(y_true < level) for level in levels[1:]])
    start = by_share if metric.better(score(by_share), score(start)) else start
    cuts = coordinate_search(start, lambda now, place: _between(oof[:, 0], now, place, steps), score, metric)
    return on_predicted_rows(lambda predictions: _levels(predictions, cuts, levels))


def _label_sets(predictions: Array, limits: Array, min_labels: int, max_labels: int) -> Array:
    above = predictions >= limits
    if min_labels > 0 or max_labels < predictions.shape[1]:
        # Labels above their own threshold come first, whatever the probabilities of the others.
        rank = np.argsort(np.argsort(-(predictions + 2.0 * above), axis=1, kind="stable"), axis=1)
        above = (above | (rank < min_labels)) & (rank < max_labels)
    return above.astype(np.float32)


def _levels(predictions: Array, cuts: Array, levels: Array) -> Array:
    # (T, 1) numbers -> (T, 1) levels
    return levels[np.searchsorted(cuts, predictions[:, 0], side="right")].astype(np.int64)[:, None]


def _limits(hits: Array, steps: int) -> Array:
    """Return candidate thresholds of a label: the predictions of the rows that have it, and never."""
    return np.append(_quantiles(hits, steps), np.inf)


def _quantiles(values: Array, steps: int) -> Array:
    return np.unique(np.quantile(values, np.linspace(0, 1, steps))) if len(values) else values


def _between(values: Array, cuts: Array, place: int, steps: int) -> Array:
    """Return candidates for one cut that keep the cuts in order."""
    low = cuts[place - 1] if place > 0 else -np.inf
    high = cuts[place + 1] if place + 1 < len(cuts) else np.inf
    return _quantiles(values[(values >= low) & (values <= high)], steps)
