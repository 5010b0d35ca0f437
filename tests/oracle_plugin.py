"""A local plugin for the gallery's tests: a network that reads the number a miniature's images hold.

With it every label is known before training, so a wrong cell in a submission means a mixed-up row, class or column.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from compete import component, hookimpl


class Oracle(nn.Module):
    """Logits of the number that an image holds; only their scale is learnt."""

    head_name = "sureness"

    def __init__(self, outputs: int, channels: int, holds: str) -> None:
        super().__init__()
        self.sureness = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.sureness.weight, 12.0)
        self.outputs, self.holds = outputs, holds
        self.mean, self.std = (0.0,) * channels, (1.0,) * channels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.holds == "measured":
            return self.sureness(images.mean(dim=(1, 2, 3))[:, None] - 0.5)
        if self.holds == "level":
            level = (images.mean(dim=(1, 2, 3)) * self.outputs).long()
            return self.sureness(self._one_of(level)[..., None])[..., 0]
        code = self._code(images)
        if self.holds == "share":
            return torch.logit(code / 100, eps=1e-3)[:, None] * self.sureness.weight / 12
        return self.sureness((self._one_of(code) if self.holds == "class" else self._set_of(code))[..., None])[..., 0]

    def _code(self, images: torch.Tensor) -> torch.Tensor:
        """Return the number in the colour of the middle, which no border or crop reaches."""
        height, width = images.shape[-2:]
        middle = images[:, :, height // 2 - 2 : height // 2 + 2, width // 2 - 2 : width // 2 + 2].mean(dim=(2, 3))
        digits = (middle * 255 / 16).long().clamp(0, 15)
        return digits[:, 0] + 16 * digits[:, 1] + 256 * digits[:, 2]

    def _one_of(self, code: torch.Tensor) -> torch.Tensor:
        return (torch.arange(self.outputs, device=code.device) == code[:, None]).float()

    def _set_of(self, code: torch.Tensor) -> torch.Tensor:
        bits = code[:, None] >> torch.arange(self.outputs, device=code.device) & 1
        return bits.float() - 0.5


def oracle(outputs: int, channels: int, *, holds: Literal["share", "class", "set", "measured", "level"]) -> nn.Module:
    """A network that needs no training; `holds` says what the number in an image means."""
    return Oracle(outputs, channels, holds)


class Bare(nn.Module):
    """The oracle's own logits, whatever head and columns the TOML has."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: torch.Tensor, _columns: torch.Tensor | None = None) -> torch.Tensor:
        return self.body(images)


@component(gives_cosines=True)  # so that a loss on cosines takes it
def bare(backbone: Callable[[int], nn.Module], _columns: int, outputs: int, *, scale: float = 30.0) -> nn.Module:
    """No head: the backbone gives the logits."""
    return Bare(backbone(outputs))


@hookimpl
def register_heads() -> dict:
    return {"bare": bare}


@hookimpl
def register_models() -> dict:
    return {"oracle": oracle}
