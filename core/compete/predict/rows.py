"""Predict rows of a table with some networks, in one pass over their images that survives a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from compete.data.loaders import (
    Batches,
    EpochBatches,
    ImageDataset,
    loader_processes,
    make_loader,
    prediction_batches,
    read_batches,
)
from compete.model.memory import BatchSplitter
from compete.predict.inference import Ensemble, PartialPredictions, Pooling, Scale, Views, predict, views_of
from compete.store import load_state, save_state
from compete.types import TopK

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from compete.data.images import ImageSet
    from compete.data.loaders import Batch
    from compete.types import Array, Predictions


MOST_SIZES = 2  # of batches, for which kernels are searched


@dataclass(frozen=True)
class RowInputs:
    """A network's inputs for a table's rows: their images and, if there are any, features (N, F) beside them."""

    images: ImageSet
    columns: Array | None


@dataclass(frozen=True)
class Predictor:
    """How rows are predicted: the device, the views, and how logits (B, K) become predictions (R, C)."""

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
    """A long prediction, saved to `path` every `seconds`, so that a killed run resumes inside it.

    `keys` are the networks' identities; what was saved for more networks also serves some of them.
    """

    path: Path
    keys: list[str]
    seconds: float
    last: float = field(default_factory=time.monotonic)

    def load(self, empty: PartialPredictions) -> PartialPredictions:
        """Return what was saved for these networks, or `empty`."""
        try:
            state = load_state(self.path)
            index = [state["keys"].index(key) for key in self.keys]
            parts = [part[index] for part in state["parts"]]  # (saved M, R, W) -> (M, R, W)
            return PartialPredictions(empty.splitter, parts, state["rows"], state["batches"])
        except Exception:  # missing, of other networks, or damaged in any way: predicted from scratch
            return empty

    def save(self, done: PartialPredictions) -> None:
        """Save the prediction if it is time to."""
        if done.parts and time.monotonic() - self.last > self.seconds:
            state = {"keys": self.keys, "parts": done.parts, "rows": done.rows, "batches": done.batches}
            save_state(self.path, state)
            self.last = time.monotonic()


def predict_rows(
    predictor: Predictor,
    networks: list[nn.Module],
    scalers: Sequence[Scale],
    inputs: RowInputs,
    rows: Array,
    *,
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
    checkpoint: PredictionCheckpoint | None = None,
) -> list[Predictions]:
    """Return each network's predictions (len(rows), C) for rows of a table.

    Rows without a readable image are NaN. The prediction resumes from its `checkpoint`.
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
            yield batch  # resumed here once the batch is predicted
            if checkpoint is not None:
                checkpoint.save(done)
                predictor.progress(done.batches, total)

    with loader_processes(), _known_kernels(batches.batches):
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


@contextmanager
def _known_kernels(batches: Batches) -> Iterator[None]:
    """Keep cuDNN from a search for the fastest kernels where batches have many sizes: it searches anew for each.

    They do where rows have several images. A last batch that is smaller costs one search.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before and len(np.unique(batches.wholes)) <= MOST_SIZES
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _of_rows(parts: list[Array], readable: Array, classes: int) -> list[Predictions]:
    """Scatter parts (M, R, W) into the readable of N rows: M x (N, W), with NaN in the other rows."""
    whole = []
    for part, empty in zip(parts, (np.nan, 0), strict=False):
        rows = np.full((len(part), len(readable), part.shape[2]), empty, part.dtype)
        rows[:, readable] = part
        whole.append(rows)
    if len(whole) == 1:
        return list(whole[0])
    return [TopK(labels, values, classes) for values, labels in zip(*whole, strict=True)]
