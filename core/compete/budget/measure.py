"""What a run costs on this device: a step, a prediction and the loading of an image are timed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from compete.advice.timing import bare, fastest_step
from compete.budget.plan import Cost, Unit
from compete.data.loaders import augmented, choose_workers
from compete.model.selectors import is_fitted
from compete.ranks.group import ALONE
from compete.study.dry_run import dry_run, first_step
from compete.train.patient import unchanged_random_state
from compete.train.trainer import prepare

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.data.loaders import Batch
    from compete.session import Run
    from compete.train.trainer import Trainer

SOME_IMAGES, TRIES = 16, 3
FINISH_SECONDS = 20.0  # blend, checks, report: estimated; without the report mask took 5 to 9 s on 2 busy cores


@dataclass(frozen=True)
class _Speed:
    """Seconds of an image: a training step's share, a forward pass, decoding, and the random transforms."""

    step: float
    forward: float
    decode: float
    augment: float


def measure(config: Config, name: str) -> tuple[Unit, Cost]:
    """Return what a run is at most, and its costs. Nothing is trained or written; no weights are fetched."""
    began = time.perf_counter()
    with dry_run(bare(config)) as run:
        opening = time.perf_counter() - began
        with unchanged_random_state():
            views = len(run.predictor(tta=True).views(torch.zeros(1, config.images.channels, *config.images.size)))
            trainer, batches = first_step(run)
            speed = _speed(trainer, batches)
            return _unit(config, name, run, trainer), _cost(config, run, trainer, speed, opening, views)


def _unit(config: Config, name: str, run: Run, trainer: Trainer) -> Unit:
    folds = tuple(dict.fromkeys(member.fold for member in run.members))
    refit = config.training.refit and run.tables.has_test
    return Unit(name, trainer.epochs, folds, config.training.seeds, refit)


def _speed(trainer: Trainer, batches: Sequence[Batch]) -> _Speed:
    count = max(1, sum(len(batch.rows) for batch in batches))
    forward = _fastest(lambda: _predict(trainer, batches)) / count
    step = 0.0 if is_fitted(trainer.network) else fastest_step(trainer, list(batches)) / count
    images, augment = trainer.run.images.train.images, trainer.run.images.augment
    some = range(min(SOME_IMAGES, len(images)))
    decode = _fastest(lambda: [images[number] for number in some]) / max(1, len(some))
    known = [images[number] for number in some]
    changed = _fastest(lambda: [augmented(augment, image, 0) for image in known]) / max(1, len(some))
    return _Speed(step, forward, decode, changed if augment else 0.0)


def _predict(trainer: Trainer, batches: Sequence[Batch]) -> None:
    trainer.network.eval()
    with torch.no_grad():
        for batch in batches:
            inputs = prepare(trainer, batch, trainer.scale, ALONE)[:-1]
            float(trainer.network(*inputs).sum())  # waits for the device


def _fastest(work: Callable[[], object]) -> float:
    found = []
    for _ in range(TRIES):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def _cost(config: Config, run: Run, trainer: Trainer, speed: _Speed, opening: float, views: int) -> Cost:
    """Return the costs of a run whose images are not cached yet; loader processes work while the device does."""
    cached, device = config.images.cache, run.fabric.device.type
    workers = choose_workers(config.training.workers, device, cached)
    train, test = run.images.train, run.images.test
    per_row = len(train.by_row.numbers) / max(1, len(run.tables.train))
    trained, validated = (len(rows) * per_row for rows in (trainer.train_rows, trainer.valid_rows))

    def paced(device_seconds: float, load_seconds: float) -> float:
        return max(device_seconds, load_seconds / workers) if workers else device_seconds + load_seconds

    load = 0.0 if cached else speed.decode
    step = paced(speed.step, load + speed.augment)
    forward, viewed = paced(speed.forward, load), paced(speed.forward * views, load)
    images = len(train.images) + len(test.images)
    decoding = images * speed.decode / (os.cpu_count() or 1) if cached else 0.0
    features = images * forward * views if is_fitted(trainer.network) else 0.0
    return Cost(
        start=opening + decoding + features,
        reopen=opening,
        epoch=trained * step + validated * forward,
        refit_epoch=(trained + validated) * step,
        predict=(validated + len(test.by_row.numbers)) * viewed,
        finish=FINISH_SECONDS,
    )
