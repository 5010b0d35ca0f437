"""What trains when, and how fast: `[finetune]` becomes a plan for a network, and the optimizer's groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from compete.errors import ConfigError
from compete.model.selectors import find_head, is_fitted, match_parameters, summarised, within
from compete.model.stages import stages_of

if TYPE_CHECKING:
    import torch

    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.config.tuning import Finetune


@dataclass(frozen=True)
class Step:
    """A step of a plan: from its epoch on (the first is 1), exactly these parameters are trained."""

    epoch: int
    parameters: frozenset[str]


@dataclass(frozen=True)
class TrainingPlan:
    """The steps of a network's training; each trains all that the one before did, and more."""

    steps: tuple[Step, ...]

    def at(self, epoch: int) -> Step:
        """Return the step that an epoch is in."""
        return [step for step in self.steps if step.epoch <= epoch][-1]

    @property
    def last(self) -> Step:
        """The step with everything that is ever trained."""
        return self.steps[-1]

    def first_epoch(self, parameter: str) -> int | None:
        """Return the epoch from which on a parameter is trained; None if it never is."""
        return next((step.epoch for step in self.steps if parameter in step.parameters), None)


def plan_training(network: nn.Module, config: Config, outputs: int) -> TrainingPlan:
    """Return what `[finetune]` trains of a network with K `outputs`, and when. Raise `ConfigError`.

    Call it before anything is frozen: parameters without `requires_grad` are the network's own constants.
    """
    settings = config.finetune
    trainable = [name for name, p in network.named_parameters() if p.requires_grad]
    frozen = set(_named(network, settings.freeze, "[finetune] freeze:") if isinstance(settings.freeze, list) else [])
    open_ = [name for name in trainable if name not in frozen]
    if settings.schedule:
        steps = [
            (stage.epoch, _named(network, stage.train, f"[finetune] schedule.{number} train:"))
            for number, stage in enumerate(settings.schedule)
        ]
    elif settings.preset == "gradual":
        steps = list(_gradual(network, open_, outputs, config.training.epochs))
    elif settings.head_only or is_fitted(network):
        steps = [(1, _head(network, outputs))]
    else:
        steps = [(1, open_)]
    plan = TrainingPlan(tuple(Step(epoch, frozenset(names).intersection(open_)) for epoch, names in steps))
    _check(network, plan)
    return plan


def _named(network: nn.Module, selectors: Sequence[str], where: str) -> list[str]:
    return match_parameters(network, selectors, where)


def _head(network: nn.Module, outputs: int) -> list[str]:
    heads = find_head(network, outputs)
    return [name for name, _ in network.named_parameters() if within(name, heads)]


def _gradual(network: nn.Module, names: Sequence[str], outputs: int, epochs: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the head, then more and more of the stages from the top, in steps of equal length.

    There are as many steps as stages, or as epochs if these are fewer; lower stages, which hold the most general
    features, then come several at once.
    """
    trained = _head(network, outputs)
    yield 1, list(trained)
    stages = [kept for stage in stages_of(network) if (kept := [name for name in stage if name in set(names)])]
    staged = {name for stage in stages for name in stage}
    beside = [name for name in names if name not in staged and name not in trained]  # such as a last norm
    if not stages and beside:
        stages, beside = [beside], []
    count = min(epochs - 1, len(stages))
    for step in range(1, count + 1):
        lowest, highest = (len(stages) - (n * len(stages)) // count for n in (step, step - 1))
        trained = [*trained, *beside, *(name for stage in stages[lowest:highest] for name in stage)]
        yield 1 + step * epochs // (count + 1), list(trained)
        beside = []


def _check(network: nn.Module, plan: TrainingPlan) -> None:
    """Refuse a plan whose steps train nothing, nothing more, or less than before."""
    problems = []
    if not plan.steps[0].parameters and not is_fitted(network):
        problems.append("[finetune]: no parameter remains to train" + " in epoch 1" * (len(plan.steps) > 1))
    for number, (before, step) in enumerate(zip(plan.steps, plan.steps[1:], strict=False), start=1):
        lost = before.parameters - step.parameters
        where = f"[finetune] schedule.{number}, epoch {step.epoch}:"
        if lost:
            left_out = summarised(network, lost)
            problems.append(f"{where} leaves out {left_out}, which trains before. List it too: a schedule only adds")
        elif before.parameters == step.parameters:
            problems.append(f"{where} trains nothing more than the stage before. Remove it")
    if problems:
        raise ConfigError(problems)


def begin_plan(network: nn.Module, config: Config, outputs: int) -> TrainingPlan:
    """Return a new network's plan, and set the network to its first epoch."""
    plan = plan_training(network, config, outputs)
    set_trainable(network, plan, epoch=1)
    return plan


def set_trainable(network: nn.Module, plan: TrainingPlan, epoch: int) -> None:
    """Freeze what a plan does not train in an epoch, and unfreeze what it does."""
    trained = plan.at(epoch).parameters
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in trained)


