"""The features of a table's images in one memory map, computed in one pass that survives a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from compete.data.image_cache import Progress, allocate
from compete.data.loaders import (
    Batches,
    EpochBatches,
    ImageDataset,
    loader_processes,
    make_loader,
    read_batches,
)
from compete.features.split import Split
from compete.model.memory import BatchSplitter
from compete.store import file_lock, make_folder, read_json, remove_litter, write_json

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from compete.data.images import ImageSet
    from compete.predict.inference import Scaler, Views
    from compete.types import Array

SAVE_EVERY_S = 20.0
ADVICE = "set [images] cache_dir to another disk."


@dataclass(frozen=True)
class Backbone:
    """A frozen backbone that gives features, all views of an image after one another.

    `network` is on the device, in eval mode or with its frozen parts in it.
    """

    fabric: Fabric
    network: nn.Module
    split: Split
    scaler: Scaler
    views: Views

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features (B, V, ...) of pixels (B, H, W, C), on the device."""
        views = self.views(self.scaler(images))
        with self.fabric.autocast():
            return torch.stack([self.split.features(self.network, view) for view in views], dim=1)


@dataclass(frozen=True)
class StoredFeatures:
    """The features of a table's images, (n, V, ...) float32 on disk; `dtype` is the type that they were computed in.

    `seconds` is how long the pass over the images took, 0 if they were there.
    """

    split: Split
    values: Array
    dtype: torch.dtype
    images: ImageSet
    seconds: float = 0.0

    @property
    def unchanged(self) -> ImageSet:
        """Features (...) of the images as they are, in the place of the images."""
        return replace(self.images, images=self.values[:, 0])  # (n, V, ...) -> (n, ...)

    @property
    def views(self) -> ImageSet:
        """Features (V, ...) of all views, in the place of the images."""
        return replace(self.images, images=self.values)

    @property
    def width(self) -> int:
        """How many numbers an image has."""
        return int(np.prod(self.values.shape[2:]))

    def rest_of(self, network: nn.Module) -> nn.Module:
        """Return the part of the network that takes these features."""
        return self.split.rest_of(network, self.dtype)


def open_features(
    folder: Path,
    key: str,
    images: ImageSet,
    backbone: Backbone,
    *,
    batch_size: int,
    workers: int,
    log: Callable[[str], None],
    progress: Progress,
) -> StoredFeatures:
    """Open the features of a table's readable images, computed as far as they are missing or damaged."""
    data, marks = folder / f"{key}.npy", folder / f"{key}.json"
    numbers = images.by_row.numbers
    make_folder(folder)
    started = time.perf_counter()
    with file_lock(folder / f"{key}.lock"):  # one process computes, the others wait for it
        remove_litter(folder, key)
        state = _sound_state(data, marks, len(images.images), len(numbers))
        missing = state is None or state["done"] < len(numbers)
        if missing:
            first = 0 if state is None else state["done"]
            batches = _batches(images, numbers[first:], batch_size, workers, backbone.fabric.device)
            state = _compute(data, marks, state, _measured(backbone, batches, log), progress, images)
    assert state is not None
    values = np.load(data, mmap_mode="r")
    seconds = time.perf_counter() - started if missing else 0.0
    return StoredFeatures(backbone.split, values, getattr(torch, state["dtype"]), images, seconds)


def _sound_state(data: Path, marks: Path, images: int, readable: int) -> dict[str, Any] | None:
    """Return what is known of a file of features, or None unless it is what was written."""
    state = read_json(marks)
    try:
        values = np.load(data, mmap_mode="r")
        sound = (
            values.shape == tuple(state["shape"])
            and len(values) == images
            and values.dtype == np.float32
            and values.offset + values.nbytes == data.stat().st_size
            and type(state["done"]) is int
            and 0 < state["done"] <= readable
            and isinstance(getattr(torch, state["dtype"]), torch.dtype)
        )
    except Exception:  # missing, or a damaged header, which raises nearly anything
        return None
    return state if sound else None


def _batches(
    images: ImageSet, numbers: Array, batch_size: int, workers: int, device: torch.device
) -> Iterator[torch.Tensor]:
    """Yield the pixels (B, H, W, C) of some images."""
    batches = EpochBatches()
    items = np.stack([numbers, np.zeros_like(numbers), np.zeros_like(numbers)], axis=1)  # no row, no seed
    edges = np.append(np.arange(0, len(numbers), batch_size), len(numbers))
    batches.batches = Batches(items, edges)
    loader = make_loader(ImageDataset(images.images), batches, workers, device.type == "cuda")
    with loader_processes():
        for batch in read_batches(loader):
            yield batch.images.to(device, non_blocking=True)


def _measured(
    backbone: Backbone, batches: Iterator[torch.Tensor], log: Callable[[str], None]
) -> Iterator[torch.Tensor]:
    splitter = BatchSplitter(log)
    for images in batches:

        def work(count: int, images: torch.Tensor = images) -> torch.Tensor:
            return torch.cat([backbone(part).cpu() for part in images.chunk(count)])

        yield splitter.fit(work, len(images))


def _compute(
    data: Path,
    marks: Path,
    state: dict[str, Any] | None,
    measured: Iterator[torch.Tensor],
    progress: Progress,
    images: ImageSet,
) -> dict[str, Any]:
    """Write features batch by batch; a pass that was killed resumes after the last save."""
    numbers, values, saved = images.by_row.numbers, None, time.monotonic()
    for features in measured:
        if state is None:
            shape = (len(images.images), *features.shape[1:])
            marks.unlink(missing_ok=True)
            allocate(data, shape, "float32", ADVICE)
            state = {"shape": shape, "dtype": str(features.dtype).removeprefix("torch."), "done": 0}
        if values is None:
            values = np.load(data, mmap_mode="r+")
        done = state["done"]
        values[numbers[done : done + len(features)]] = features.float().numpy()  # (B, V, ...) into (n, V, ...)
        state["done"] = done + len(features)
        last = state["done"] == len(numbers)
        if last or time.monotonic() - saved > SAVE_EVERY_S:
            values.flush()
            write_json(marks, state)
            saved = time.monotonic()
        progress(state["done"], len(numbers))
    assert state is not None
    return state
