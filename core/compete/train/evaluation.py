"""Score a member in training: on the rows that validate it, and on a sample of those that train it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from compete.errors import CompeteError
from compete.predict.rows import predict_rows
from compete.predict.top_k import join_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from compete.features.stored import StoredFeatures
    from compete.predict.inference import Scale
    from compete.session import Run
    from compete.types import Array, Predictions

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

SHARE, FEWEST, MOST = 10, 32, 2000  # of the training rows; a forward pass costs a third of a step: 3 % of an epoch
NONE = np.empty(0, np.int64)


def sample_of(rows: Array, seed: int) -> Array:
    """Return at most `MOST` of a member's training rows, a tenth of them unless these are few."""
    size = min(len(rows), max(FEWEST, min(MOST, len(rows) // SHARE)))
    return np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))


def evaluate(
    run: Run,
    network: nn.Module,
    scale: Scale,
    loss: Loss,
    targets: torch.Tensor,
    valid: Array,
    sample: Array = NONE,
    stored: StoredFeatures | None = None,
) -> tuple[float, float, float]:
    """Return a network's loss and score on all validation rows, and its score on a sample of training rows.

    `targets` (N, ...) are those of all rows of the table. Both in eval mode, without augmentation or TTA, and in one
    pass; from `stored` features where a frozen backbone has run already. NaN where there are no rows. Each rank
    predicts its share of the rows, each of them once; the first joins and scores them for all.
    """
    if not len(valid):
        return float("nan"), float("nan"), float("nan")
    own = valid[run.ranks.share(len(valid))], sample[run.ranks.share(len(sample))]
    found = run.ranks.gather(_predict(run, network, scale, loss, targets, *own, stored) if any(map(len, own)) else None)
    scores = (0.0, 0.0, 0.0)
    if run.ranks.is_first:
        losses, images, *predictions = zip(*(part for part in found if part is not None), strict=True)
        of_valid, of_sample = map(join_rows, predictions)
        score = float(run.metric.score(run.dataset.labels[valid], of_valid))
        scores = sum(losses) / sum(images), score, _sample_score(run, sample, of_sample)
    return run.ranks.decide(scores)


def _predict(
    run: Run,
    network: nn.Module,
    scale: Scale,
    loss: Loss,
    targets: torch.Tensor,
    valid: Array,
    sample: Array,
    stored: StoredFeatures | None,
) -> tuple[float, int, Predictions, Predictions]:
    """Return the sum of the losses of the validation rows' images, their number, and the predictions of both rows."""
    inputs, predictor = run.train_inputs, run.predictor()
    if stored is not None:
        inputs, predictor = replace(inputs, images=stored.unchanged), replace(predictor, workers=0)
        network = stored.rest_of(network)
    images = int(inputs.images.by_row.counts[valid].sum())
    loss_sum, left = torch.zeros((), device=run.fabric.device), images

    def add_loss(rows: torch.Tensor, logits: torch.Tensor) -> None:
        nonlocal left
        own = min(left, len(rows))  # images of validation rows come first
        left -= own
        if own:
            loss_sum.add_(loss(logits[:own], targets[rows[:own]]) * own)

    rows = np.concatenate([valid, sample])
    predictions = predict_rows(predictor, [network], [scale], inputs, rows, watch=add_loss)[0]
    return float(loss_sum), images, predictions[: len(valid)], predictions[len(valid) :]


def _sample_score(run: Run, sample: Array, predictions: Predictions) -> float:
    """Return NaN where a metric has no value for so few rows, such as an AUC of one class."""
    try:
        return float(run.metric.score(run.dataset.labels[sample], predictions)) if len(sample) else np.nan
    except CompeteError:
        return float("nan")
