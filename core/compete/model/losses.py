"""One loss for a target with several heads, and soft targets for mixed batches."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from compete.config.options import BoundComponent
    from compete.types import Array, Target

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def joint_loss(loss: BoundComponent, target: Target, encoded: Array) -> Loss:
    """Build a loss for each head from the fold's encoded training rows, and return their sum.

    It takes logits (B, K) and targets int64 (B,), int64 (B, heads) or float (B, K).
    """
    if len(target.heads) == 1:
        single: Loss = loss.build(torch.from_numpy(encoded))
        return single
    per_head: list[Loss] = [loss.build(torch.from_numpy(encoded[:, head])) for head in range(len(target.heads))]

    def joint(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        # int64 (B, heads) -> heads x (B,)
        split = _per_head(targets, target) if targets.is_floating_point() else targets.unbind(dim=1)
        heads = zip(per_head, _per_head(logits, target), split, strict=True)
        return torch.stack([head_loss(*arguments) for head_loss, *arguments in heads]).sum()

    return joint


def _per_head(columns: torch.Tensor, target: Target) -> list[torch.Tensor]:
    """Split (B, K) into the columns of each head, (B, size)."""
    edges = np.cumsum([0, *target.heads])  # sizes 3, 2 -> 0, 3, 5
    return [columns[:, start:end] for start, end in pairwise(edges)]


def soft_targets(targets: torch.Tensor, target: Target) -> torch.Tensor:
    """Return soft targets (B, K), one-hot within each head; float targets already are soft."""
    if targets.is_floating_point():
        return targets
    columns = targets[:, None] if targets.ndim == 1 else targets  # (B, heads)
    one_hot = [
        columns[:, head, None]
        == torch.arange(size, device=columns.device)  # not `F.one_hot`, which looks at the values
        for head, size in enumerate(target.heads)
    ]
    return torch.cat(one_hot, dim=1).float()  # heads x (B, size) -> (B, K)
