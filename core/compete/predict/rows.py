"""Predict rows of a table with some networks, in one pass over their images that a kill does not lose."""

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
    loader_processes,
    make_loader,
    prediction_batches,
    read_batches,
)
from compete.model.memory import BatchSplitter
from compete.predict.inference import Ensemble, PartialPredictions, Pooling, Scaler, Views, predict, views_of
from compete.store import load_state, save_state
from compete.types import TopK

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from compete.data.images import ImageSet
    from compete.data.loaders import Batch
    from compete.types import Array, Predictions


@dataclass(frozen=True)
class RowInputs:
    """What a network sees of a table's rows: their images and, where there are any, the numbers (N, F) beside them."""

    images: ImageSet
    columns: Array | None


@dataclass(frozen=True)
class Predictor:
    """How rows are predicted: on which device, with which views, and how logits become predictions (C,) of a row."""

    fabric: Fabric
    activation: Callable[[torch.Tensor], torch.Tensor]
    classes: int
    pooling: Pooling = field(default_factory=Pooling)
    views: Views = field(default_factory=lambda: views_of([]))
    batch_size: int = 64
    workers: int = 0
    log: Callable[[str], None] = lambda _message: None
    progress: Callable[[int, int], None] = lambda _done, _total: None


@dataclass
class PredictionCheckpoint:
    """A long prediction, saved every `seconds` to `path`, so that a killed run resumes inside it.

    `keys` name what each network's predictions depend on; a part saved for more networks serves fewer of them too.
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
            parts = [part[index] for part in state["parts"]]
            return PartialPredictions(empty.splitter, parts, state["rows"], state["batches"])
        except Exception:  # not there, of other networks, or damaged in any way: predicted from scratch
            return empty

    def save(self, done: PartialPredictions) -> None:
        """Save what is done if it is time."""
        if done.parts and time.monotonic() - self.last > self.seconds:
            state = {"keys": self.keys, "parts": done.parts, "rows": done.rows, "batches": done.batches}
            save_state(self.path, state)
            self.last = time.monotonic()


def predict_rows(
    predictor: Predictor,
    networks: list[nn.Module],
    scalers: list[Scaler],
    inputs: RowInputs,
    rows: Array,
    *,
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
    checkpoint: PredictionCheckpoint | None = None,
) -> list[Predictions]:
    """Return each network's predictions (len(rows), C) for rows of a table.

    Rows without a readable image are NaN. What the `checkpoint` holds is not predicted again.
    """
    device, by_row = predictor.fabric.device, inputs.images.by_row
    done = PartialPredictions(BatchSplitter(predictor.log))
    if checkpoint is not None:
        done = checkpoint.load(done)
    batches = EpochBatches()
    batches.batches = prediction_batches(rows, by_row, predictor.batch_size).after(done.batches)
    loader = make_loader(ImageDataset(inputs.images.images), batches, predictor.workers, device.type == "cuda")
    readable = by_row.counts[rows] > 0

    def with_progress() -> Iterator[Batch]:
        total = done.batches + len(batches)
        for batch in read_batches(loader):
            yield batch  # what follows happens once the batch is predicted
            if checkpoint is not None:
                checkpoint.save(done)
                predictor.progress(done.batches, total)

    with loader_processes():
        parts = predict(
            predictor.fabric,
            Ensemble(networks, scalers, predictor.views, predictor.activation),
            with_progress(),
            int(readable.sum()),
            done,
            predictor.pooling,
            None if inputs.columns is None else torch.from_numpy(inputs.columns).to(device),
            watch,
        )
    return _of_rows(parts, readable, predictor.classes)


def _of_rows(parts: list[Array], readable: Array, classes: int) -> list[Predictions]:
    """Put each network's parts (M, R, W) into the readable of N rows: (M, N, W), the other rows NaN."""
    whole = []
    for part, empty in zip(parts, (np.nan, 0), strict=False):
        rows = np.full((len(part), len(readable), part.shape[2]), empty, part.dtype)
        rows[:, readable] = part
        whole.append(rows)
    if len(whole) == 1:
        return list(whole[0])
    return [TopK(labels, values, classes) for values, labels in zip(*whole, strict=True)]
