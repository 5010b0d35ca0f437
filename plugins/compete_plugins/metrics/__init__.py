"""Metrics over whole arrays, as the competitions' own graders compute them.

`y_true` is int64 class numbers (N,) or float (N, C). Predictions are float (N, C); a single column is the probability
of class 1, a level or a value. NaN is refused: a diverged network has no score.
"""

from __future__ import annotations

from collections.abc import Callable

from compete import Metric, hookimpl

from ._classes import accuracy, error, kappa, macro_f1, map_at_k, micro_f1, weighted_f1
from ._labels import label_set_f1, multilabel_log_loss
from ._numbers import rmse
from ._probabilities import kl_divergence, log_loss, probabilistic_f1
from ._ranking import flat_auc, mean_column_auc, roc_auc, weighted_auc


@hookimpl
def register_metrics() -> dict[str, Callable[..., Metric]]:
    """Offer the bundled metrics."""
    return {
        "accuracy": accuracy,
        "error": error,
        "macro_f1": macro_f1,
        "micro_f1": micro_f1,
        "weighted_f1": weighted_f1,
        "kappa": kappa,
        "map_at_k": map_at_k,
        "log_loss": log_loss,
        "kl_divergence": kl_divergence,
        "probabilistic_f1": probabilistic_f1,
        "label_set_f1": label_set_f1,
        "multilabel_log_loss": multilabel_log_loss,
        "roc_auc": roc_auc,
        "mean_column_auc": mean_column_auc,
        "flat_auc": flat_auc,
        "weighted_auc": weighted_auc,
        "rmse": rmse,
    }
