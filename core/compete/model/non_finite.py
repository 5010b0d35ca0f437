"""Losses and gradients that are no numbers: noticed on the device, so that the host waits for no step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class NonFiniteSteps:
    """The steps of an epoch whose loss or gradients were not finite: how many, of how many rows, and the first."""

    steps: torch.Tensor
    rows: torch.Tensor
    first: torch.Tensor

    @classmethod
    def none(cls, device: torch.device) -> NonFiniteSteps:
        """Start counting on a device."""
        return cls(*(torch.zeros((), dtype=torch.int64, device=device) for _ in range(3)))

    def note(self, finite: torch.Tensor, step: int, rows: int) -> None:
        """Count step number `step`, from 1, if it was not finite."""
        bad = ~finite
        self.steps += bad
        self.rows += bad * rows
        self.first = torch.where(bad & (self.first == 0), step, self.first)

    def state(self) -> list[int]:
        """Return the three numbers, waiting for the device."""
        return [int(self.steps), int(self.rows), int(self.first)]

    def load(self, state: Sequence[int]) -> None:
        """Go on from three numbers; three zeros start anew."""
        for counter, value in zip((self.steps, self.rows, self.first), state, strict=True):
            counter.fill_(value)


def buffers_of(network: nn.Module) -> list[torch.Tensor]:
    """Copy a network's buffers: a forward pass over bad values would ruin its running statistics."""
    return [buffer.clone() for buffer in network.buffers()]


def gradients_are_finite(network: nn.Module) -> torch.Tensor:
    """Return a boolean on the device: whether every gradient is a number."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    return torch.isfinite(torch.nn.utils.get_total_norm(gradients))


def weights_are_finite(network: nn.Module) -> bool:
    """Tell whether every weight is a number, waiting for the device."""
    return bool(torch.isfinite(torch.nn.utils.get_total_norm([p.detach() for p in network.parameters()])))


def leave_out(network: nn.Module, buffers: Sequence[torch.Tensor], finite: torch.Tensor) -> None:
    """Where a step was not finite, set its gradients to zero and put the buffers back."""
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.grad.masked_fill_(~finite, 0.0)
    for buffer, before in zip(network.buffers(), buffers, strict=True):
        buffer.copy_(torch.where(finite, buffer, before))
