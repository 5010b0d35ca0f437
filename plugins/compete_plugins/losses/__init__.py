"""Losses on logits, in float32 also under bf16, with class weights from the fold's own rows.

Every loss takes logits (B, K) and either class numbers int64 (B,) or soft targets float (B, K).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from compete import hookimpl

from ._margin import arcface
from ._targets import refuse_independent, refuse_unscaled, rows_per_class, soft_targets

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

EFFECTIVE_BETA = 0.999


def cross_entropy(
    targets: torch.Tensor,
    *,
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    class_weights: Literal["none", "balanced", "sqrt", "effective"] = "none",
) -> Loss:
    """Cross entropy of a softmax, for one class per row or for soft targets.

    `label_smoothing` spreads that part of each row's target evenly over all classes (Szegedy et al. 2016).
    `class_weights` makes rare classes count more: `balanced` by 1 / rows, `sqrt` by 1 / sqrt(rows), `effective` by
    1 / effective number with beta 0.999 (see `class_balanced`). Weights average one over the fold's rows; a class
    without rows there has weight 0. The sum over a batch is divided by B, not by the batch's weights, so that a batch
    of rare rows keeps its weight. Smoothing is applied after the weights and keeps a row's weight; the other way
    round, a rare class would draw weight from every common row.
    """
    refuse_independent("cross_entropy", targets)
    return _softmax_loss(_class_weights(targets, class_weights), label_smoothing)


def focal(
    targets: torch.Tensor,
    *,
    gamma: Annotated[float, Field(ge=0, le=100)] = 2.0,
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    class_weights: Literal["none", "balanced", "sqrt", "effective"] = "none",
) -> Loss:
    """Focal loss: cross entropy in which rows that the network is sure of count less (Lin et al. 2017).

    `gamma` is the exponent of the factor (1 - p); 0 is cross entropy. `label_smoothing` and `class_weights`
    are those of `cross_entropy`.
    """
    refuse_independent("focal", targets)
    return _softmax_loss(_class_weights(targets, class_weights), label_smoothing, gamma)


def class_balanced(
    targets: torch.Tensor,
    *,
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.999,
    gamma: Annotated[float, Field(ge=0, le=100)] = 0.0,
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
) -> Loss:
    """Cross entropy or focal loss, weighted by 1 / effective number of rows of a class (Cui et al. 2019).

    `beta` sets how soon more rows of a class stop adding to its effective number (1 - beta^rows) / (1 - beta):
    0 weights all classes equally, and towards 1 the weights become those of `balanced`. `gamma` above 0 turns it into
    the focal loss. `label_smoothing` is that of `cross_entropy`. Weights average one over the fold's rows.
    """
    refuse_independent("class_balanced", targets)
    return _softmax_loss(_class_weights(targets, "effective", beta), label_smoothing, gamma)


def soft_f1(
    targets: torch.Tensor,
    *,
    cross_entropy_share: Annotated[float, Field(ge=0, le=1)] = 0.0,
    activation: Literal["softmax", "sigmoid"] = "softmax",
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
) -> Loss:
    """One minus the macro F1 of a batch, with probabilities in place of counts.

    The mean is over the classes that the batch's targets hold, because the others could not score at all.
    `cross_entropy_share` mixes in that share of cross entropy, which stabilises small batches. `activation` is
    `softmax` for one class per row, or `sigmoid` for independent labels (cross entropy is then binary).
    `label_smoothing` is that of `cross_entropy`, or with `sigmoid` that of `bce`; which classes count stays the same.
    """
    if activation == "softmax":
        refuse_independent("soft_f1", targets)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits, soft = logits.float(), soft_targets(targets, logits)
        probabilities = logits.softmax(dim=1) if activation == "softmax" else logits.sigmoid()
        centre = soft.mean(dim=1, keepdim=True) if activation == "softmax" else torch.full_like(soft, 0.5)
        present, soft = soft.sum(dim=0) > 0, torch.lerp(soft, centre, label_smoothing)
        f1_loss = 1 - _batch_f1(probabilities, soft, present)
        if cross_entropy_share == 0:
            return f1_loss
        entropy = F.cross_entropy if activation == "softmax" else F.binary_cross_entropy_with_logits
        return torch.lerp(f1_loss, entropy(logits, soft), cross_entropy_share)

    return loss


def bce(
    targets: torch.Tensor,
    *,
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    pos_weight: Literal["none", "balanced"] = "none",
) -> Loss:
    """Binary cross entropy of a sigmoid for each output, averaged over rows and outputs.

    `label_smoothing` moves 0 and 1 towards one half by that share. `pos_weight = "balanced"` weights an output's
    positive rows by the fold's negative rows / positive rows; an output that never changes has weight 1. The weight
    follows the target before smoothing.
    """
    weights = _PerOutput(_negatives_per_positive(targets) if pos_weight == "balanced" else torch.ones(0), 1.0)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        soft = soft_targets(targets, logits)
        smoothed = soft + label_smoothing * (0.5 - soft)
        weight = 1 + soft * (weights.on(logits) - 1)
        return F.binary_cross_entropy_with_logits(logits.float(), smoothed, weight=weight)

    return loss


def soft_cross_entropy(targets: torch.Tensor) -> Loss:
    """Cross entropy against shares of votes, all votes equal: `cross_entropy` without its options."""
    refuse_independent("soft_cross_entropy", targets)
    return _softmax_loss(_class_weights(targets, "none"), 0.0)


def kl(targets: torch.Tensor, *, label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0) -> Loss:
    """Kullback-Leibler divergence from shares of votes: `soft_cross_entropy` minus the votes' own entropy.

    Its gradient is that of `soft_cross_entropy`; its value is 0 for a perfect prediction. `label_smoothing` is that of
    `cross_entropy`, applied to the shares.
    """
    refuse_independent("kl", targets)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        soft = soft_targets(targets, logits)
        smoothed = torch.lerp(soft, soft.mean(dim=1, keepdim=True), label_smoothing)
        return F.kl_div(F.log_softmax(logits.float(), dim=1), smoothed, reduction="batchmean")

    return loss


def mse(targets: torch.Tensor) -> Loss:
    """Squared difference between the sigmoid of the logits and targets scaled to 0..1."""
    refuse_unscaled("mse", targets)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(logits.float().sigmoid(), soft_targets(targets, logits))

    return loss


def bce_scaled(targets: torch.Tensor) -> Loss:
    """Binary cross entropy between the sigmoid of the logits and targets scaled to 0..1.

    For any value in 0..1, not only 0 and 1: its optimum is the mean, as with `mse`, but its gradient does not vanish
    where the sigmoid is flat.
    """
    refuse_unscaled("bce_scaled", targets)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(logits.float(), soft_targets(targets, logits))

    return loss


@hookimpl
def register_losses() -> dict[str, Callable[..., Loss]]:
    """Offer the bundled losses."""
    return {
        "cross_entropy": cross_entropy,
        "focal": focal,
        "class_balanced": class_balanced,
        "arcface": arcface,
        "soft_f1": soft_f1,
        "bce": bce,
        "soft_cross_entropy": soft_cross_entropy,
        "kl": kl,
        "mse": mse,
        "bce_scaled": bce_scaled,
    }


class _PerOutput:
    """One value per output, copied to the device of the logits once, so that no step waits for a transfer.

    The fold may miss the last classes, so K is known from the logits only; missing values are `fill`.
    """

    def __init__(self, values: torch.Tensor, fill: float) -> None:
        self._values = values.float()
        self._fill = fill
        self._copy: torch.Tensor | None = None

    def on(self, logits: torch.Tensor) -> torch.Tensor:
        """Return float32 (K,) on the logits' device."""
        if self._copy is None or self._copy.device != logits.device:
            self._copy = self._fitted(logits.shape[1]).to(logits.device)
        return self._copy

    def _fitted(self, outputs: int) -> torch.Tensor:
        if outputs == 1:  # class numbers 0 and 1 on a single output: it takes the value of class 1
            return self._values[-1:] if len(self._values) else torch.full((1,), self._fill)
        return F.pad(self._values, (0, outputs - len(self._values)), value=self._fill)


