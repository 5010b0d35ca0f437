"""Predict rows of the training or the test table with some networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn

from compete.inference import Scaler, predict, views_of
from compete.loaders import EpochBatches, PictureDataset, choose_workers, make_loader, prediction_batches
from compete.runs import Run

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from compete.loaders import Batch
    from compete.types import Array


def predict_rows(
    run: Run,
    networks: list[nn.Module],
    scalers: list[Scaler],
    rows: Array,
    *,
    test: bool = False,
    tta: bool = False,
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
) -> Array:
    """Return predictions (M, len(rows), C) for rows of the training table, or of the test table."""
    data, settings = run.ready, run.config
    opened, pictures_of_row = (data.test, data.test_rows) if test else (data.train, data.train_rows)
    size = settings.inference.batch_size or 2 * settings.training.batch_size
    batches = EpochBatches()
    batches.batches = prediction_batches(rows, pictures_of_row, size)
    workers = choose_workers(settings.training.workers, run.fabric.device.type, settings.images.cache)
    loader = make_loader(PictureDataset(opened.pictures), batches, workers, run.fabric.device.type == "cuda")
    views = run.views if tta else views_of([])
    told = _told(loader, run.progress("predict")) if tta else loader
    activation = run.target.activation
    return predict(run.fabric, networks, scalers, told, views, activation, len(pictures_of_row), watch)[:, rows]


def _told(loader: DataLoader[Batch], progress: Callable[[int, int], None]) -> Iterator[Batch]:
    total = len(loader)
    for number, batch in enumerate(loader, start=1):
        yield batch
        progress(number, total)
