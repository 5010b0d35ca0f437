"""Post-processing: fitted on the OOF predictions, then applied to the test predictions.

Every postprocessor takes `oof` (N, C), the labels and the metric, and returns a function predictions (T, C) ->
predictions; one that declares `needs_classes` takes the names of the classes as well. Rows with NaN are left out of the
fit and stay NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from compete import ConfigError, Metric, Number, component, hookimpl

from ._open_set import open_set
from ._search import Array, Step, best_of, validated
from ._thresholds import cut_points, threshold


def check_clip(*, low: float | None, high: float | None) -> Iterator[str]:
    """Yield what is wrong with the bounds."""
    if low is None and high is None:
        yield "set low, high or both."
    if low is not None and high is not None and low >= high:
        yield f"low = {low:g} must be below high = {high:g}."


@component(check=check_clip)
def clip(
    _oof: Array, _labels: Array, _metric: Metric, *, low: Number | None = None, high: Number | None = None
) -> Step:
    """Clip predictions to at least `low` and at most `high`."""
    return lambda predictions: np.clip(predictions, low, high)


def check_floor(*, low: float, high: float) -> Iterator[str]:
    """Yield what is wrong with the bounds."""
    if low >= high:
        yield f"low = {low:g} must be below high = {high:g}."


@component(check=check_floor)
def floor(
    oof: Array,
    _labels: Array,
    _metric: Metric,
    *,
    low: Annotated[float, Field(ge=0, lt=1)] = 1e-3,
    high: Annotated[float, Field(ge=1e-6, le=1)] = 1.0,
) -> Step:
    """Keep probabilities away from 0 and 1, where a wrong one costs log loss most.

    Probabilities are clipped to at least `low` and at most `high`; class probabilities are then scaled to sum to one
    in each row again.
    """
    if _rows_sum_to_one(validated(oof, oof)[0]):
        return lambda predictions: _normalise(np.clip(predictions, low, high))
    return lambda predictions: np.clip(predictions, low, high)


def prior(oof: Array, y_true: Array, metric: Metric, *, tau: Annotated[float, Field(ge=0, le=2)] | None = None) -> Step:
    """Divide class probabilities by the classes' training frequencies, for metrics that weight classes equally.

    `tau` is the power of the frequencies: 0 changes nothing, 1 divides by them in full (logit adjustment, Menon et al.
    2021). By default it is the best of 0, 0.1 ... 1.5 on OOF. A class without training rows counts as the largest one.
    """
    predicted, known = validated(oof, y_true)
    if y_true.ndim != 1 or not _rows_sum_to_one(predicted):
        raise ConfigError("[[postprocess]] name = 'prior' needs class probabilities and one class per row.")
    counts = np.bincount(y_true, minlength=oof.shape[1])
    frequencies = np.where(counts > 0, counts, counts.max()) / len(y_true)  # (C,)

    def adjust(predictions: Array, power: float) -> Array:
        return _normalise(predictions / frequencies**power)

    def score(power: float) -> float:
        return metric.score(known, adjust(predicted, power))

    chosen = best_of(np.arange(16) / 10, 0.0, score, metric) if tau is None else tau
    return lambda predictions: adjust(predictions, chosen)


@hookimpl
def register_postprocessors() -> dict[str, Callable[..., Step]]:
    """Offer the bundled postprocessors."""
    return {
        "threshold": threshold,
        "cut_points": cut_points,
        "clip": clip,
        "floor": floor,
        "prior": prior,
        "open_set": open_set,
    }


def _rows_sum_to_one(predictions: Array) -> bool:
    return predictions.shape[1] > 1 and np.allclose(predictions.sum(axis=1, dtype=np.float64), 1, atol=1e-3)


def _normalise(predictions: Array) -> Array:
    normalised: Array = predictions / predictions.sum(axis=1, keepdims=True)
    return normalised
