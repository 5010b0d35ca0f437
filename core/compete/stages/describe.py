"""Gather what the stages found into their reports. Pure functions: they decide nothing and write no sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from compete.model.finetune import frozen_modules
from compete.model.selectors import summarised
from compete.model.stages import stages_of, states_its_stages
from compete.reports import ImagesReport, NetworkReport, OptimizationReport, PlanReport, RowsReport
from compete.text import plural

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from compete.config.load import Config
    from compete.model.finetune import TrainingPlan
    from compete.types import Array, Member, Tables, Target


def describe_rows(
    config: Config, tables: Tables, target: Target, labels: Array, folds: Array, folds_key: str
) -> RowsReport:
    """Stage 1, from labels (N,) or (N, C) and folds (N,)."""
    return RowsReport(
        train_rows=len(tables.train),
        test_rows=len(tables.test),
        groups=int(tables.train["group"].nunique()) if "group" in tables.train else None,
        target=config.one("targets").name,
        outputs=len(target.classes),
        class_rows=_class_rows(labels),
        folds=config.one("folds").name,
        folds_key=folds_key,
        fold_rows=tuple(np.bincount(folds[folds >= 0]).tolist()),
        note=tables.note,
    )


def _class_rows(labels: Array) -> tuple[int, int] | None:
    """Return the fewest and the most rows in a class, of those that have any."""
    if labels.ndim > 1 or not np.issubdtype(labels.dtype, np.integer):
        return None
    rows = np.unique(labels, return_counts=True)[1]
    return int(rows.min()), int(rows.max())


def describe_images(config: Config, train_images: int, test_images: int, columns: int) -> ImagesReport:
    """Stage 2; `columns` counts the inputs of `[columns]`."""
    height, width = config.images.size
    return ImagesReport(
        train_images=train_images,
        test_images=test_images,
        height=height,
        width=width,
        cached=config.images.cache,
        transforms=_names(config, "transforms"),
        batch_transforms=_names(config, "batch_transforms"),
        sampler=config.one("samplers").name,
        columns=columns,
    )


def describe_network(config: Config, network: nn.Module, outputs: int, plan: TrainingPlan) -> NetworkReport:
    """Stage 3, from a network that is set to its plan's first epoch."""
    model = config.one("models")
    return NetworkReport(
        model=model.name,
        backbone=str(model.options.get("backbone", "")),
        head=config.one("heads").name,
        outputs=outputs,
        parameters=sum(p.numel() for p in network.parameters()),
        trained=sum(p.numel() for p in network.parameters() if p.requires_grad),
        frozen=tuple(frozen_modules(network)),
        notes=(*getattr(network, "notes", ()), *_stages_note(config, network)),
        schedule=tuple(_steps(network, plan)) if len(plan.steps) > 1 else (),
    )


def _stages_note(config: Config, network: nn.Module) -> Iterator[str]:
    """Say where stages that `[finetune]` uses come from, unless the network itself states them."""
    used = config.finetune.layer_decay != 1 or config.finetune.preset == "gradual"
    if used and not states_its_stages(network) and (stages := stages_of(network)):
        ends = (summarised(network, stage, most=1) for stage in (stages[0], stages[-1]))
        yield f"{plural(len(stages), 'stage')} by the order of registration, from {' to '.join(ends)}"


def _steps(network: nn.Module, plan: TrainingPlan) -> Iterator[tuple[int, int, str]]:
    trained: frozenset[str] = frozenset()
    for step in plan.steps:
        count = sum(p.numel() for name, p in network.named_parameters() if name in step.parameters)
        yield step.epoch, count, summarised(network, step.parameters - trained)
        trained = step.parameters


def describe_optimization(config: Config, optimizer: Optimizer | None, heads: int) -> OptimizationReport:
    """Stage 4, from an optimizer that has made no step yet, or none for a head that is fitted at once."""
    groups = [] if optimizer is None else optimizer.param_groups
    return OptimizationReport(
        loss=config.one("losses").name,
        heads=heads,
        metric=config.one("metrics").name,
        optimizer="none" if optimizer is None else config.one("optimizers").name,
        learning_rates=tuple(sorted({float(group["lr"]) for group in groups})),
        scheduler="none" if optimizer is None else config.one("schedulers").name,
        batch_size=config.training.batch_size,
        accumulation_steps=config.training.accumulation_steps,
    )


def describe_plan(
    config: Config,
    members: Sequence[Member],
    finished: Sequence[Member],
    device: str,
    precision: str,
    submitted: bool,
    notes: Sequence[str] = (),
) -> PlanReport:
    """Stage 5; `finished` are those of the members that need no training, `submitted` whether there is a test set."""
    return PlanReport(
        folds=len({member.fold for member in members}),
        seeds=len({member.seed for member in members}),
        epochs=config.training.epochs,
        device=device,
        precision=precision,
        tta=_names(config, "tta"),
        ensemble=config.one("ensembles").name,
        submission=config.one("submissions").name if submitted else None,
        finished=tuple(member.name for member in finished),
        notes=tuple(notes),
    )


def _names(config: Config, kind: str) -> tuple[str, ...]:
    return tuple(bound.name for bound in config.many(kind))
