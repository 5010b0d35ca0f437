"""Where NaN or infinity first appears."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from compete import TrainerView, hookimpl

from ._modules import Direction, Watch, Watcher


class NanWatch(Watcher):
    """The first module of an epoch whose output or gradient is not finite, kept on the device as its number."""

    def __init__(self, patterns: Sequence[str] | None, on: Direction) -> None:
        super().__init__(patterns, on)
        self.trainer: TrainerView | None = None
        self.first = torch.full((3,), -1)  # the module's number, its step, whether its inputs were not finite already

    @hookimpl
    def on_member_start(self, trainer: TrainerView) -> None:
        """Watch the member's network."""
        self.close()
        self.trainer, self.names = trainer, self.match(trainer.network)
        self.first = torch.full((3,), -1, device=next(trainer.network.parameters()).device)
        self._watch = Watch(trainer.network, self.names, self.on, self._note)

    def _note(self, number: int, inputs: tuple[Any, ...], values: torch.Tensor) -> None:
        assert self.trainer is not None
        bad = ~torch.isfinite(values).all()
        tensors = [i for i in inputs if isinstance(i, torch.Tensor) and i.is_floating_point()]
        before = ~torch.stack([torch.isfinite(i).all() for i in tensors]).all() if tensors else torch.zeros_like(bad)
        found = torch.full_like(self.first, number)
        found[1] = self.trainer.step + 1
        found[2] = before
        self.first = torch.where(bad & (self.first[0] < 0), found, self.first)

    @hookimpl
    def explain_non_finite(self, step: int) -> str | None:
        """Name the module; what follows a bad step is only its consequence."""
        number, found, before = self.first.tolist()
        self.first.fill_(-1)
        what = "output" if self.on == "forward" else "gradient of the output"
        if number < 0 or 0 < step < found:
            return f"nan_watch saw none in the {what}s of {len(self.names)} modules: look at the loss and the step"
        cause = ", whose input had them already" if before else ""
        return f"nan_watch found the first in step {found}, in the {what} of {self.names[number]}{cause}"
