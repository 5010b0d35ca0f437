"""What a frozen backbone allows: features before the first member, and heads that are fitted on them at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from compete.data.folds import class_totals
from compete.errors import ConfigError, UserError
from compete.model.fitted import FittedHead, HeadData
from compete.model.losses import soft_targets
from compete.model.selectors import attribute, is_fitted
from compete.ranks.batchnorm import has_batchnorm
from compete.text import duration, plural
from compete.train.networks import fresh_network
from compete.train.trainer import Trainer, draw_epoch
from compete.types import Epoch

if TYPE_CHECKING:
    from torch import nn

    from compete.config.load import Config
    from compete.session import Run
    from compete.types import Array, Member

OF_STEPS = ("evaluation_network", "on_step_end", "on_training_end")  # hooks of callbacks that need steps or epochs
WITHOUT_EFFECT = "[optimizer], [scheduler], [training] epochs and batch_size have no effect"


def store_features(run: Run, pending: Sequence[Member]) -> list[str]:
    """Compute the features of the first member to train, which most often are those of all; say how long it took."""
    if not pending or run.feature_plan.split is None:
        return []
    network, _, scaler = fresh_network(run, pending[0])
    stored = run.stored_features(run.images.train, [network], scaler)
    assert stored is not None
    count = plural(len(stored.images.by_row.numbers), "training image")
    how = f"computed once: {duration(stored.seconds)}" if stored.seconds else "computed before"
    return [f"features of {count} x {stored.width:,}, {how}"]


def plan_notes(run: Run) -> list[str]:
    """Return notes on devices and a frozen backbone. Raise `ConfigError` if a head to fit gets no features."""
    return [*_device_notes(run), *_feature_notes(run)]


def _device_notes(run: Run) -> Iterator[str]:
    settings = run.config.training
    if settings.total_devices == 1:
        return
    if is_fitted(run.network):
        yield f"the head is fitted at once, on one of {settings.total_devices} devices"
        return
    count = settings.total_devices
    least, rest = divmod(settings.batch_size, count)
    part = f"{least} or {least + 1}" if rest else f"{least}"
    where = f" on {settings.nodes} nodes" if settings.nodes > 1 else ""
    yield (
        f"{count} devices{where} train each member: {part} images of each batch of {settings.batch_size} on each, "
        "at the learning rate of one device; one of them predicts"
    )
    if has_batchnorm(run.network):
        whole = "whole batches, as on one device" if settings.sync_batchnorm else "the part of each device"
        yield f"BatchNorm sees {whole} (sync_batchnorm)"


def _feature_notes(run: Run) -> list[str]:
    reason, name = run.feature_plan.reason, run.config.one("heads").name
    if not is_fitted(run.network):
        return [f"the frozen backbone runs in every epoch: {reason}"] if reason else []
    if reason:
        raise ConfigError(f'[head] name = "{name}": is fitted on features, once per image: {reason}')
    return [f"the head {name} is fitted at once on features: {WITHOUT_EFFECT}"]


def refuse_steps(config: Config, network: nn.Module) -> None:
    """Refuse what needs steps beside a head that has none, and what needs scores where a refit has none."""
    if not is_fitted(network):
        _refuse_unscored(config)
        _refuse_parts(config, network)
        return
    head = f'[head] name = "{config.one("heads").name}" is fitted at once'
    problems = [
        f'[[callbacks]] name = "{bound.name}": works on steps, and {head}. Remove it.'
        for bound in config.many("callbacks")
        if any(hasattr(bound.build(), hook) for hook in OF_STEPS)
    ]
    finetune = config.finetune
    if isinstance(finetune.freeze, list):
        problems.append(f'[finetune] freeze: {head}, and all of the backbone is frozen. Set "backbone".')
    if finetune.backbone_lr_ratio != 1:
        problems.append(f"[finetune] backbone_lr_ratio = {finetune.backbone_lr_ratio:g}: {head}. Remove it.")
    if finetune.layer_decay != 1:
        problems.append(f"[finetune] layer_decay = {finetune.layer_decay:g}: {head}. Remove it.")
    if finetune.schedule or finetune.preset in ("full", "gradual"):
        problems.append(f'[finetune]: {head}, and its backbone never trains. Set preset = "features".')
    if problems:
        raise ConfigError(problems)


def _refuse_parts(config: Config, network: nn.Module) -> None:
    """Refuse what BatchNorm cannot do on several devices."""
    settings, count = config.training, config.training.total_devices
    if count == 1 or not has_batchnorm(network):
        return
    problems = []
    if settings.sync_batchnorm and settings.compile:
        problems.append(
            "[training] compile = true: a compiled network cannot share BatchNorm's statistics between devices. Set "
            "sync_batchnorm = false or compile = false."
        )
    if not settings.sync_batchnorm and settings.batch_size < 2 * count:
        problems.append(
            f"[training] sync_batchnorm = false: batch_size = {settings.batch_size} gives some of {count} "
            "devices one image, of which BatchNorm has no statistics. Set true, or a larger batch_size."
        )
    if not settings.sync_batchnorm and not settings.drop_last:
        problems.append(
            "[training] sync_batchnorm = false: a smaller last batch may give a device one image, of which BatchNorm "
            "has no statistics. Set true, or drop_last = true."
        )
    if problems:
        raise ConfigError(problems)


def _refuse_unscored(config: Config) -> None:
    """Refuse a refit by a schedule that follows scores: a member of all rows has none."""
    bound, any_optimizer = config.one("schedulers"), torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    if config.training.refit and hasattr(bound.build(any_optimizer, 1), "epoch_end"):
        raise ConfigError(
            f'[training] refit = true: [scheduler] name = "{bound.name}" follows the score of the fold, and members of '
            "all rows have none. Set another scheduler, or refit = false."
        )


def refuse_fitted(network: nn.Module, command: str) -> None:
    """Raise `UserError` for a command that looks at steps."""
    if is_fitted(network):
        raise UserError(f"the head is fitted at once, without steps or gradients: {command} has nothing to look at")


def fit_epoch(trainer: Trainer) -> Epoch:
    """Fit the head on the rows that the sampler draws in one epoch, and validate."""
    started = time.perf_counter()
    head: FittedHead = attribute(trainer.network, "fitted_head")
    stored, run = trainer.stored, trainer.run
    assert stored is not None
    rows = draw_epoch(trainer)[0]
    draws = class_totals(run.dataset.labels[rows], len(trainer.target.classes))
    trainer.progress.class_draws += 0 if draws is None else draws
    fitted = head.fit(trainer.network.get_submodule(stored.split.rest[-1]), _data(trainer, rows))
    if fitted.note:
        run.session.progress(f"{trainer.member.name}: {fitted.note}")(1, 1)
    valid_loss, score, train_score = trainer.evaluate_epoch()
    return Epoch(1, fitted.loss, valid_loss, score, 0.0, time.perf_counter() - started, train_score)


def _data(trainer: Trainer, rows: Array) -> HeadData:
    """Return the samples of some rows: each of a row's images, as often as the row stands there."""
    run, by_row = trainer.run, trainer.run.images.train.by_row
    assert trainer.stored is not None
    counts = by_row.counts[rows]
    owner = np.repeat(rows, counts)  # (R,) -> (S,)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    targets = trainer.targets[torch.from_numpy(owner).to(trainer.targets.device)]
    single = not targets.is_floating_point() and run.target.outputs == 1  # 0 and 1 on one output
    return HeadData(
        features=trainer.stored.values[:, 0],
        images=by_row.numbers[by_row.starts[owner] + within],
        targets=targets,
        soft_targets=targets[:, None].float() if single else soft_targets(targets, run.target),
        folds=run.dataset.folds[owner],
        loss=trainer.loss,
        target=run.target,
    )
