"""Metrics of the probabilities of classes that exclude each other."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from compete import Metric

from ._arrays import Array, binary, class_shares, known_classes, probabilities


def log_loss() -> Metric:
    """Mean of -log(probability of the true class), of two classes or more; lower is better.

    A single column is the probability of class 1. Rows are divided by their sum, as in the submission, and then
    clipped at the machine precision of float64, as in scikit-learn. Labels may be shares of votes.
    """
    return Metric(_log_loss, higher_is_better=False)


def kl_divergence() -> Metric:
    """Kullback-Leibler divergence of the predictions from shares of votes, mean over rows; lower is better.

    Rows are divided by their sum and clipped at 1e-15.
    """
    return Metric(_kl_divergence, higher_is_better=False)


def probabilistic_f1(*, beta: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0) -> Metric:
    """F-beta of two classes, with probabilities in place of counts.

    `beta` is how many times as important recall is as precision. Predictions are clipped to 0..1. The score is 0
    without positive rows.
    """
    return Metric(partial(_probabilistic_f1, beta=beta))


def _log_loss(y_true: Array, predictions: Array) -> float:
    columns = probabilities(y_true, predictions)
    margin = np.finfo(np.float64).eps
    if y_true.ndim == 1 or y_true.shape[1] == 1:
        numbers = known_classes(y_true, columns.shape[1])
        own = np.take_along_axis(columns, numbers[:, None], axis=1)  # (N, C) -> (N, 1)
        return float(-np.log(own.clip(margin, 1 - margin)).mean())
    soft = class_shares(y_true, columns.shape[1])
    return float(-(soft * np.log(columns.clip(margin, 1 - margin))).sum(axis=1).mean())


def _kl_divergence(y_true: Array, predictions: Array) -> float:
    from scipy.special import rel_entr

    columns = probabilities(y_true, predictions)
    soft = class_shares(y_true, columns.shape[1])
    return float(rel_entr(soft, columns.clip(1e-15, 1 - 1e-15)).sum(axis=1).mean())


def _probabilistic_f1(y_true: Array, predictions: Array, *, beta: float) -> float:
    positive, scores = binary(y_true, predictions)
    predicted = scores.astype(np.float64).clip(0, 1)
    hits = predicted[positive].sum()
    if hits == 0:
        return 0.0
    # (1 + b²) P R / (b² P + R) with P = hits / all predicted mass and R = hits / positive rows
    return float((1 + beta**2) * hits / (beta**2 * positive.sum() + predicted.sum()))
