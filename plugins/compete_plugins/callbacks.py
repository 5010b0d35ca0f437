"""Callbacks that come with compete: best checkpoint, early stopping, and an average of the weights (EMA).

A callback is one object for the whole run. It starts anew in `on_member_start`; when a killed run goes on,
`load_state_dict` follows that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Annotated, Any, Protocol

import torch
from pydantic import Field
from torch import nn

from compete import Epoch, Metric, hookimpl

State = dict[str, Any]  # tensors, numbers and text


class Trainer(Protocol):
    """What these callbacks need of a member in training."""

    network: nn.Module
    metric: Metric

    def mark_best(self) -> None:
        """Mark the current weights as those that the member ends with."""


class BestCheckpoint:
    """Keep the weights of the epoch with the best score."""

    def __init__(self) -> None:
        self.best: float | None = None

    @hookimpl
    def on_member_start(self) -> None:
        """Forget the member before."""
        self.best = None

    @hookimpl
    def on_epoch_end(self, trainer: Trainer, epoch: Epoch) -> None:
        """Keep the weights if this is the best epoch so far; of equal ones the first stays."""
        if trainer.metric.better(epoch.score, self.best):
            self.best = epoch.score
            trainer.mark_best()

    def state_dict(self) -> State:
        """Return the best score."""
        return {} if self.best is None else {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a best score."""
        self.best = state.get("best")


class EarlyStopping:
    """End a member whose score does not improve any more."""

    def __init__(self, patience_epochs: int, min_delta: float) -> None:
        self.patience_epochs = patience_epochs
        self.min_delta = min_delta
        self.best: float | None = None
        self.epochs_without_gain = 0

    @hookimpl
    def on_member_start(self) -> None:
        """Forget the member before."""
        self.best = None
        self.epochs_without_gain = 0

    @hookimpl
    def on_epoch_end(self, trainer: Trainer, epoch: Epoch) -> None:
        """Count the epochs since the last gain of more than `min_delta`."""
        margin = self.min_delta if trainer.metric.higher_is_better else -self.min_delta
        if trainer.metric.better(epoch.score - margin, self.best):
            self.best = epoch.score
            self.epochs_without_gain = 0
        else:
            self.epochs_without_gain += 1

    @hookimpl
    def should_stop(self) -> bool | None:
        """Stop when the patience is used up; otherwise leave the question to others."""
        return True if self.epochs_without_gain >= self.patience_epochs else None

    def state_dict(self) -> State:
        """Return the best score and the count."""
        best = {} if self.best is None else {"best": self.best}
        return {"epochs_without_gain": self.epochs_without_gain, **best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a best score and a count."""
        self.best = state.get("best")
        self.epochs_without_gain = state["epochs_without_gain"]


class WeightAverage:
    """Validate and predict with an exponential moving average of the weights and running statistics."""

    def __init__(self, decay: float, warmup: bool) -> None:
        self.decay = decay
        self.warmup = warmup
        self.steps = 0
        self.network = nn.Module()
        self._pairs = _Pairs(self.network, self.network)

    @hookimpl
    def on_member_start(self, trainer: Trainer) -> None:
        """Start from a copy of the member's network."""
        self.steps = 0
        self.network = deepcopy(trainer.network).requires_grad_(False)
        self._pairs = _Pairs(self.network, trainer.network)

    @hookimpl
    def on_step_end(self) -> None:
        """Move the average a little towards the network."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.warmup else self.decay
        self._pairs.move(1 - decay)

    @hookimpl
    def evaluation_network(self) -> nn.Module:
        """Return the averaged network."""
        return self.network

    def state_dict(self) -> State:
        """Return the averaged network's tensors and the number of steps."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        return {"steps": self.steps, **tensors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state, exactly."""
        self.steps = state["steps"]
        own = {key.removeprefix("network."): value for key, value in state.items() if key != "steps"}
        self.network.load_state_dict(own)


class _Pairs:
    """The tensors of an average beside those of the network it follows, in lists for single fused operations.

    Running statistics are averaged like weights, because they belong to the averaged ones; counters are copied.
    """

    def __init__(self, average: nn.Module, network: nn.Module) -> None:
        pairs = list(zip(_tensors(average), _tensors(network), strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        counters = [pair for pair in pairs if not pair[0].is_floating_point()]
        self.averages, self.followed = [a for a, _ in floats], [b for _, b in floats]
        self.copies, self.copied = [a for a, _ in counters], [b for _, b in counters]

    @torch.no_grad()
    def move(self, weight: float) -> None:
        """Move the averages by this share of the distance. Nothing here waits for the device."""
        torch._foreach_lerp_(self.averages, self.followed, weight)
        if self.copies:
            torch._foreach_copy_(self.copies, self.copied)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]


def best_checkpoint() -> BestCheckpoint:
    """Keep the epoch with the best score in the competition's metric; the member ends with its weights."""
    return BestCheckpoint()


def early_stopping(
    *,
    patience_epochs: Annotated[int, Field(ge=1)] = 3,
    min_delta: Annotated[float, Field(ge=0)] = 0.0,
) -> EarlyStopping:
    """End a member after `patience_epochs` epochs without a better score; gains up to `min_delta` do not count."""
    return EarlyStopping(patience_epochs, min_delta)


def ema(*, decay: Annotated[float, Field(gt=0, lt=1)] = 0.999, warmup: bool = True) -> WeightAverage:
    """Validate and predict with an exponential moving average of the weights (Polyak and Juditsky 1992).

    `decay` is how much of the average stays at each step. With `warmup` it rises to that value by
    (1 + steps) / (10 + steps), so that the first, untrained weights are soon forgotten.
    """
    return WeightAverage(decay, warmup)


@hookimpl
def register_callbacks() -> dict[str, Callable[..., object]]:
    """Offer the callbacks by name."""
    return {"best_checkpoint": best_checkpoint, "early_stopping": early_stopping, "ema": ema}
