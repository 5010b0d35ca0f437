"""Batches for training, validation and prediction.

Every image of a training epoch carries its own augmentation seed, drawn from (seed, fold, epoch). So the same
epoch gives the same batches with any number of loader processes, and an epoch can be taken up in its middle.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from compete.data.decoder import as_fractions
from compete.errors import CompeteError, DataError, PluginRuntimeError, TrainingError, error_location

if TYPE_CHECKING:
    from compete.data.images import ImagesByRow, ImageSequence
    from compete.types import Array, Image

MOST_WORKERS = 8


class Item(NamedTuple):
    """One image to load: its number, its table row, and the seed of its random transforms."""

    image: int
    row: int
    seed: int


class Batch(NamedTuple):
    """Images (B, H, W, C), uint8 or float, and their table rows (B,)."""

    images: torch.Tensor
    rows: torch.Tensor


class EpochBatches:
    """The batches of the epoch under way; a loader asks for them anew each time it is iterated."""

    def __init__(self) -> None:
        self.batches = Batches(np.zeros((0, 3), np.int64), np.zeros(1, np.int64))

    def __iter__(self) -> Iterator[list[Item]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class ImageDataset(Dataset[Batch | CompeteError]):
    """Loads whole batches of items from `images`, with random transforms where there are any."""

    def __init__(self, images: ImageSequence, transform: Callable[[Image, int], Image] | None = None) -> None:
        self.images = images
        self.transform = transform

    def __getitems__(self, items: Sequence[Item]) -> Batch | CompeteError:
        """Return one batch; torch's loader calls this with a whole batch of the sampler's items.

        What goes wrong is returned: raised in a loader process, it would arrive as the text of a traceback.
        """
        try:
            images = _stacked([augmented(self.transform, self.images[i.image], i.seed) for i in items])
        except CompeteError as error:
            return error
        return Batch(torch.from_numpy(images), torch.tensor([item.row for item in items]))


def augmented(transform: Callable[[Image, int], Image] | None, image: Image, seed: int) -> Image:
    """Return a image after the random transforms. Raise `CompeteError` where they fail or change its size."""
    if transform is None:
        return image
    if image.dtype == np.float16:  # how the cache keeps measured data; transforms want float32
        image = image.astype(np.float32)
    seed_host(seed)
    try:
        changed = transform(image, seed)
    except CompeteError:
        raise
    except Exception as error:
        raise PluginRuntimeError(f"[[transforms]] random raised {error!r} at {error_location(error)}") from error
    if changed.shape != image.shape:
        raise DataError(
            f"[[transforms]] random: a image of shape {image.shape} became {changed.shape}. Random transforms "
            "must keep the size: use RandomResizedCrop with the size of [images], or move the crop to `fixed`."
        )
    return changed


def _stacked(images: list[Image]) -> Array:
    """Join images; where bytes and measured numbers in 0..1 are mixed, all become such numbers."""
    mixed = len({image.dtype for image in images}) > 1
    return np.stack([as_fractions(image) for image in images] if mixed else images)


def seed_host(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch on the CPU, for transforms that draw from them.

    `torch.manual_seed` would take most of the time of a light transform, because it seeds every device too.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)


def make_loader(
    dataset: ImageDataset, batches: EpochBatches, workers: int, pin_memory: bool
) -> DataLoader[Batch | CompeteError]:
    """Make a loader over `batches`; read it through `read_batches`. Its processes stay alive from epoch to epoch."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=_as_it_is,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        # Transforms are closures, which only fork can hand over.
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=_one_thread,
    )


def _one_thread(_worker: int) -> None:
    """Processes, not OpenCV's threads, share the cores among them."""
    import cv2

    cv2.setNumThreads(0)


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 - the dataset made a batch of it already
    return batch


def read_batches(loader: DataLoader[Batch | CompeteError]) -> Iterator[Batch]:
    """Yield a loader's batches; raise what went wrong in its processes."""
    for batch in loader:
        if isinstance(batch, CompeteError):
            raise batch
        yield batch


@contextmanager
def loader_processes() -> Iterator[None]:
    """Say in plain words that a loader process was killed; torch raises it anywhere while one lives."""
    try:
        try:
            yield
        except (OSError, EOFError):
            time.sleep(1.0)  # a pipe may break before the signal of its process comes, which raises here
            raise
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        cause = "shared memory (/dev/shm) is full" if "shared memory" in str(error) else "memory ran out"
        raise TrainingError(
            f"a loader process was killed, most often because {cause}: {str(error).partition('. ')[0]}. "
            "Lower [training] workers or batch_size; the same command goes on where it was."
        ) from error


def choose_workers(setting: int, device: str, cached: bool) -> int:
    """Return the number of loader processes; a cache on a CPU is fastest without any (see bench/)."""
    cores = os.cpu_count() or 1
    if setting >= 0:
        return setting
    if device == "cpu":
        return 0 if cached else min(MOST_WORKERS, cores // 2)
    return min(MOST_WORKERS, cores)


class Batches:
    """Batches cut from one array of items (n, 3) at `edges`, each made when it is asked for."""

    def __init__(self, items: Array, edges: Array) -> None:
        self.items, self.edges = items, edges

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __iter__(self) -> Iterator[list[Item]]:
        for start, end in pairwise(self.edges.tolist()):
            yield [Item(*item) for item in self.items[start:end].tolist()]

    def after(self, done: int) -> Batches:
        """Leave out the first batches."""
        return Batches(self.items, self.edges[done:])


def training_batches(
    order: Array, images_by_row: ImagesByRow, rng: np.random.Generator, batch_size: int, drop_last: bool
) -> Batches:
    """Cut an epoch's row order into batches. Of a row with several images, one is drawn.

    A last, smaller batch is left out if `drop_last`, unless it is the only one.
    """
    seeds = rng.integers(2**31, size=len(order))
    drawn = (rng.random(len(order)) * images_by_row.counts[order]).astype(np.int64)
    images = images_by_row.numbers[images_by_row.starts[order] + drawn]
    edges = np.append(np.arange(0, len(order), batch_size), len(order))
    if drop_last and len(edges) > 2 and edges[-1] - edges[-2] < batch_size:
        edges = edges[:-1]
    return Batches(np.stack([images, order, seeds], axis=1), edges)


def prediction_batches(rows: Array, images_by_row: ImagesByRow, batch_size: int) -> Batches:
    """Cut every image of `rows` into batches of about `batch_size`; nothing is left out, and no row is cut in two."""
    counts = images_by_row.counts[rows]
    ends = np.cumsum(counts)
    owner = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(owner)) - (ends - counts)[owner]
    images = images_by_row.numbers[images_by_row.starts[rows][owner] + within]
    edges = [0]
    while edges[-1] < len(owner):
        last = np.searchsorted(ends, edges[-1] + batch_size, side="right") - 1
        # A row of more images than a batch is a batch of its own.
        edges.append(int(ends[max(last, owner[edges[-1]])]))
    return Batches(np.stack([images, rows[owner], np.zeros_like(owner)], axis=1), np.array(edges))
