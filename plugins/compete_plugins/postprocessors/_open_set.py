"""Put the label that stands for unknown classes where it ranks best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from compete import ConfigError, Metric, component, did_you_mean, format_list

from ._search import Array, Step, best_of, validated


@component(needs_classes=True)
def open_set(
    oof: Array,
    y_true: Array,
    metric: Metric,
    classes: Sequence[str],
    *,
    label: str | int,
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None,
    steps: Annotated[int, Field(ge=2, le=10_000)] = 50,
) -> Step:
    """Rank a label that stands for everything unknown, such as `new_whale`, above classes that are less sure.

    `label` is a class of the training rows. Its probability is raised to at least `threshold`, so that it comes first
    where no other class is more probable; the others keep theirs, and rows no longer sum to one. The default
    `threshold` is the best of `steps` quantiles of the other classes' highest OOF probabilities, or 0 where none helps.
    """
    if str(label) not in classes:
        raise ConfigError(
            f"[[postprocess]] name = 'open_set': label = '{label}' is not a class.{did_you_mean(label, classes)} "
            f"Classes: {format_list(classes)}."
        )
    place = list(classes).index(str(label))

    def raised(predictions: Array, least: float) -> Array:
        found = predictions.copy()
        found[:, place] = np.maximum(found[:, place], least)
        return found

    if threshold is None:
        predicted, known = validated(oof, y_true)
        others = np.delete(predicted, place, axis=1).max(axis=1)  # (N, C - 1) -> (N,)
        candidates = np.unique(np.quantile(others, np.linspace(0, 1, steps)))
        threshold = best_of(candidates, 0.0, lambda least: metric.score(known, raised(predicted, least)), metric)
    chosen = threshold
    return lambda predictions: raised(predictions, chosen)
