"""What is fitted on OOF predictions and then applied to the test predictions.

Every postprocessor takes `oof` (N, C), the y_true and the metric, and returns a function predictions (T, C) ->
predictions; one that declares `needs_classes` takes the classes' names as well. Rows with NaN are left out of the fit
and stay NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from compete import ConfigError, Metric, component, hookimpl

from ._open_set import open_set
from ._search import Array, Step, best_of, seen
from ._thresholds import cut_points, threshold


def check_clip(*, low: float | None, high: float | None) -> Iterator[str]:
    """Yield what is wrong with the bounds."""
    if low is None and high is None:
        yield "give low, high or both."
    if low is not None and high is not None and low >= high:
        yield f"low = {low:g} is not below high = {high:g}."


@component(check=check_clip)
def clip(_oof: Array, _answers: Array, _metric: Metric, *, low: float | None = None, high: float | None = None) -> Step:
    """Move predictions below `low` up to it, and those above `high` down to it."""
    return lambda predictions: np.clip(predictions, low, high)


def check_floor(*, low: float, high: float) -> Iterator[str]:
    """Yield what is wrong with the bounds."""
    if low >= high:
        yield f"low = {low:g} is not below high = {high:g}."


@component(check=check_floor)
def floor(
    oof: Array,
    _answers: Array,
    _metric: Metric,
    *,
    low: Annotated[float, Field(ge=0, lt=1)] = 1e-3,
    high: Annotated[float, Field(gt=0, le=1)] = 1.0,
) -> Step:
    """Keep probabilities away from 0 and 1, where a wrong one costs log loss most.

    Probabilities go no lower than `low` and no higher than `high`; class probabilities are then scaled to sum to
    one in each row again.
    """
    if _are_shares(seen(oof, oof)[0]):
        return lambda predictions: _to_shares(np.clip(predictions, low, high))
    return lambda predictions: np.clip(predictions, low, high)


def prior(oof: Array, y_true: Array, metric: Metric, *, tau: Annotated[float, Field(ge=0, le=2)] | None = None) -> Step:
    """Divide class probabilities by the training shares of the classes, for metrics that count classes alike.

    `tau` is the power of the shares: 0 changes nothing, 1 divides by them in full (logit adjustment, Menon et al.
    2021). Without it the best of 0, 0.1 ... 1.5 on OOF is taken. A class without a training row
    counts as the largest one.
    """
    predicted, known = seen(oof, y_true)
    if y_true.ndim != 1 or not _are_shares(predicted):
        raise ConfigError("[[postprocess]] name = 'prior' needs class probabilities and one class for each row.")
    counts = np.bincount(y_true, minlength=oof.shape[1])
    shares = np.where(counts > 0, counts, counts.max()) / len(y_true)

    def adjust(predictions: Array, power: float) -> Array:
        return _to_shares(predictions / shares**power)

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


def _are_shares(predictions: Array) -> bool:
    return predictions.shape[1] > 1 and np.allclose(predictions.sum(axis=1, dtype=np.float64), 1, atol=1e-3)


def _to_shares(predictions: Array) -> Array:
    shares: Array = predictions / predictions.sum(axis=1, keepdims=True)
    return shares
