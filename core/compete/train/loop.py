"""Train one member: one network on one fold with one seed.

Everything random in a step is seeded from (seed, fold, epoch, step), so a checkpoint needs no generator state, and a
killed run resumes as if it had not been killed.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import torch

from compete.data.folds import class_totals
from compete.data.loaders import loader_processes, read_parts, seed_host
from compete.errors import TrainingError, call_hook
from compete.model.device import seed_device
from compete.model.finetune import awake, set_trainable, set_training_mode
from compete.model.non_finite import buffers_of, gradients_are_finite, kept_buffers, leave_out, weights_are_finite
from compete.model.selectors import is_fitted
from compete.ranks.batchnorm import batch_statistics, shared_statistics
from compete.session import Run
from compete.train.checkpoints import checkpoint, resume
from compete.train.doctor import diagnose
from compete.train.fit import fit_epoch
from compete.train.networks import STEP
from compete.train.trainer import Trainer, build_trainer, draw_epoch, prepare
from compete.types import Epoch, Member, MemberResult

if TYPE_CHECKING:
    from compete.data.loaders import Batch
    from compete.predict.inference import Scaler


def train(run: Run, member: Member) -> tuple[MemberResult, dict[str, torch.Tensor], Scaler]:
    """Train a member from scratch or from its checkpoint; return its result, final weights, and its images' scaler."""
    trainer = build_trainer(run, member)
    call_hook(run.hook.on_member_start, trainer=trainer)
    if is_fitted(trainer.network):
        _finish_fitted(trainer)
        return _result(trainer), trainer.progress.best_weights or {}, trainer.scaler
    resume(trainer)
    first = run.ranks.is_first and member == run.members[0]
    if run.session.options.doctor and first and not (trainer.epoch or trainer.step):
        _warn_of_mistakes(trainer)
    with loader_processes():
        while trainer.epoch < (member.epochs or trainer.epochs) and not _stopped(trainer):
            started = time.perf_counter()
            train_epoch(trainer)
            epoch = _finish_epoch(trainer, started)
            call_hook(run.hook.on_epoch_end, trainer=trainer, epoch=epoch)
            checkpoint(trainer)
    if trainer.progress.best_weights is None:
        trainer.mark_best()
    call_hook(trainer.run.hook.on_training_end, trainer=trainer)
    assert trainer.progress.best_weights is not None
    return _result(trainer), trainer.progress.best_weights, trainer.scaler


def _finish_fitted(trainer: Trainer) -> None:
    """Fit a head that has no steps: one epoch, and no checkpoint."""
    epoch = fit_epoch(trainer)
    trainer.progress.next_epoch(epoch)
    call_hook(trainer.run.hook.on_epoch_end, trainer=trainer, epoch=epoch)
    trainer.mark_best()


def _warn_of_mistakes(trainer: Trainer) -> None:
    """Look for classic mistakes before the first member's first step; they are warnings, as experiments may err."""
    toml = shlex.quote(str(trainer.run.folder / "config.toml"))
    for check, found in diagnose(trainer, quick=True):
        for text in found:
            trainer.run.session.warn(
                f"{check}: {text} (`compete doctor {toml}` says more; --no-doctor leaves this out)"
            )


def plan_epoch(trainer: Trainer) -> None:
    """Draw the epoch's rows and cut them into batches, without those already trained on."""
    order, batches = draw_epoch(trainer)
    if trainer.step == 0:
        draws = class_totals(trainer.run.dataset.labels[order], len(trainer.target.classes))
        trainer.progress.class_draws += 0 if draws is None else draws
    left = batches.after(trainer.step * trainer.run.config.training.accumulation_steps)
    trainer.epoch_batches.batches = left if trainer.run.ranks.count == 1 else left.parts(trainer.run.ranks)


