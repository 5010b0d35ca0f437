"""Judge blends on rows that they were not fitted on: methods, and what each input is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from compete.errors import ConfigError, code_of_others
from compete.predict.top_k import join_top, top_labels
from compete.scores import InputFacts, MethodFacts
from compete.types import TopK

if TYPE_CHECKING:
    from compete.config.options import BoundComponent
    from compete.types import Array, Metric, Predictions

Members: TypeAlias = "Array | tuple[TopK, ...]"
ENOUGH_ERRORS = 1.0  # a method replaces the mean if its gain exceeds so many standard errors
REFERENCE = "mean"


@dataclass(frozen=True)
class Stack:
    """The inputs of a blend side by side, in rows that all of them validated.

    `oof` (M, N, C) and `labels` (N,) or (N, C); `parts` (N,) are fitted on by turns; `columns` are table features
    (N, F), and `test` (M, T, C) and `test_columns` (T, F) those of the test rows. Inputs that kept the best classes
    are M `TopK`, of N and of T rows.
    """

    names: tuple[str, ...]
    oof: Members
    labels: Array
    parts: Array
    metric: Metric
    test: Members
    columns: tuple[Array, Array] | None = None

    def without(self, member: int) -> Stack:
        """Return the stack without an input."""
        rest = [number for number in range(len(self.names)) if number != member]
        names = tuple(self.names[number] for number in rest)
        oof, test = (_chosen(members, rest) for members in (self.oof, self.test))
        return replace(self, names=names, oof=oof, test=test)


def together(members: Sequence[Predictions]) -> Members:
    """Put members' predictions side by side: M x (N, C) -> (M, N, C), or M `TopK` as they are."""
    best = tuple(member for member in members if isinstance(member, TopK))
    return best or np.stack([np.asarray(member) for member in members])


def _chosen(members: Members, numbers: Sequence[int]) -> Members:
    return tuple(members[n] for n in numbers) if isinstance(members, tuple) else members[list(numbers)]


@dataclass(frozen=True)
class Judged:
    """Predictions (N, C) of a blend for rows that it was not fitted on, their score, and that of each part."""

    oof: Predictions
    score: float
    parts: Array


def judge(ensemble: BoundComponent, stack: Stack) -> Judged:
    """Fit an ensemble on all parts but one, in turn, and score what it predicts for the one left out."""
    oof = _judged_top(ensemble, stack) if isinstance(stack.oof, tuple) else _judged(ensemble, stack, stack.oof)
    scores = [float(stack.metric.score(stack.labels[rows], oof[rows])) for rows in _each_part(stack)]
    return Judged(oof, float(stack.metric.score(stack.labels, oof)), np.array(scores))


def _each_part(stack: Stack) -> Iterator[Array]:
    yield from (stack.parts == part for part in np.unique(stack.parts))


def _judged(ensemble: BoundComponent, stack: Stack, members: Array) -> Array:
    oof = np.full(members.shape[1:], np.nan)
    for inside in _each_part(stack):
        oof[inside] = apply(ensemble, stack, ~inside, members[:, inside], inside)
    return oof


def _judged_top(ensemble: BoundComponent, stack: Stack) -> TopK:
    """Join the best classes by an ensemble that works row by row: it is fitted on nothing."""
    if not ensemble.component.traits.row_by_row:
        raise ConfigError(
            f'[ensemble] name = "{ensemble.name}" needs every probability, and [inference] keep_top kept the best '
            'classes only. Use "mean".'
        )
    return join_top(ensemble, stack.oof, stack.labels, stack.metric)  # type: ignore[arg-type]


def apply(ensemble: BoundComponent, stack: Stack, fit: Array, predictions: Array, rows: Array | None) -> Array:
    """Fit an ensemble on some rows, bool (N,), and return the blend (R, C) of `predictions` (M, R, C).

    `rows` are theirs in the training table, bool (N,); None: they are the test rows.
    """
    assert not isinstance(stack.oof, tuple)
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


def correlations(oof: Members) -> Array:
    """Return how much the inputs' predictions (M, N, C) correlate, (M, M); a constant one has NaN."""
    if isinstance(oof, tuple):
        products, sums, count = _top_products(oof)
        covariances = products - np.outer(sums, sums) / count
    else:
        flat = oof.reshape(len(oof), -1).astype(np.float64)  # (M, N, C) -> (M, N * C)
        centred = flat - flat.mean(axis=1, keepdims=True)
        covariances = centred @ centred.T
    with np.errstate(invalid="ignore", divide="ignore"):
        norms = np.sqrt(np.diag(covariances))
        return np.asarray(covariances / np.outer(norms, norms))


def _top_products(oof: tuple[TopK, ...]) -> tuple[Array, Array, int]:
    """Return the products (M, M) and sums (M,) of predictions over all N x C cells, and their number."""
    from scipy.sparse import csr_array

    cells = []
    for best in oof:
        rows = np.repeat(np.arange(len(best)), best.labels.shape[1])
        cells.append(csr_array((best.values.ravel().astype(np.float64), (rows, best.labels.ravel())), best.shape))
    products = np.array([[(one * other).sum() for other in cells] for one in cells])
    return products, np.array([each.sum() for each in cells]), len(oof[0]) * oof[0].classes


def disagreement(oof: Members, labels: Array) -> Array:
    """Return the share of decisions in which two inputs differ, (M, M).

    A decision is a row's best class, or for each output whether it reaches one half; values have none, and NaN.
    """
    one_class = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    if isinstance(oof, tuple) or (oof.shape[2] > 1 and one_class):
        decided = np.stack([top_labels(member, 1) for member in oof])  # (M, N, C) -> (M, N, 1)
    elif np.isin(labels, (0, 1)).all():
        decided = oof >= 0.5
    else:
        return np.full((len(oof), len(oof)), np.nan)
    return np.array([[float((one != other).mean()) for other in decided] for one in decided])
