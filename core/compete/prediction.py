"""Predict rows of the training or the test table with some networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from compete.inference import Scaler, Sums, predict, views_of
from compete.loaders import (
    EpochBatches,
    PictureDataset,
    choose_workers,
    loader_processes,
    make_loader,
    prediction_batches,
    read_batches,
)
from compete.memory import Pieces
from compete.runs import Run
from compete.store import load_state, save_state

if TYPE_CHECKING:
    from compete.loaders import Batch
    from compete.types import Array


@dataclass
class Saved:
    """A long prediction, saved every `seconds` to `path`, so that a killed run goes on inside it.

    `keys` say what each network's predictions depend on; a part saved for more networks serves fewer of them too.
    """

    path: Path
    keys: list[str]
    seconds: float
    last: float = field(default_factory=time.monotonic)

    def load(self, empty: Sums) -> Sums:
        """Return the sums so far, or the empty ones where there are none for these networks."""
        try:
            state = load_state(self.path)
            index = [state["keys"].index(key) for key in self.keys]
        except Exception:  # not there, of other networks, or damaged in any way: predicted anew
            return empty
        counts = state["counts"].to(empty.counts.device)
        return Sums(counts, empty.pieces, state["sums"][index], state["batches"])

    def save(self, done: Sums) -> None:
        """Save the sums if it is time."""
        if done.sums is not None and time.monotonic() - self.last > self.seconds:
            save_state(
                self.path, {"keys": self.keys, "sums": done.sums, "counts": done.counts, "batches": done.batches}
            )
            self.last = time.monotonic()


def predict_rows(
    run: Run,
    networks: list[nn.Module],
    scalers: list[Scaler],
    rows: Array,
    *,
    test: bool = False,
    tta: bool = False,
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
    saved: Saved | None = None,
) -> Array:
    """Return predictions (M, len(rows), C) for rows of the training table, or of the test table.

    What was `saved` is gone on from.
    """
    data, settings = run.ready, run.config
    opened, pictures_of_row = (data.test, data.test_rows) if test else (data.train, data.train_rows)
    size = settings.inference.batch_size or 2 * settings.training.batch_size
    done = Sums(torch.zeros(len(pictures_of_row), device=run.fabric.device), Pieces(run.warn))
    if saved is not None:
        done = saved.load(done)
    batches = EpochBatches()
    batches.batches = prediction_batches(rows, pictures_of_row, size)[done.batches :]
    workers = choose_workers(settings.training.workers, run.fabric.device.type, settings.images.cache)
    loader = make_loader(PictureDataset(opened.pictures), batches, workers, run.fabric.device.type == "cuda")
    views = run.views if tta else views_of([])

    def told() -> Iterator[Batch]:
        total = done.batches + len(batches)
        for batch in read_batches(loader):
            yield batch  # what follows happens once the batch is predicted
            if saved is not None:
                saved.save(done)
                run.progress("predict")(done.batches, total)

    with loader_processes():
        return predict(run.fabric, networks, scalers, told(), views, run.target.activation, done, watch)[:, rows]
