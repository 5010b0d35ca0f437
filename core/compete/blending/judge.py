"""Judge blends on rows that they were not fitted on: methods, and what each input is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from compete.errors import ConfigError, code_of_others
from compete.predict.top_k import top_labels
from compete.scores import InputFacts, MethodFacts

if TYPE_CHECKING:
    from compete.config.options import BoundComponent
    from compete.types import Array, Metric

ENOUGH_ERRORS = 1.0  # a method replaces the mean if its gain exceeds so many standard errors
REFERENCE = "mean"


@dataclass(frozen=True)
class Stack:
    """The inputs of a blend side by side, in rows that all of them validated.

    `oof` (M, N, C) and `labels` (N,) or (N, C); `parts` (N,) are fitted on by turns; `columns` are table features
    (N, F), and `test` (M, T, C) and `test_columns` (T, F) those of the test rows.
    """

    names: tuple[str, ...]
    oof: Array
    labels: Array
    parts: Array
    metric: Metric
    test: Array
    columns: tuple[Array, Array] | None = None

    def without(self, member: int) -> Stack:
        """Return the stack without an input."""
        rest = [number for number in range(len(self.names)) if number != member]
        names = tuple(self.names[number] for number in rest)
        return replace(self, names=names, oof=self.oof[rest], test=self.test[rest])


@dataclass(frozen=True)
class Judged:
    """Predictions (N, C) of a blend for rows that it was not fitted on, their score, and that of each part."""

    oof: Array
    score: float
    parts: Array


def judge(ensemble: BoundComponent, stack: Stack) -> Judged:
    """Fit an ensemble on all parts but one, in turn, and score what it predicts for the one left out."""
    oof = np.full(stack.oof.shape[1:], np.nan)
    scores = []
    for part in np.unique(stack.parts):
        inside = stack.parts == part
        oof[inside] = apply(ensemble, stack, ~inside, stack.oof[:, inside], inside)
        scores.append(float(stack.metric.score(stack.labels[inside], oof[inside])))
    return Judged(oof, float(stack.metric.score(stack.labels, oof)), np.array(scores))


def apply(ensemble: BoundComponent, stack: Stack, fit: Array, predictions: Array, rows: Array | None) -> Array:
    """Fit an ensemble on some rows, bool (N,), and return the blend (R, C) of `predictions` (M, R, C).

    `rows` are theirs in the training table, bool (N,); None: they are the test rows.
    """
    columns: list[Any] = []
    if ensemble.component.traits.takes_columns:
        columns = [None]
        if stack.columns is not None:
            train, test = stack.columns
            columns = [(train[fit], test if rows is None else train[rows])]
    blended: Array = ensemble.build(stack.oof[:, fit], stack.labels[fit], predictions, stack.metric, *columns)[1]
    return blended


def gain(metric: Metric, judged: Judged, other: Judged) -> tuple[float, float | None]:
    """Return by how much a blend beats another, the mean over parts (negative: worse), and its standard error."""
    sign = 1 if metric.higher_is_better else -1
    differences = sign * (judged.parts - other.parts)
    error = float(differences.std(ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else None
    return float(differences.mean()), error


def compare_methods(methods: Mapping[str, BoundComponent], stack: Stack) -> Iterator[MethodFacts]:
    """Judge each method against the plain mean; one that does not suit the predictions says why."""
    reference = judge(methods[REFERENCE], stack)
    for name, method in methods.items():
        try:
            with code_of_others(lambda error: ConfigError(str(error))):
                found = reference if name == REFERENCE else judge(method, stack)
        except ConfigError as error:
            yield MethodFacts(name=name, score=None, problem=" ".join(error.problems))
            continue
        gained, error_of_gain = gain(stack.metric, found, reference)
        yield MethodFacts(name=name, score=found.score, gain=gained, error=error_of_gain)


def choose_method(found: Sequence[MethodFacts]) -> str:
    """Return the best method whose gain over the mean exceeds its standard error, else the mean."""
    clear = [
        method
        for method in found
        if method.gain is not None and method.gain > ENOUGH_ERRORS * (method.error or 0.0) and method.gain > 0
    ]
    return max(clear, key=lambda method: method.gain or 0.0).name if clear else REFERENCE


def judge_inputs(ensemble: BoundComponent, stack: Stack, whole: Judged) -> Iterator[InputFacts]:
    """Yield each input's own score, and what the blend gains from it: its score against the blend without it."""
    for number, name in enumerate(stack.names):
        own = float(stack.metric.score(stack.labels, stack.oof[number]))
        if len(stack.names) == 1:
            yield InputFacts(name=name, score=own)
            continue
        rest = judge(ensemble, stack.without(number))
        gained, error = gain(stack.metric, whole, rest)
        yield InputFacts(name=name, score=own, without=rest.score, gain=gained, error=error)


def correlations(oof: Array) -> Array:
    """Return how much the inputs' predictions (M, N, C) correlate, (M, M); a constant one has NaN."""
    flat = oof.reshape(len(oof), -1).astype(np.float64)  # (M, N, C) -> (M, N * C)
    centred = flat - flat.mean(axis=1, keepdims=True)
    norms = np.sqrt((centred**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(centred @ centred.T / np.outer(norms, norms))


def disagreement(oof: Array, labels: Array) -> Array:
    """Return the share of decisions in which two inputs differ, (M, M).

    A decision is a row's best class, or for each output whether it reaches one half; values have none, and NaN.
    """
    if oof.shape[2] > 1 and labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer):
        decided = np.stack([top_labels(member, 1) for member in oof])  # (M, N, C) -> (M, N, 1)
    elif np.isin(labels, (0, 1)).all():
        decided = oof >= 0.5
    else:
        return np.full((len(oof), len(oof)), np.nan)
    return np.array([[float((one != other).mean()) for other in decided] for one in decided])
