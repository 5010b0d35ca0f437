"""Ensembles: one prediction of all members, by means, fitted weights, ranks or votes.

Every ensemble takes `oof` (M, N, C), the labels, `test` (M, T, C) and the metric, and returns
(oof (N, C), test (T, C)). A member's OOF is NaN outside the rows it validated; rows that no member validated stay NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from compete import Metric, component, hookimpl

from ._means import Array, normalise, refuse_values, rows_sum_to_one, weighted_mean
from ._simplex import simplex_weights
from ._stacking import Columns, Kind, stack
from ._weights import greedy, weights_of_shared_rows

Blended = tuple[Array, Array]


@component(row_by_row=True)  # the others look at all rows, or at whether rows sum to one
def mean(oof: Array, _labels: Array, test: Array, _metric: Metric) -> Blended:
    """Average the members."""
    return _plain_mean(oof), _plain_mean(test)


def weighted(
    oof: Array, labels: Array, test: Array, metric: Metric, *, rounds: Annotated[int, Field(ge=1, le=1000)] = 30
) -> Blended:
    """Average the members with the weights that maximise the metric on OOF.

    Weights are chosen greedily: `rounds` times, the member that helps most is added to the blend, possibly more than
    once (Caruana et al. 2004). Members are compared on the rows they share, so the folds of one seed keep equal
    weights. Weights that do not beat equal ones on OOF are discarded.
    """
    weights = weights_of_shared_rows(oof, labels, lambda members, wanted: greedy(members, wanted, metric, rounds))
    return weighted_mean(oof, weights), weighted_mean(test, weights)


def simplex(oof: Array, labels: Array, test: Array, _metric: Metric) -> Blended:
    """Average the members with non-negative weights that sum to one and minimise the log loss on OOF.

    Values get the weights of the least squared error. Both are smooth, unlike most metrics, so that the weights follow
    less noise than those of 'weighted'. Members are compared on the rows they share.
    """
    weights = weights_of_shared_rows(oof, labels, simplex_weights)
    return weighted_mean(oof, weights), weighted_mean(test, weights)


@component(takes_columns=True)
def stacking(
    oof: Array,
    labels: Array,
    test: Array,
    _metric: Metric,
    columns: Columns,
    *,
    model: Kind = "auto",
    regularisation: Annotated[float, Field(gt=0, le=1e6)] = 1.0,
    use_columns: bool = False,
) -> Blended:
    """Learn the labels from the members' predictions (Wolpert 1992), for `compete blend`.

    `model`: "logistic" regression for classes, "ridge" for values, "auto" chooses between these; "lightgbm" grows trees
    (`pip install 'compete[lightgbm]'`). Probabilities enter as logits, and features are standardised; `regularisation`
    is the strength of the L2 penalty. `use_columns` adds the features of `[columns]`.
    """
    return stack(oof, labels, test, columns, model, regularisation, use_columns)


def rank_mean(oof: Array, _labels: Array, test: Array, _metric: Metric) -> Blended:
    """Average each class's ranks, so that members count equally whatever their confidence; for metrics such as AUC.

    A rank is the place of a row among all rows that the member predicted, divided by their number. Class probabilities
    are scaled to sum to one in each row again.
    """
    scale = normalise if rows_sum_to_one(oof) else _unchanged
    return scale(_plain_mean(oof, _ranks)), scale(_plain_mean(test, _ranks))


def geometric_mean(oof: Array, _labels: Array, test: Array, _metric: Metric) -> Blended:
    """Average log-probabilities, so that a class that one member rules out gets little.

    Class probabilities are scaled to sum to one in each row again; independent probabilities are averaged as logits,
    which is the same for two classes.
    """
    refuse_values(oof, "geometric_mean")
    if rows_sum_to_one(oof):
        return _log_mean(oof), _log_mean(test)
    return _logit_mean(oof), _logit_mean(test)


def hard_vote(oof: Array, _labels: Array, test: Array, _metric: Metric) -> Blended:
    """Count votes: each member votes for its most probable class, or for every label of at least one half.

    Predictions are shares of votes; the mean probability breaks ties.
    """
    refuse_values(oof, "hard_vote")
    vote = _one_vote if rows_sum_to_one(oof) else _vote_per_label
    return _votes(oof, vote), _votes(test, vote)


@hookimpl
def register_ensembles() -> dict[str, Callable[..., Blended]]:
    """Offer the bundled ensembles."""
    return {
        "mean": mean,
        "weighted": weighted,
        "simplex": simplex,
        "stacking": stacking,
        "rank_mean": rank_mean,
        "geometric_mean": geometric_mean,
        "hard_vote": hard_vote,
    }


def _plain_mean(members: Array, change: Callable[[Array], Array] | None = None) -> Array:
    return weighted_mean(members, np.ones(len(members)), change)


def _unchanged(predictions: Array) -> Array:
    return predictions


def _ranks(predictions: Array) -> Array:
    from scipy.stats import rankdata

    ranks: Array = rankdata(predictions, axis=0) / len(predictions)  # (rows, C), each column by itself
    return ranks


def _log(predictions: Array) -> Array:
    """Return logarithms; 0 counts as the smallest probability that a float32 softmax tells from it."""
    logs: Array = np.log(np.clip(predictions, 1e-12, None))
    return logs


def _log_mean(members: Array) -> Array:
    return normalise(np.exp(_plain_mean(members, _log)))


def _logit_mean(members: Array) -> Array:
    def logits(predictions: Array) -> Array:
        return _log(predictions) - _log(1 - predictions)

    return 1 / (1 + np.exp(-_plain_mean(members, logits)))


def _one_vote(predictions: Array) -> Array:
    votes: Array = np.eye(predictions.shape[1])[predictions.argmax(axis=1)]  # (rows,) -> one-hot (rows, C)
    return votes


def _vote_per_label(predictions: Array) -> Array:
    return np.where(predictions >= 0.5, 1.0, 0.0)


def _votes(members: Array, vote: Callable[[Array], Array]) -> Array:
    # Less than one vote, however many members there are, so that it only breaks ties.
    tie = 1e-3 / len(members)
    return (_plain_mean(members, vote) + tie * _plain_mean(members)) / (1 + tie)