def _softmax_loss(weights: _PerOutput, smoothing: float, gamma: float = 0.0) -> Loss:
    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        log_probabilities = F.log_softmax(logits.float(), dim=1)
        weighted = soft_targets(targets, logits) * weights.on(logits)  # (B, K) * (K,)
        weighted = torch.lerp(weighted, weighted.mean(dim=1, keepdim=True), smoothing)
        if gamma > 0:
            weighted = weighted * _doubt(log_probabilities).pow(gamma)
        return -(weighted * log_probabilities).sum(dim=1).mean()

    return loss


def _doubt(log_probabilities: torch.Tensor) -> torch.Tensor:
    """Return 1 - p, never quite 0: there the slope of a power below 1 is infinite and the gradient NaN."""
    return (-torch.expm1(log_probabilities)).clamp_min(1e-8)


def _batch_f1(probabilities: torch.Tensor, soft: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Return the mean F1 of the `present` classes, boolean (K,); probabilities and soft targets are (B, K)."""
    rows = soft.sum(dim=0)
    f1 = 2 * (probabilities * soft).sum(dim=0) / (probabilities.sum(dim=0) + rows).clamp_min(1e-8)
    return (f1 * present).sum() / present.sum().clamp_min(1)


def _class_weights(targets: torch.Tensor, scheme: str, beta: float = EFFECTIVE_BETA) -> _PerOutput:
    """Return weights that average one over the fold's rows; a class without rows gets 0.

    Zero, because no network can learn such a class: in validation its rows would drown out the others' loss.
    """
    if scheme == "none":
        return _PerOutput(torch.ones(0), fill=1.0)
    rows = rows_per_class(targets)
    counts = rows.clamp(min=1)  # soft targets can leave a class less than one row
    schemes = {"balanced": 1 / counts, "sqrt": counts.rsqrt(), "effective": (1 - beta) / (1 - beta**counts)}
    weights = schemes[scheme] * (rows > 0)
    return _PerOutput(weights * rows.sum() / (weights * rows).sum(), fill=0.0)


def _negatives_per_positive(targets: torch.Tensor) -> torch.Tensor:
    positive = rows_per_class(targets)
    negative = len(targets) - positive
    changes = (positive > 0) & (negative > 0)
    return torch.where(changes, negative / positive.clamp(min=1), 1.0)
