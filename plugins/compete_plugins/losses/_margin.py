"""Losses with a margin between the classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch.nn import functional as F

from compete import component

from ._targets import refuse_independent, soft_targets


@component(needs_cosines=True)
def arcface(
    targets: torch.Tensor,
    *,
    margin: Annotated[float, Field(ge=0, lt=math.pi / 2)] = 0.3,
    scale: Annotated[float, Field(ge=1e-3, le=1e4)] = 30.0,
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Cross entropy of cosines, with a margin added to the true class's angle (ArcFace, Deng et al. 2019).

    For logits of the head `cosine` with the same `scale`. `margin` is in radians; 0 is cross entropy. Where the
    wider angle would exceed 180 degrees, the cosine keeps falling in a straight line. With soft targets, each class
    gets its share of the margin. `label_smoothing` is that of `cross_entropy`.
    """
    refuse_independent("arcface", targets)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        cosines, soft = logits.float() / scale, soft_targets(targets, logits)
        harder = torch.lerp(cosines, _wider(cosines, margin), soft)
        smoothed = torch.lerp(soft, soft.mean(dim=1, keepdim=True), label_smoothing)
        return -(smoothed * F.log_softmax(scale * harder, dim=1)).sum(dim=1).mean()

    return loss


def _wider(cosines: torch.Tensor, margin: float) -> torch.Tensor:
    """Return cos(angle + margin); beyond 180 degrees, cos(angle) less a constant, which keeps it falling."""
    sines = (1 - cosines.square()).clamp_min(1e-7).sqrt()
    turned = cosines * math.cos(margin) - sines * math.sin(margin)
    return torch.where(cosines > -math.cos(margin), turned, cosines - margin * math.sin(margin))
