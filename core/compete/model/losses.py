"""One loss for a target with several heads, and soft targets for batches that are mixed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from compete.config.options import BoundComponent
    from compete.types import Array, Target

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def joint_loss(loss: BoundComponent, target: Target, encoded: Array) -> Loss:
    """Build the loss from the fold's own encoded rows: one for each head, added up.

    The result takes logits (B, K) and targets int64 (B,), int64 (B, heads) or float (B, K).
    """
    if len(target.heads) == 1:
        single: Loss = loss.build(torch.from_numpy(encoded))
        return single
    per_head: list[Loss] = [loss.build(torch.from_numpy(encoded[:, head])) for head in range(len(target.heads))]

    def joint(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        parts = _per_head(logits, target)
        wanted = _per_head(targets, target) if targets.is_floating_point() else targets.unbind(dim=1)
        losses = [one(part, want) for one, part, want in zip(per_head, parts, wanted, strict=True)]
        return torch.stack(losses).sum()

    return joint


def _per_head(columns: torch.Tensor, target: Target) -> list[torch.Tensor]:
    """Cut (B, K) into the columns of each head."""
    edges = np.cumsum([0, *target.heads])
    return [columns[:, start:end] for start, end in pairwise(edges)]


def soft_targets(targets: torch.Tensor, target: Target) -> torch.Tensor:
    """Return targets as shares (B, K) that sum to one within each head; float targets already are."""
    if targets.is_floating_point():
        return targets
    columns = targets[:, None] if targets.ndim == 1 else targets
    shares = [F.one_hot(columns[:, head], size) for head, size in enumerate(target.heads)]
    return torch.cat(shares, dim=1).float()
