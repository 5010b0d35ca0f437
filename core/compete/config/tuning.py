"""`[finetune]`, `[init]` and `[search]`: what trains when and how fast, how new layers start, what a search tries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from compete.config.table import Count, Number, Selectors, Table, setting
from compete.errors import Problem


class Stage(Table):
    """A stage of `[finetune] schedule`: the first epoch, and selectors of all that trains from then on."""

    epoch: Count
    train: Selectors


class Finetune(Table):
    """Which parts of a network are trained, when, and how fast.

    Parts are named by selectors: names, patterns such as `layer1*`, `type:BatchNorm2d`, or `head`, `backbone`, `all`.
    """

    preset: Literal["full", "features", "gradual"] | None = setting(
        "training",
        None,
        "full: everything; features: the head only; gradual: the head, then stages from the top over the epochs",
    )
    freeze: Literal["none", "backbone"] | list[str] | None = setting(
        "training", None, "what is never trained: `backbone` is all but the head; or selectors, such as `layer1*`"
    )
    schedule: list[Stage] = setting(
        "training",
        [],
        'all that trains from an epoch on, by stage: `[{ epoch = 1, train = ["head"] }, { epoch = 3, train = "all" }]`',
    )
    backbone_lr_ratio: Annotated[float, Field(ge=1e-6, le=1)] = setting(
        "training", 1.0, "learning rate of the backbone divided by that of the head"
    )
    layer_decay: Annotated[float, Field(ge=0.01, le=1)] = setting(
        "training", 1.0, "learning rate of each stage of the backbone divided by that of the one above it"
    )

    @property
    def head_only(self) -> bool:
        """Whether nothing but the head is ever trained."""
        return self.preset == "features" or self.freeze == "backbone"

    def conflicts(self, epochs: int) -> Iterator[Problem]:
        """Yield what does not suit the other keys or the epochs."""
        preset, freeze = f'preset = "{self.preset}"', f"[finetune] freeze = {json.dumps(self.freeze)}"
        if self.preset and self.schedule:
            yield Problem("[finetune] schedule", f"{preset} already says what trains when. Remove one of the two.")
        elif self.schedule and self.freeze == "backbone":
            yield Problem(freeze, "then no schedule can train it. Remove one of the two.")
        suits = self.freeze in (None, {"full": "none", "features": "backbone"}.get(self.preset or ""))
        if self.preset and not suits and not (self.preset == "gradual" and isinstance(self.freeze, list)):
            hint = " A list of what is never trained combines with it." if self.preset == "gradual" else ""
            yield Problem(freeze, f"contradicts {preset}. Remove it.{hint}")
        for key in ("backbone_lr_ratio", "layer_decay"):
            if self.preset == "features" and getattr(self, key) != 1:
                yield Problem(f"[finetune] {key} = {getattr(self, key)}", f"has no effect with {preset}. Remove it.")
        yield from (Problem("[finetune] schedule", problem) for problem in self._wrong_stages(epochs))

    def _wrong_stages(self, epochs: int) -> Iterator[str]:
        starts = [stage.epoch for stage in self.schedule]
        if starts and starts[0] != 1:
            yield f"the first stage starts in epoch {starts[0]}. Begin with epoch = 1."
        if starts != sorted(set(starts)):
            yield f"the stages start in epochs {starts}. Each must start after the one before."
        if late := [epoch for epoch in starts if epoch > epochs]:
            yield f"a stage starts in epoch {late[0]}, beyond [training] epochs = {epochs}. Change one of the two."
        if any(not stage.train for stage in self.schedule):
            yield 'a stage trains nothing. Write what trains, such as train = ["head"].'


Scheme = Literal[
    "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal", "trunc_normal", "normal",
    "zeros", "ones",
]  # fmt: skip


class Init(Table):
    """How layers without trained weights are initialised; default: as the network does it itself.

    Deterministic by the member's seed. The functions are those of `torch.nn.init`, applied by `Module.apply`.
    """

    weights: Scheme | dict[str, Scheme] | None = setting(
        "training", None, 'one scheme for all weight matrices, or one by type: `{ Conv2d = "kaiming_normal" }`'
    )
    gain: Annotated[float, Field(gt=0, le=1000)] = setting(
        "training", 1.0, "factor of the weights' spread; `normal` and `trunc_normal` have a std of 0.02 before it"
    )
    bias: Number | None = setting("training", 0.0, "value of these layers' biases")
    modules: list[str] = setting(
        "training", [], "selectors of the layers, also of trained ones, which is reported; empty: new layers only"
    )

    def conflicts(self) -> Iterator[Problem]:
        """Yield what has no effect."""
        given = [
            key for key in ("gain", "bias", "modules") if getattr(self, key) != type(self).model_fields[key].default
        ]
        if self.weights is None and given:
            yield Problem(f"[init] {given[0]}", 'needs weights, such as weights = "kaiming_normal".')


class Search(Table):
    """What `compete search` tries; `compete run` leaves it alone."""

    space: dict[str, Any] = setting(
        "nothing",
        {},
        'values to try, by key: `"optimizer.lr" = { low = 1e-4, high = 1e-2, log = true }`, `"loss" = [{ name = '
        '"focal" }, { name = "cross_entropy" }]`',
    )
    trials: Count = setting("nothing", 20, "trials in all, pruned and failed ones too")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = setting("nothing", 0, "seed of the proposals")
    sampler: Literal["tpe", "random"] = setting(
        "nothing", "tpe", "tpe: learns from finished trials (Bergstra et al. 2011); random: does not"
    )
    pruner: Literal["median", "none"] = setting(
        "nothing",
        "median",
        "median: end a trial after a fold if its mean is below the others' median there",
    )
    startup: Annotated[int, Field(ge=1, le=10_000)] = setting(
        "nothing", 5, "trials before proposals learn and trials are pruned"
    )
