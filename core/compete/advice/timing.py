"""How long a run will take on this device: one step of the real network, without its weights, is timed.

On a CPU with bf16 instructions it is timed in both precisions. Which is faster depends on the network: bf16 halves the
time of plain convolutions and doubles that of depthwise ones (docs/defaults.md).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from compete.config.load import load_config
from compete.errors import CompeteError
from compete.files.proposals import Choice
from compete.model.device import choose_device, make_fabric
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
BF16, FP32 = "bf16-mixed", "32-true"
CPU_IMAGES = 8  # a step's time grows with its images there, and a few tell it
FORWARD_SHARE = 1 / 3


@dataclass(frozen=True)
class Timing:
    """Seconds of training with one image, members, and the seconds of the whole run, reading of files not counted.

    `bf16_seconds` are those of an image in bf16, where fp32 was timed to be faster and is to be written.
    """

    image_seconds: float
    members: int
    seconds: float
    device: str
    bf16_seconds: float | None = None

    @property
    def said(self) -> str:
        """Say how long the run takes."""
        speed = f"{1 / self.image_seconds:,.0f} images a second" if self.image_seconds else "too fast to tell"
        fp32 = "" if self.bf16_seconds is None else f", in fp32: {self._slower}"
        members = plural(self.members, "member")
        return f"about {duration(self.seconds)} on {self.device} ({members}, {speed} in training{fp32})"

    @property
    def _slower(self) -> str:
        return f"bf16 takes {(self.bf16_seconds or 0) / self.image_seconds:.1f} times as long"

    @property
    def precision(self) -> Choice | None:
        """Return the key of `[training]` that is to be written; None where "auto" is best."""
        if self.bf16_seconds is None:
            return None
        return Choice("precision", FP32, f"timed on this CPU: {self._slower} for this network; remove this on a GPU")


def time_run(path: Path) -> Timing | None:
    """Time a step of a TOML's first member; None where it cannot be made, which a run would say better."""
    try:
        config = load_config(path)
        device = choose_device(config.training.device)
        batch = min(config.training.batch_size, CPU_IMAGES) if device == "cpu" else config.training.batch_size
        with dry_run(bare(load_config(path, [f"training.batch_size={batch}"]))) as run:
            timing = _timing(run, device)
            if device == "cpu" and run.session.precision == BF16:
                plain = _timing(_in_fp32(run), device)
                if 0 < plain.image_seconds < timing.image_seconds:
                    return replace(plain, bf16_seconds=timing.image_seconds)
            return timing
    except CompeteError:
        return None


def bare(config: Config) -> Config:
    """Return the configuration with the bare architecture, whose steps take as long: no weights are fetched."""
    model = config.one("models")
    bare = replace(model, options=model.options | dict(model.component.traits.without_weights))
    return replace(config, components={**config.components, "models": (bare,)})


def _in_fp32(run: Run) -> Run:
    fabric = make_fabric(run.config.training.model_copy(update={"precision": FP32}))
    return replace(run, session=replace(run.session, fabric=fabric))


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
