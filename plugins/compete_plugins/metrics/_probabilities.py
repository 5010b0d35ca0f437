"""Metrics of the probabilities of classes that exclude each other."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from compete import Metric

from ._arrays import Array, chances, known_classes, shares, yes_or_no


def log_loss() -> Metric:
    """Mean of -log(probability of the true class), of two classes or more; lower is better.

    A single column is the probability of class 1. Rows are divided by their sum, as they are in the submission,
    and then clipped at the machine precision of float64, as scikit-learn does. Answers may be shares of votes.
    """
    return Metric(_log_loss, higher_is_better=False)


def kl_divergence() -> Metric:
    """Kullback-Leibler divergence of the predictions from the shares of votes, mean over rows; lower is better.

    Rows are divided by their sum and clipped at 1e-15.
    """
    return Metric(_kl_divergence, higher_is_better=False)


def probabilistic_f1(*, beta: Annotated[float, Field(gt=0)] = 1.0) -> Metric:
    """F-beta of yes or no, with probabilities in place of counts.

    `beta` is how many times as important recall is as precision. Predictions are clipped to 0..1. The score is
    0 where there is no positive row.
    """
    return Metric(partial(_probabilistic_f1, beta=beta))


def _log_loss(y_true: Array, predictions: Array) -> float:
    columns = chances(y_true, predictions)
    margin = np.finfo(np.float64).eps
    if y_true.ndim == 1 or y_true.shape[1] == 1:
        truth = known_classes(y_true, columns.shape[1])
        own = np.take_along_axis(columns, truth[:, None], axis=1)
        return float(-np.log(own.clip(margin, 1 - margin)).mean())
    truth = shares(y_true, columns.shape[1])
    return float(-(truth * np.log(columns.clip(margin, 1 - margin))).sum(axis=1).mean())


def _kl_divergence(y_true: Array, predictions: Array) -> float:
    from scipy.special import rel_entr

    columns = chances(y_true, predictions)
    truth = shares(y_true, columns.shape[1])
    return float(rel_entr(truth, columns.clip(1e-15, 1 - 1e-15)).sum(axis=1).mean())


def _probabilistic_f1(y_true: Array, predictions: Array, *, beta: float) -> float:
    truth, scores = yes_or_no(y_true, predictions)
    chance = scores.astype(np.float64).clip(0, 1)
    hits = chance[truth].sum()
    if hits == 0:
        return 0.0
    # (1 + b²) P R / (b² P + R) with P = hits / all predicted mass and R = hits / positive rows
    return float((1 + beta**2) * hits / (beta**2 * truth.sum() + chance.sum()))
