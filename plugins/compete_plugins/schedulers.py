"""Schedulers: the learning rate of each parameter group, from its own base rate, set after every optimizer step.

After the last step the rate stays as it was in that step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import torch
from pydantic import Field

from compete import component, hookimpl


class Schedule:
    """Scale every group's base rate by a ratio that depends on the number of steps made."""

    def __init__(self, optimizer: torch.optim.Optimizer, total_steps: int, ratio: Callable[[int], float]) -> None:
        self._optimizer = optimizer
        self._last_step = total_steps - 1
        self._ratio = ratio
        self._steps = 0
        self._apply()

    def step(self) -> None:
        """Count one optimizer step and set the rates for the next."""
        self._steps += 1
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps made."""
        return {"steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the number of steps."""
        self._steps = state["steps"]
        self._apply()

    def _apply(self) -> None:
        ratio = self._ratio(min(self._steps, self._last_step))
        for group in self._optimizer.param_groups:
            group["lr"] = _base_lr(group) * ratio


class Plateau:
    """Lower every group's rate when the score has not improved for some epochs."""

    def __init__(self, optimizer: torch.optim.Optimizer, *, patience_epochs: int, factor: float, min_lr: float) -> None:
        self._optimizer = optimizer
        self._patience_epochs = patience_epochs
        self._factor = factor
        self._min_lr = min_lr
        self._state: dict[str, Any] = {"best": math.inf, "bad_epochs": 0, "cuts": 0}
        self._apply()

    def step(self) -> None:
        """Do nothing: only epochs count."""

    def epoch_end(self, badness: float) -> None:
        """Count an epoch by how bad its score was, lower is better; NaN is not an improvement."""
        state = self._state
        if badness < state["best"]:
            state.update(best=badness, bad_epochs=0)
            return
        state["bad_epochs"] += 1
        if state["bad_epochs"] > self._patience_epochs:
            state.update(bad_epochs=0, cuts=state["cuts"] + 1)
            self._apply()

    def state_dict(self) -> dict[str, Any]:
        """Return the best score, the epochs since, and the cuts made."""
        return dict(self._state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore that state."""
        self._state = dict(state)
        self._apply()

    def _apply(self) -> None:
        for group in self._optimizer.param_groups:
            base = _base_lr(group)
            group["lr"] = max(base * self._factor ** self._state["cuts"], min(base, self._min_lr))


def cosine(
    optimizer: torch.optim.Optimizer,
    total_steps: int,
    *,
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.05,
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01,
) -> Schedule:
    """Rise in a straight line, then fall along half a cosine (Loshchilov and Hutter 2017, without restarts).

    `warmup_share` is the share of all steps in which the rate rises. `min_lr_ratio` is the final rate, as a share of
    the base rate.
    """
    warmup_steps = round(warmup_share * total_steps)

    def ratio(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        return _half_cosine(1.0, min_lr_ratio, (step - warmup_steps) / max(1, total_steps - warmup_steps))

    return Schedule(optimizer, total_steps, ratio)


def one_cycle(
    optimizer: torch.optim.Optimizer,
    total_steps: int,
    *,
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.3,
    start_lr_ratio: Annotated[float, Field(gt=0, le=1)] = 0.04,
    end_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 4e-6,
) -> Schedule:
    """Rise and fall along half cosines (1cycle, Smith and Topin 2018); a group's base rate is its peak.

    `warmup_share` is the share of all steps in which the rate rises. `start_lr_ratio` and `end_lr_ratio` are the first
    and the final rate, as shares of the peak.
    """
    peak_step = warmup_share * total_steps - 1
    fall_steps = total_steps - 1 - peak_step

    def ratio(step: int) -> float:
        if step < peak_step:
            return _half_cosine(start_lr_ratio, 1.0, step / peak_step)
        if total_steps == 1:
            return 1.0
        return _half_cosine(1.0, end_lr_ratio, (step - peak_step) / fall_steps)

    return Schedule(optimizer, total_steps, ratio)


def check_step(*, every_share: float | None, milestones: list[float] | None, **_: object) -> Iterator[str]:
    """Yield a problem unless exactly one of the two is set."""
    if (every_share is None) == (milestones is None):
        yield "set either every_share = 0.25 or milestones = [0.5, 0.8]."


@component(check=check_step, alternatives=(("every_share", "milestones"),))
def step(
    optimizer: torch.optim.Optimizer,
    total_steps: int,
    *,
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1,
    every_share: Annotated[float, Field(gt=0, le=1)] | None = None,
    milestones: list[Annotated[float, Field(gt=0, lt=1)]] | None = None,
) -> Schedule:
    """Multiply the rate by a factor at fixed points of training.

    `gamma` is the factor. Set either `every_share`, the share of all steps after which it is applied each time, or
    `milestones`, the points as shares of all steps.
    """
    if every_share is not None:
        every_steps = max(1, round(every_share * total_steps))
        return Schedule(optimizer, total_steps, lambda step: gamma ** (step // every_steps))
    cuts = [round(share * total_steps) for share in milestones or []]
    return Schedule(optimizer, total_steps, lambda step: gamma ** sum(step >= cut for cut in cuts))


def plateau(
    optimizer: torch.optim.Optimizer,
    _total_steps: int,
    *,
    patience_epochs: Annotated[int, Field(ge=0, le=100_000)] = 2,
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    min_lr: Annotated[float, Field(ge=0, le=100)] = 0.0,
) -> Plateau:
    """Multiply the rate by a factor when the competition's metric stops improving.

    After more than `patience_epochs` epochs without a new best score the rate is multiplied by `factor`. `min_lr` is
    the lowest rate; a group whose base rate is lower keeps that.
    """
    return Plateau(optimizer, patience_epochs=patience_epochs, factor=factor, min_lr=min_lr)


def none(optimizer: torch.optim.Optimizer, total_steps: int) -> Schedule:
    """Keep every group at its base rate."""
    return Schedule(optimizer, total_steps, lambda _step: 1.0)


@hookimpl
def register_schedulers() -> dict[str, Callable[..., Schedule | Plateau]]:
    """Offer the bundled schedulers."""
    return {"cosine": cosine, "one_cycle": one_cycle, "step": step, "plateau": plateau, "none": none}


def _base_lr(group: dict[str, Any]) -> float:
    """Return the group's rate before any schedule, kept in the group itself.

    There it is saved with the optimizer, and a group added later (gradual unfreezing) has one of its own.
    """
    return float(group.setdefault("initial_lr", group["lr"]))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