def train_epoch(trainer: Trainer) -> None:
    """Train the rest of the current epoch, saving a checkpoint every few minutes."""
    plan_epoch(trainer)
    set_trainable(trainer.network, trainer.plan, trainer.epoch + 1)
    set_training_mode(trainer.network)
    if trainer.stored is not None:
        trainer.forward.train()  # all that comes after the features
    saved, every = time.monotonic(), trainer.run.config.training.checkpoint_minutes * 60
    parts = read_parts(trainer.loader, trainer.epoch_batches.batches)
    for batches in _grouped(parts, trainer.run.config.training.accumulation_steps):
        train_step(trainer, batches)
        trainer.progress.step += 1
        call_hook(trainer.run.hook.on_step_end, trainer=trainer)
        if trainer.run.ranks.is_first and time.monotonic() - saved > every:
            refuse_not_finite(trainer)
            checkpoint(trainer)
            saved = time.monotonic()


def _grouped(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    while group := list(islice(batches, size)):
        yield group


def train_step(trainer: Trainer, batches: list[Batch]) -> None:
    """Make one optimizer step from the gradients of all `batches`, each weighted by its rows."""
    settings, rows = trainer.run.config.training, sum(batch.size for batch in batches)
    buffers = buffers_of(trainer.network) if settings.on_nan == "skip" else []
    largest = max(len(batch.rows) for batch in batches)
    loss = trainer.splitter.fit(lambda splits: gradients(trainer, batches, splits), largest)
    if hasattr(trainer.optimizer, "climbed"):  # SAM: the gradients of the step are those at the worst weights nearby
        with trainer.optimizer.climbed(), kept_buffers(trainer.network):
            trainer.splitter.fit(lambda splits: gradients(trainer, batches, splits), largest)
    finite = torch.isfinite(loss)
    if settings.on_nan == "skip":
        if not _scales_gradients(trainer.run):
            finite = finite & gradients_are_finite(trainer.network)
        leave_out(trainer.network, buffers, finite)
    # Summed on the device: reading a number here would make the host wait for each step.
    trainer.progress.non_finite.note(finite, trainer.step + 1, rows)
    trainer.progress.loss_sum += torch.where(finite, loss, 0.0)
    trainer.progress.samples_seen += rows
    if settings.max_grad_norm:
        trainer.run.fabric.clip_gradients(
            trainer.forward, trainer.optimizer, max_norm=settings.max_grad_norm, error_if_nonfinite=False
        )
    with awake(trainer.optimizer, trainer.epoch + 1):
        trainer.optimizer.step()
    trainer.scheduler.step()


def gradients(trainer: Trainer, batches: list[Batch], splits: int) -> torch.Tensor:
    """Compute the gradients of the mean over all rows, each batch in `splits` pieces; return the sum of the losses.

    A rank does so for its part of each batch; gradients and loss are then added up over the ranks.
    """
    run, ranks = trainer.run, trainer.run.ranks
    trainer.optimizer.zero_grad()
    rows = sum(batch.size for batch in batches)
    total = torch.zeros_like(trainer.progress.loss_sum)
    for number, batch in enumerate(batches):
        _seed(trainer, *([number] if number else []))  # every rank mixes rows alike,
        parts = prepare(trainer, batch, trainer.scale, ranks)
        if ranks.count > 1:
            _seed(trainer, number, ranks.rank + 1)  # and drops others out
        pieces, repeats = ranks.pieces(splits, batch.size), ranks.repeats(batch.size)
        for *inputs, targets in zip(*(part.tensor_split(pieces) for part in parts), strict=True):
            with shared_statistics(ranks, run.config.training.sync_batchnorm, repeats):
                loss = trainer.loss(trainer.forward(*inputs), targets)
            run.fabric.backward(loss * (len(targets) / repeats / rows))
            total += loss.detach() * (len(targets) / repeats)
    _add_up(trainer, total)
    return total


def _seed(trainer: Trainer, *parts: int) -> None:
    """Seed the host's generators and that of the device for the current step."""
    seed = trainer.seed(STEP, trainer.epoch, trainer.step, *parts)
    seed_host(seed)
    seed_device(trainer.run.fabric.device, seed)


def _add_up(trainer: Trainer, loss: torch.Tensor) -> None:
    """Add up gradients and loss over the ranks; BatchNorm's statistics, where it is not synchronised, are averaged.

    A parameter that some rank does not use in a step has a gradient of zero there, so that all exchange the same.
    """
    ranks = trainer.run.ranks
    if ranks.count == 1:
        return
    trained = [p for p in trainer.network.parameters() if p.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    averaged = [] if trainer.run.config.training.sync_batchnorm else batch_statistics(trainer.network)
    for statistic in averaged:
        statistic /= ranks.count
    ranks.add_up([*(p.grad for p in trained if p.grad is not None), *averaged, loss])


def _scales_gradients(run: Run) -> bool:
    """Return whether there is fp16's gradient scaler, which itself skips steps with infinite gradients."""
    return getattr(run.fabric.strategy.precision, "scaler", None) is not None


def refuse_not_finite(trainer: Trainer) -> None:
    """Raise `TrainingError` for a NaN or infinite loss, before it is saved; with `on_nan = "skip"` only for weights."""
    steps, rows, first = trainer.progress.non_finite.state()
    sound = weights_are_finite(trainer.network)
    if sound and not steps:
        return
    where = (
        f"{trainer.member.name}: epoch {trainer.epoch + 1}, step {first or trainer.step} of {trainer.steps_per_epoch}"
    )
    if trainer.run.config.training.on_nan == "stop" or not sound:
        what = "training loss" if first else "weights"
        raise TrainingError(
            f"{where}: the {what} became NaN or infinite{_found(trainer, first)}. The member keeps its last "
            "checkpoint before that, and finished members stay. Lower [optimizer] lr, set [training] max_grad_norm, "
            'use precision = "32-true", or set on_nan = "skip" to leave such steps out.'
        )
    if rows == trainer.samples_seen:
        raise TrainingError(f"{where}: no later step had a finite loss and finite gradients{_found(trainer, first)}")


def _found(trainer: Trainer, step: int) -> str:
    """Return what plugins know of where NaN or infinity came from, to go on with a sentence."""
    return "".join(f"; {text}" for text in call_hook(trainer.run.hook.explain_non_finite, trainer=trainer, step=step))


def validate(trainer: Trainer) -> tuple[float, float, float]:
    """Return loss and score of the evaluation network on the fold, and its score on a sample of training rows."""
    return trainer.evaluate_epoch()


def _finish_epoch(trainer: Trainer, started: float) -> Epoch:
    """Validate, and advance to the next epoch. Raise `TrainingError` if the loss is NaN or infinite."""
    refuse_not_finite(trainer)
    steps, rows, first = trainer.progress.non_finite.state()
    if steps:
        trainer.run.session.warn(
            f"{trainer.member.name}: {steps} of {trainer.steps_per_epoch} steps of epoch {trainer.epoch + 1} were "
            f"skipped, first step {first}: their loss or gradients were NaN or infinite{_found(trainer, first)}"
        )
    train_loss = float(trainer.progress.loss_sum) / max(1, trainer.samples_seen - rows)
    trainer.run.ranks.copy_from_first(list(trainer.network.buffers()))
    valid_loss, score, train_score = validate(trainer)
    seconds = time.perf_counter() - started
    lr = max(group["lr"] for group in trainer.optimizer.param_groups)
    trained = sum(p.numel() for p in trainer.network.parameters() if p.requires_grad)
    epoch = Epoch(trainer.epoch + 1, train_loss, valid_loss, score, float(lr), seconds, train_score, trained)
    trainer.progress.next_epoch(epoch)
    if hasattr(trainer.scheduler, "epoch_end"):
        trainer.scheduler.epoch_end(-score if trainer.metric.higher_is_better else score)
    return epoch


def _stopped(trainer: Trainer) -> bool:
    """Return whether a callback ends the member early; one of all rows has no score to go by.

    The first rank decides for all: a callback may look at a clock.
    """
    if trainer.member.epochs is not None or not trainer.history:
        return False
    return trainer.run.ranks.decide(bool(call_hook(trainer.run.hook.should_stop, trainer=trainer)))


def _result(trainer: Trainer) -> MemberResult:
    progress = trainer.progress
    best = progress.history[progress.best_epoch - 1] if progress.best_epoch else progress.history[-1]
    draws = dict(zip(trainer.run.target.classes, map(round, progress.class_draws.tolist()), strict=True))
    score = best.score if progress.best_score is None else progress.best_score
    return MemberResult(trainer.member, score, best.number, tuple(progress.history), draws, progress.seconds)
