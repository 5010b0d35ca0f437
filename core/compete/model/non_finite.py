"""Non-finite losses and gradients, counted on the device, so that the host need not wait for each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class NonFiniteSteps:
    """An epoch's steps with a non-finite loss or gradient: their number, their rows, and the first of them."""

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
        """Set the three numbers; zeros start counting again."""
        for counter, value in zip((self.steps, self.rows, self.first), state, strict=True):
            counter.fill_(value)


def buffers_of(network: nn.Module) -> list[torch.Tensor]:
    """Copy a network's buffers: a forward pass over non-finite values would ruin its running statistics."""
    return [buffer.clone() for buffer in network.buffers()]


@contextmanager
def kept_buffers(network: nn.Module) -> Iterator[None]:
    """Restore the buffers afterwards, such as BatchNorm's statistics."""
    before = buffers_of(network)
    yield
    for buffer, value in zip(network.buffers(), before, strict=True):
        buffer.copy_(value)


def gradients_are_finite(network: nn.Module) -> torch.Tensor:
    """Return whether every gradient is finite, a boolean on the device."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    return torch.isfinite(torch.nn.utils.get_total_norm(gradients))


def weights_are_finite(network: nn.Module) -> bool:
    """Return whether every weight is finite, waiting for the device."""
    return bool(torch.isfinite(torch.nn.utils.get_total_norm([p.detach() for p in network.parameters()])))


def leave_out(network: nn.Module, buffers: Sequence[torch.Tensor], finite: torch.Tensor) -> None:
    """If a step was not finite, zero its gradients and restore the buffers."""
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.grad.masked_fill_(~finite, 0.0)
    for buffer, before in zip(network.buffers(), buffers, strict=True):
        buffer.copy_(torch.where(finite, buffer, before))
