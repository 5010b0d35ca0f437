"""Train one member: one network on one fold with one seed.

Everything random in a step is seeded from (seed, fold, epoch, step), so a checkpoint needs no generator state, and
a run that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from compete.checkpoints import checkpoint, resume
from compete.errors import TrainingError
from compete.loaders import training_batches
from compete.losses import soft_targets
from compete.network import set_training_mode
from compete.prediction import predict_rows
from compete.runs import Run, call_hook
from compete.trainer import Trainer, build_trainer, epoch_order
from compete.types import Epoch, Member, MemberResult

if TYPE_CHECKING:
    from compete.loaders import Batch
    from compete.types import Array


def train(run: Run, member: Member) -> tuple[MemberResult, dict[str, torch.Tensor]]:
    """Train a member from the start or from its checkpoint; return its result and final weights."""
    trainer = build_trainer(run, member)
    call_hook(run.hook.on_member_start, trainer=trainer)
    resume(trainer)
    while trainer.epoch < trainer.epochs and not _stopped(trainer):
        started = time.perf_counter()
        train_epoch(trainer)
        epoch = _finish_epoch(trainer, started)
        call_hook(run.hook.on_epoch_end, trainer=trainer, epoch=epoch)
        checkpoint(trainer)
    if trainer.kept is None:
        trainer.keep()
    return _result(trainer), trainer.kept or {}


def _plan_epoch(trainer: Trainer) -> None:
    """Draw the epoch's rows and cut them into the micro-batches that are still to train."""
    run, settings = trainer.run, trainer.run.config.training
    order = epoch_order(run, trainer.train_rows, trainer.seed(1, trainer.epoch))
    rng = np.random.default_rng(trainer.seed(2, trainer.epoch))
    batches = training_batches(order, run.ready.train_rows, rng, settings.batch_size, settings.drop_last)
    if trainer.step == 0:
        trainer.drawn = trainer.drawn + _class_counts(run.ready.answers[order], len(trainer.drawn))
    trainer.epoch_batches.batches = batches[trainer.step * settings.accumulate :]


def _class_counts(answers: Array, classes: int) -> Array:
    if answers.ndim == 1 and np.issubdtype(answers.dtype, np.integer):
        return np.bincount(answers, minlength=classes)
    return np.zeros(classes, np.int64) if answers.ndim == 1 else (answers > 0).sum(axis=0)


def train_epoch(trainer: Trainer) -> None:
    """Train the rest of the epoch under way, saving a checkpoint every few minutes."""
    _plan_epoch(trainer)
    set_training_mode(trainer.network, trainer.frozen)
    saved, every = time.monotonic(), trainer.run.config.training.checkpoint_minutes * 60
    for batches in _grouped(iter(trainer.loader), trainer.run.config.training.accumulate):
        train_step(trainer, batches)
        trainer.step += 1
        trainer.run.hook.on_step_end(trainer=trainer)
        if time.monotonic() - saved > every:
            checkpoint(trainer)
            saved = time.monotonic()


def _grouped(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    while group := list(islice(batches, size)):
        yield group


def train_step(trainer: Trainer, batches: list[Batch]) -> None:
    """Make one optimizer step from the gradients of all `batches`, each weighted by its rows."""
    run, settings = trainer.run, trainer.run.config.training
    torch.manual_seed(trainer.seed(3, trainer.epoch, trainer.step))
    rows = sum(len(batch.rows) for batch in batches)
    trainer.optimizer.zero_grad()
    for batch in batches:
        images, targets = prepare(trainer, batch)
        loss = trainer.loss(trainer.forward(images), targets)
        run.fabric.backward(loss * (len(batch.rows) / rows))
        # Summed on the device: asking for the number here would make the host wait for every step.
        trainer.loss_sum += loss.detach() * len(batch.rows)
    trainer.seen += rows
    if settings.clip_norm:
        run.fabric.clip_gradients(
            trainer.forward, trainer.optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
        )
    trainer.optimizer.step()
    trainer.scheduler.step()


def prepare(trainer: Trainer, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring a training batch to the device, scale it, and mix it where the TOML says so."""
    device = trainer.run.fabric.device
    images = trainer.scaler(batch.images.to(device, non_blocking=True))
    targets = trainer.targets[batch.rows.to(device, non_blocking=True)]
    if trainer.batch_transforms:
        targets = soft_targets(targets, trainer.run.target)
        for transform in trainer.batch_transforms:
            images, targets = transform(images, targets)
    return images, targets


def validate(trainer: Trainer) -> tuple[float, float]:
    """Return loss and score over the whole of the fold's validation rows, without augmentation or TTA."""
    run, data = trainer.run, trainer.run.ready
    if not len(trainer.valid_rows):
        return float("nan"), float("nan")
    loss_sum = torch.zeros((), device=run.fabric.device)

    def add_loss(rows: torch.Tensor, logits: torch.Tensor) -> None:
        loss_sum.add_(trainer.loss(logits, trainer.targets[rows]) * len(rows))

    predictions = predict_rows(run, [trainer.evaluation_network], [trainer.scaler], trainer.valid_rows, watch=add_loss)[
        0
    ]
    pictures = sum(len(data.train_rows[row]) for row in trainer.valid_rows)
    score = trainer.metric.score(data.answers[trainer.valid_rows], predictions)
    return float(loss_sum) / pictures, float(score)


def _finish_epoch(trainer: Trainer, started: float) -> Epoch:
    """Validate, note the epoch and go on to the next. Raise `TrainingError` when the loss is no number."""
    train_loss = float(trainer.loss_sum) / max(1, trainer.seen)
    if not np.isfinite(train_loss):
        raise TrainingError(
            f"{trainer.member.name}: the training loss became {train_loss} in epoch {trainer.epoch + 1}. "
            'Lower [optimizer] lr, set [training] clip_norm, or use precision = "32-true".'
        )
    valid_loss, score = validate(trainer)
    seconds = time.perf_counter() - started
    lr = max(group["lr"] for group in trainer.optimizer.param_groups)
    epoch = Epoch(trainer.epoch + 1, train_loss, valid_loss, score, float(lr), seconds)
    trainer.history.append(epoch)
    trainer.seconds += seconds
    if hasattr(trainer.scheduler, "epoch_end"):
        trainer.scheduler.epoch_end(-score if trainer.metric.higher_is_better else score)
    trainer.epoch, trainer.step, trainer.seen = trainer.epoch + 1, 0, 0
    trainer.loss_sum.zero_()
    return epoch


def _stopped(trainer: Trainer) -> bool:
    return bool(trainer.history) and bool(call_hook(trainer.run.hook.should_stop, trainer=trainer))


def _result(trainer: Trainer) -> MemberResult:
    kept = trainer.history[trainer.kept_epoch - 1] if trainer.kept_epoch else trainer.history[-1]
    drawn = dict(zip(trainer.run.target.classes, trainer.drawn.tolist(), strict=True))
    return MemberResult(trainer.member, kept.score, kept.number, tuple(trainer.history), drawn, trainer.seconds)
