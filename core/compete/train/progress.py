"""A member's progress: all that must survive a kill beside its network, optimizer, schedule and callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compete.model.non_finite import NonFiniteSteps
from compete.types import Epoch

if TYPE_CHECKING:
    from compete.types import Array


@dataclass
class Progress:
    """How far a member is in its training, and what it has collected.

    `epoch` epochs are finished. In the current one, `step` steps were made with `samples_seen` images, whose losses
    sum to `loss_sum`. `splits` is the number of micro-batches that memory requires, `class_draws` float64 (C,) is how
    often each class was drawn; a soft label counts by its probabilities. `best_score` is that of `best_weights` where
    they are not those of `best_epoch` itself. `devices` are those that train it, or did at the checkpoint.
    """

    loss_sum: torch.Tensor
    non_finite: NonFiniteSteps
    class_draws: Array
    epoch: int = 0
    step: int = 0
    samples_seen: int = 0
    splits: int = 1
    history: list[Epoch] = field(default_factory=list)
    best_weights: dict[str, torch.Tensor] | None = None
    best_epoch: int = 0
    best_score: float | None = None
    seconds: float = 0.0
    devices: int = 1

    @classmethod
    def start(cls, device: torch.device, classes: int) -> Progress:
        """Return the progress of an untrained member, with sums on the device."""
        return cls(torch.zeros((), device=device), NonFiniteSteps.none(device), np.zeros(classes))

    def next_epoch(self, finished: Epoch) -> None:
        """Go to the next epoch."""
        self.history.append(finished)
        self.seconds += finished.seconds
        self.epoch, self.step, self.samples_seen = self.epoch + 1, 0, 0
        self.loss_sum.zero_()
        self.non_finite.load((0, 0, 0))

    def state_dict(self) -> dict[str, Any]:
        """Return every field as tensors, numbers, lists and dicts."""
        return {
            **vars(self),
            "non_finite": self.non_finite.state(),
            "class_draws": self.class_draws.tolist(),
            "history": [asdict(epoch) for epoch in self.history],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set every field from a state; the sums stay on their device."""
        self.loss_sum.copy_(state["loss_sum"])
        self.non_finite.load(state["non_finite"])
        self.class_draws = np.array(state["class_draws"], np.float64)
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        for name in vars(self).keys() - {"loss_sum", "non_finite", "class_draws", "history"}:
            setattr(self, name, state[name])
