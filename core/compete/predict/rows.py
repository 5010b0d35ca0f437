"""Predict rows of the training or the test table with some networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from compete.data.loaders import (
    EpochBatches,
    ImageDataset,
    choose_workers,
    loader_processes,
    make_loader,
    prediction_batches,
    read_batches,
)
from compete.model.memory import BatchSplitter
from compete.predict.inference import Ensemble, PartialPredictions, Pooling, Scaler, predict, views_of
from compete.predict.top_k import TopK
from compete.run import Run
from compete.store import load_state, save_state

if TYPE_CHECKING:
    from compete.data.loaders import Batch
    from compete.types import Array, Predictions


@dataclass
class PredictionCheckpoint:
    """A long prediction, saved every `seconds` to `path`, so that a killed run goes on inside it.

    `keys` say what each network's predictions depend on; a part saved for more networks serves fewer of them too.
    """

    path: Path
    keys: list[str]
    seconds: float
    last: float = field(default_factory=time.monotonic)

    def load(self, empty: PartialPredictions) -> PartialPredictions:
        """Return what is done so far, or the empty one where there is nothing for these networks."""
        try:
            state = load_state(self.path)
            index = [state["keys"].index(key) for key in self.keys]
            return PartialPredictions(
                empty.pieces, [part[index] for part in state["parts"]], state["rows"], state["batches"]
            )
        except Exception:  # not there, of other networks, or damaged in any way: predicted anew
            return empty

    def save(self, done: PartialPredictions) -> None:
        """Save what is done if it is time."""
        if done.parts and time.monotonic() - self.last > self.seconds:
            state = {"keys": self.keys, "parts": done.parts, "rows": done.rows, "batches": done.batches}
            save_state(self.path, state)
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
    saved: PredictionCheckpoint | None = None,
) -> list[Predictions]:
    """Return each network's predictions (len(rows), C) for rows of the training table, or of the test table.

    Rows without a readable image are NaN. What was `saved` is gone on from.
    """
    data, settings = run.ready, run.config
    opened, images_by_row = (data.test, data.test_rows) if test else (data.train, data.train_rows)
    size = settings.prediction_batch
    done = PartialPredictions(BatchSplitter(run.warn))
    if saved is not None:
        done = saved.load(done)
    batches = EpochBatches()
    batches.batches = prediction_batches(rows, images_by_row, size).after(done.batches)
    workers = choose_workers(settings.training.workers, run.fabric.device.type, settings.images.cache)
    loader = make_loader(ImageDataset(opened.images), batches, workers, run.fabric.device.type == "cuda")
    readable = images_by_row.counts[rows] > 0

    def told() -> Iterator[Batch]:
        total = done.batches + len(batches)
        for batch in read_batches(loader):
            yield batch  # what follows happens once the batch is predicted
            if saved is not None:
                saved.save(done)
                run.progress("predict")(done.batches, total)

    views = run.views if tta else views_of([])
    with loader_processes():
        parts = predict(
            run.fabric,
            Ensemble(networks, scalers, views, run.target.activation),
            told(),
            int(readable.sum()),
            done,
            Pooling(settings.inference.pool, settings.inference.keep_top),
            _columns(run, test),
            watch,
        )
    return _of_rows(parts, readable, len(run.target.classes))


def _columns(run: Run, test: bool) -> torch.Tensor | None:
    columns = run.ready.columns
    if columns is None:
        return None
    return torch.from_numpy(columns.test if test else columns.train).to(run.fabric.device)


def _of_rows(parts: list[Array], readable: Array, classes: int) -> list[Predictions]:
    """Put each network's parts (R, W) into the readable rows of a table; the others are NaN."""
    whole = []
    for part, empty in zip(parts, (np.nan, 0), strict=False):
        rows = np.full((len(part), len(readable), part.shape[2]), empty, part.dtype)
        rows[:, readable] = part
        whole.append(rows)
    if len(whole) == 1:
        return list(whole[0])
    return [TopK(labels, values, classes) for values, labels in zip(*whole, strict=True)]