def frozen_modules(network: nn.Module) -> list[str]:
    """Return the names of the modules whose parameters are all frozen."""
    return [name for name, module in network.named_modules() if name and _is_frozen(module)]


def set_training_mode(network: nn.Module) -> None:
    """Put the network into training mode, and its frozen modules into eval mode.

    Even without gradients BatchNorm updates its running statistics, except in eval mode.
    """
    network.train()
    for name in frozen_modules(network):
        network.get_submodule(name).eval()


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(p.requires_grad for p in parameters)


def parameter_groups(network: nn.Module, config: Config, outputs: int, plan: TrainingPlan) -> list[dict[str, Any]]:
    """Group all that a plan ever trains, by learning rate, weight decay and the epoch that it starts in.

    Norms and biases have no weight decay. What is unfrozen later stands in groups of its own from the start, so that
    every schedule scales its rate like any other; see `awake`.
    """
    groups: dict[tuple[int, float, bool], list[nn.Parameter]] = {}
    ratios = learning_rate_ratios(network, config.finetune, outputs)
    for name, parameter in network.named_parameters():
        epoch = plan.first_epoch(name)
        if epoch is not None:
            groups.setdefault((epoch, ratios[name], parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr_ratio": ratio,
            "first_epoch": epoch,
            **({} if decayed else {"weight_decay": 0.0}),
        }
        for (epoch, ratio, decayed), parameters in groups.items()
    ]


def learning_rate_ratios(network: nn.Module, settings: Finetune, outputs: int) -> dict[str, float]:
    """Return the learning rate of each parameter as a share of the head's.

    That of the last stage is `backbone_lr_ratio` times `layer_decay`, that of each lower one `layer_decay` times the
    one above (BEiT, Bao et al. 2021; timm's `param_groups_layer_decay`).
    """
    names = [name for name, _ in network.named_parameters()]
    if settings.backbone_lr_ratio == settings.layer_decay == 1:
        return dict.fromkeys(names, 1.0)
    heads = find_head(network, outputs)
    ratios = {name: 1.0 if within(name, heads) else settings.backbone_lr_ratio for name in names}
    if settings.layer_decay != 1:
        for depth, stage in enumerate(reversed(stages_of(network)), start=1):
            ratios |= {name: ratios[name] * settings.layer_decay**depth for name in stage}
    return ratios


def build_optimizer(optimizer: BoundComponent, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Build the optimizer, and scale each group's learning rate by its `lr_ratio`."""
    built: torch.optim.Optimizer = optimizer.build(groups)
    for group in built.param_groups:
        group["lr"] *= group.get("lr_ratio", 1.0)
    return built


@contextmanager
def awake(optimizer: Any, epoch: int) -> Iterator[None]:  # noqa: ANN401 - Fabric's wrapper of an optimizer
    """Hide the groups that an epoch does not train yet from the optimizer's step.

    It would pass over them anyway, as they have no gradients; but some optimizers, such as timm's LAMB, count the steps
    of a whole group, and would correct the bias of its first averages by a count that is too high.
    """
    groups = list(optimizer.param_groups)
    optimizer.param_groups[:] = [group for group in groups if group.get("first_epoch", 1) <= epoch]
    try:
        yield
    finally:
        optimizer.param_groups[:] = groups
