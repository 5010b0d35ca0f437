"""The learning-rate range test (Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compete.config.load import load_config
from compete.data.loaders import read_batches
from compete.errors import ConfigError
from compete.model.finetune import set_training_mode
from compete.store import write_atomic
from compete.train.fit import refuse_fitted
from compete.train.loop import plan_epoch, train_step
from compete.train.patient import unchanged_random_state
from compete.train.trainer import Trainer, build_trainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compete.config.load import Config
    from compete.data.loaders import Batch
    from compete.session import Run
    from compete.types import Array

KEPT = 0.9  # the share of the running mean that each step keeps; it tells when the loss has diverged
WORSE = 4  # diverged: this many times the lowest running mean, and above the first one
WIDTH = 4  # steps, of the centred smoothing that is read afterwards: a running mean would lag behind, to higher rates
LEAST_FALL = 0.05  # of the first smoothed loss: less is noise
BELOW_MINIMUM = 10


@dataclass(frozen=True)
class Suggestion:
    """Two readings of a range test, as learning rates, and the notes that go with them.

    `steepest` is where the smoothed loss falls fastest over log(rate), and `tenth` a tenth of the rate of its minimum.
    """

    steepest: float
    tenth: float
    notes: tuple[str, ...]


class _NoSchedule:
    """Leaves the learning rate to the test."""

    def step(self) -> None:
        """Do nothing."""


def range_test(
    run: Run, low: float, high: float, steps: int, report: Callable[[int], None] = lambda _: None
) -> pd.DataFrame:
    """Train the first member for at most `steps` steps at rates that grow from `low` to `high`, until it diverges.

    Return a row for each step: lr, loss (of its batch, before the step) and smoothed. The last loss may be infinite.
    Groups keep their ratios to the rate. The random state is left as it was; the trained network is thrown away.
    """
    rates = np.geomspace(low, high, steps)
    losses: list[float] = []
    with unchanged_random_state():
        refuse_fitted(run.network, "a range test")
        trainer = replace(build_trainer(run, run.members[0]), scheduler=_NoSchedule())
        set_training_mode(trainer.network)
        for rate, batches in zip(rates, _steps(trainer), strict=False):
            losses.append(_loss_at(trainer, batches, float(rate)))
            report(len(losses))
            if _diverged(losses):
                break
    return pd.DataFrame({"lr": rates[: len(losses)], "loss": losses, "smoothed": _smoothed(losses)})


def _steps(trainer: Trainer) -> Iterator[list[Batch]]:
    """Yield the batches of one step after the other, epoch after epoch."""
    while True:
        plan_epoch(trainer)
        batches = read_batches(trainer.loader)
        while group := list(islice(batches, trainer.run.config.training.accumulation_steps)):
            yield group
            trainer.progress.step += 1
        trainer.progress.epoch, trainer.progress.step = trainer.progress.epoch + 1, 0


def _loss_at(trainer: Trainer, batches: list[Batch], rate: float) -> float:
    """Make a step at a rate; return the mean loss before it, infinite if anything was not finite."""
    for group in trainer.optimizer.param_groups:
        group["lr"] = rate * group.get("lr_ratio", 1.0)
    trainer.progress.loss_sum.zero_()
    train_step(trainer, batches)
    if trainer.progress.non_finite.state()[0]:
        return math.inf
    return float(trainer.progress.loss_sum) / sum(len(batch.rows) for batch in batches)


def _diverged(losses: Sequence[float]) -> bool:
    means = pd.Series(losses).ewm(alpha=1 - KEPT).mean().to_numpy()
    return not math.isfinite(losses[-1]) or bool(means[-1] > means[0] and means[-1] > WORSE * means.min())


def _smoothed(losses: Sequence[float]) -> Array:
    """Return the losses (S,) smoothed by a bell of `WIDTH` steps; one that is not finite stays as it is."""
    from scipy.ndimage import gaussian_filter1d

    smoothed = np.array(losses, float)
    finite = np.isfinite(smoothed)
    smoothed[finite] = gaussian_filter1d(smoothed[finite], WIDTH, mode="nearest")
    return smoothed


def suggest(table: pd.DataFrame, high: float) -> Suggestion | None:
    """Read a range test that was to go up to `high`; None if the loss never fell."""
    rates, smoothed = (table[name].to_numpy(float) for name in ("lr", "smoothed"))
    lowest = int(np.argmin(np.where(np.isfinite(smoothed), smoothed, np.inf)))
    if lowest < 2 or smoothed[0] - smoothed[lowest] < LEAST_FALL * abs(smoothed[0]):
        return None
    slopes = np.gradient(smoothed[: lowest + 1], np.log(rates[: lowest + 1]))
    steepest, tenth = float(rates[slopes.argmin()]), float(rates[lowest]) / BELOW_MINIMUM
    notes = []
    if lowest == len(rates) - 1 and rates[-1] >= high * 0.999:
        notes.append("the loss was lowest at the highest rate: the minimum may lie beyond it (--high)")
    if max(steepest, tenth) > 10 * min(steepest, tenth):
        notes.append("the two rules differ more than tenfold: look at the plot, or take more --steps")
    return Suggestion(steepest, tenth, tuple(notes))


def option_to_set(config: Config, rate: float) -> str:
    """Return the override that sets the learning rate. Raise `ConfigError` where the optimizer does not take it."""
    optimizer = config.one("optimizers")
    if "lr" not in optimizer.options:
        raise ConfigError(f'[optimizer] name = "{optimizer.name}": has no option lr that a rate could be set by')
    override = f"optimizer.lr={rate:.2g}"
    load_config(config.path, [*config.overrides, override])
    return override


def write_plot(table: pd.DataFrame, suggestion: Suggestion | None, path: Path) -> None:
    """Draw loss and smoothed loss over the rate, with the two readings, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes: Any = figure.subplots()
    finite = table[np.isfinite(table["smoothed"])]
    axes.plot(finite["lr"], finite["loss"], color="#9aa5b1", linewidth=0.8, label="loss of the batch")
    axes.plot(finite["lr"], finite["smoothed"], color="#1f6fb4", linewidth=1.8, label="smoothed")
    if suggestion is not None:
        axes.axvline(suggestion.tenth, color="#2a8f4f", linestyle="--", label=f"minimum / 10: {suggestion.tenth:.2g}")
        text = f"steepest descent: {suggestion.steepest:.2g}"
        axes.axvline(suggestion.steepest, color="#c8641e", linestyle=":", label=text)
    axes.set_xscale("log")
    axes.set_ylim(*_visible(finite["loss"].to_numpy(float), finite["smoothed"].to_numpy(float)))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.legend(frameon=False)
    write_atomic(path, lambda file: figure.savefig(file, format="png", dpi=120))


def _visible(losses: Array, smoothed: Array) -> tuple[float, float]:
    """Return limits that show the descent: a last, exploding loss would flatten it."""
    low, high = float(losses.min()), min(float(losses.max()), 2 * float(smoothed[: max(1, len(smoothed) // 4)].max()))
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin
