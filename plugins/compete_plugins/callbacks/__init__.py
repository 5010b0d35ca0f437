"""Callbacks: best checkpoint, early stopping, and averages of the weights (EMA, SWA, greedy soup).

A callback is one object for the whole run. `on_member_start` resets it; when a killed run resumes, `load_state_dict`
follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from compete import Count, Epoch, TrainerView, hookimpl

from ._averages import GreedySoup, StochasticAverage

State = dict[str, Any]  # tensors, numbers and strings


class BestCheckpoint:
    """Keep the weights of the epoch with the best score."""

    def __init__(self) -> None:
        self.best: float | None = None

    @hookimpl
    def on_member_start(self) -> None:
        """Reset for a new member."""
        self.best = None

    @hookimpl
    def on_epoch_end(self, trainer: TrainerView, epoch: Epoch) -> None:
        """Mark the weights if this is the best epoch so far; of equal epochs the first stays."""
        if trainer.metric.better(epoch.score, self.best):
            self.best = epoch.score
            trainer.mark_best()

    def state_dict(self) -> State:
        """Return the best score."""
        return {} if self.best is None else {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the best score."""
        self.best = state.get("best")


class EarlyStopping:
    """End a member whose score no longer improves."""

    def __init__(self, patience_epochs: int, min_delta: float) -> None:
        self.patience_epochs = patience_epochs
        self.min_delta = min_delta
        self.best: float | None = None
        self.epochs_without_gain = 0

    @hookimpl
    def on_member_start(self) -> None:
        """Reset for a new member."""
        self.best = None
        self.epochs_without_gain = 0

    @hookimpl
    def on_epoch_end(self, trainer: TrainerView, epoch: Epoch) -> None:
        """Count the epochs since the last gain of more than `min_delta`."""
        margin = self.min_delta if trainer.metric.higher_is_better else -self.min_delta
        if trainer.metric.better(epoch.score - margin, self.best):
            self.best = epoch.score
            self.epochs_without_gain = 0
        else:
            self.epochs_without_gain += 1

    @hookimpl
    def should_stop(self) -> bool | None:
        """Stop when the patience is used up; otherwise leave the decision to others."""
        return True if self.epochs_without_gain >= self.patience_epochs else None

    def state_dict(self) -> State:
        """Return the best score and the count."""
        best = {} if self.best is None else {"best": self.best}
        return {"epochs_without_gain": self.epochs_without_gain, **best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the best score and the count."""
        self.best = state.get("best")
        self.epochs_without_gain = state["epochs_without_gain"]


class WeightAverage:
    """Validate and predict with an exponential moving average of the weights and running statistics."""

    def __init__(self, decay: float, warmup: bool) -> None:
        self.decay = decay
        self.warmup = warmup
        self.steps = 0
        self.network = nn.Module()
        self._floats: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        self._counters: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])

    @hookimpl
    def on_member_start(self, trainer: TrainerView) -> None:
        """Start from a copy of the member's network.

        Running statistics are averaged like the weights they belong to; integers, such as batch norm's counter, are
        copied.
        """
        self.steps = 0
        self.network = deepcopy(trainer.network).requires_grad_(False)
        own, followed = _tensors(self.network), _tensors(trainer.network)
        self._floats = [t for t in own if t.is_floating_point()], [t for t in followed if t.is_floating_point()]
        self._counters = (
            [t for t in own if not t.is_floating_point()],
            [t for t in followed if not t.is_floating_point()],
        )

    @hookimpl
    def on_step_end(self) -> None:
        """Move the average a little towards the network."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.warmup else self.decay
        # Not `AveragedModel.update_parameters`: at each step it sends a counter to the device and waits for it.
        get_ema_multi_avg_fn(decay)(*self._floats, self.steps)  # type: ignore[no-untyped-call]
        if self._counters[0]:
            torch._foreach_copy_(*self._counters)  # one kernel for all

    @hookimpl
    def evaluation_network(self) -> nn.Module:
        """Return the averaged network."""
        return self.network

    def state_dict(self) -> State:
        """Return the averaged network's tensors and the number of steps."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        return {"steps": self.steps, **tensors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the average exactly."""
        self.steps = state["steps"]
        own = {key.removeprefix("network."): value for key, value in state.items() if key != "steps"}
        self.network.load_state_dict(own)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [tensor.detach() for tensor in (*network.parameters(), *network.buffers())]


def best_checkpoint() -> BestCheckpoint:
    """Keep the weights of the epoch with the best score in the competition's metric."""
    return BestCheckpoint()


def early_stopping(
    *,
    patience_epochs: Count = 3,
    min_delta: Annotated[float, Field(ge=0, le=1e30)] = 0.0,
) -> EarlyStopping:
    """End a member after `patience_epochs` epochs without a better score.

    Gains up to `min_delta` do not count.
    """
    return EarlyStopping(patience_epochs, min_delta)


def ema(*, decay: Annotated[float, Field(gt=0, lt=1)] = 0.999, warmup: bool = True) -> WeightAverage:
    """Validate and predict with an exponential moving average of the weights (Polyak and Juditsky 1992).

    `decay` is the share of the average that each step keeps. With `warmup` it is at most (1 + steps) / (10 + steps),
    so that the first, untrained weights soon fade.
    """
    return WeightAverage(decay, warmup)


def swa(*, last_epochs: Count = 5) -> StochasticAverage:
    """Validate and predict with the mean of the weights after each of the last epochs (SWA, Izmailov et al. 2018).

    `last_epochs` are averaged, of `[training] epochs`; before them nothing changes. After each of them BatchNorm's
    statistics are computed again, in a pass over the epoch's training images, which costs a forward pass of an epoch;
    those of frozen parts stay. The paper keeps the rate high meanwhile: use a schedule that does not fall to zero.
    A member that stops early averages the epochs that it reached.
    """
    return StochasticAverage(last_epochs)


def soup(*, candidates: Annotated[int, Field(ge=2, le=100)] = 5) -> GreedySoup:
    """Average the weights of a member's best epochs, as long as its score does not fall (Wortsman et al. 2022).

    The `candidates` best epochs are kept in memory and in checkpoints. After the last epoch the soup starts with the
    best one, and each next one stays in if the mean of all scores at least as well, by the competition's metric, on the
    member's own fold. So the weights are fitted on the fold that scores them, as those of `best_checkpoint` are: the CV
    is too good, the more so the smaller the fold. Compare soups with the last epoch, EMA or SWA by a score that saw
    none of them. BatchNorm's statistics are averaged like the weights.
    """
    return GreedySoup(candidates)


@hookimpl
def register_callbacks() -> dict[str, Callable[..., object]]:
    """Offer the callbacks by name."""
    return {
        "best_checkpoint": best_checkpoint,
        "early_stopping": early_stopping,
        "ema": ema,
        "swa": swa,
        "soup": soup,
    }
