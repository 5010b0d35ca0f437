"""How long a run will take on this device: one step of the real network, without its weights, is timed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from compete.config.load import load_config
from compete.errors import CompeteError
from compete.model.device import choose_device
from compete.model.finetune import set_training_mode
from compete.study.dry_run import dry_run, first_step
from compete.text import duration, plural
from compete.train.loop import train_step
from compete.train.patient import unchanged_random_state

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.data.loaders import Batch
    from compete.session import Run
    from compete.train.trainer import Trainer

MOST_SECONDS, STEPS = 3.0, 3
CPU_IMAGES = 8  # a step's time grows with its images there, and a few tell it
FORWARD_SHARE = 1 / 3


@dataclass(frozen=True)
class Timing:
    """Seconds of training with one image, members, and the seconds of the whole run, reading of files not counted."""

    image_seconds: float
    members: int
    seconds: float
    device: str

    @property
    def said(self) -> str:
        """Say how long the run takes."""
        speed = f"{1 / self.image_seconds:,.0f} images a second" if self.image_seconds else "too fast to tell"
        return (
            f"about {duration(self.seconds)} on {self.device} ({plural(self.members, 'member')}, {speed} in training)"
        )


def time_run(path: Path) -> Timing | None:
    """Time a step of a TOML's first member; None where it cannot be made, which a run would say better."""
    try:
        config = load_config(path)
        device = choose_device(config.training.device)
        batch = min(config.training.batch_size, CPU_IMAGES) if device == "cpu" else config.training.batch_size
        with dry_run(bare(load_config(path, [f"training.batch_size={batch}"]))) as run:
            return _timing(run, device)
    except CompeteError:
        return None


def bare(config: Config) -> Config:
    """Return the configuration with the bare architecture, whose steps take as long: no weights are fetched."""
    model = config.one("models")
    bare = replace(model, options=model.options | dict(model.component.traits.without_weights))
    return replace(config, components={**config.components, "models": (bare,)})


def _timing(run: Run, device: str) -> Timing:
    """Return the time of all members from that of the fastest of a few steps."""
    epochs, images = run.config.training.epochs, run.config.images
    with unchanged_random_state():
        views = len(run.predictor(tta=True).views(torch.zeros(1, images.channels, *images.size)))
        trainer, batches = first_step(run)
        count = sum(len(batch.rows) for batch in batches)
        each = fastest_step(trainer, batches) / count if count else 0.0
    trained = len(trainer.train_rows)
    tables = run.dataset.tables
    predicted = (len(tables.train) - trained) * epochs + len(tables.test) * views
    members = len(run.members)
    return Timing(each, members, members * each * (trained * epochs + predicted * FORWARD_SHARE), device)


def fastest_step(trainer: Trainer, batches: list[Batch]) -> float:
    """Return the seconds of the fastest of a few steps; the first one also allocates memory."""
    set_training_mode(trainer.network)
    found: list[float] = []
    while len(found) < STEPS and sum(found) < MOST_SECONDS:
        started = time.perf_counter()
        train_step(trainer, batches)
        float(trainer.progress.loss_sum)  # waits for the device
        found.append(time.perf_counter() - started)
    return min(found)
