"""Sharpness-aware minimisation: the step of any optimizer, from gradients taken elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim import Optimizer


class Climbs(Optimizer):
    """What SAM adds to an optimizer's class: `climbed()`, between the two passes of a step.

    Between steps there is nothing to keep, so the state of a checkpoint is that of the optimizer itself.
    """

    rho: float
    adaptive: bool

    @contextmanager
    def climbed(self) -> Iterator[None]:
        """Move the weights by `rho` along their gradients (equation 2 of the paper), and afterwards back, to the bit.

        Gradients that are not finite move nothing: the second pass then finds the same ones, and the step is refused.
        """
        weights = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        before = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            slopes = [self._scaled(weight, weight.grad) for weight in weights]
            length = torch.nn.utils.get_total_norm(slopes)
            share = torch.where(torch.isfinite(length), self.rho / (length + 1e-12), 0.0)
            for weight, slope in zip(weights, slopes, strict=True):
                # Adaptive: a weight moves in proportion to its square, |w|^2 g / ||w g||.
                weight.add_(torch.nan_to_num(self._scaled(weight, slope) * share))
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, value in zip(weights, before, strict=True):
                    weight.copy_(value)

    def _scaled(self, weight: torch.Tensor, slope: torch.Tensor | None) -> torch.Tensor:
        assert slope is not None
        return weight.abs() * slope if self.adaptive else slope
