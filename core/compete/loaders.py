"""Batches for training, validation and prediction.

Every picture of a training epoch carries its own augmentation seed, drawn from (seed, fold, epoch). So the same
epoch gives the same batches with any number of loader processes, and an epoch can be taken up in its middle.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from compete.errors import CompeteError, DataError, PluginFault, TrainingError, fault_place

if TYPE_CHECKING:
    from compete.images import Pictures
    from compete.types import Array, Image

MOST_WORKERS = 8


class Item(NamedTuple):
    """One picture to load: its number, its table row, and the seed of its random transforms."""

    picture: int
    row: int
    seed: int


class Batch(NamedTuple):
    """Images (B, H, W, C), uint8 or float, and their table rows (B,)."""

    images: torch.Tensor
    rows: torch.Tensor


class EpochBatches:
    """The batches of the epoch under way; a loader asks for them anew each time it is iterated."""

    def __init__(self) -> None:
        self.batches: Sequence[list[Item]] = ()

    def __iter__(self) -> Iterator[list[Item]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class PictureDataset(Dataset[Batch | CompeteError]):
    """Loads whole batches of items from `pictures`, with random transforms where there are any."""

    def __init__(self, pictures: Pictures, transform: Callable[[Image, int], Image] | None = None) -> None:
        self.pictures = pictures
        self.transform = transform

    def __getitems__(self, items: Sequence[Item]) -> Batch | CompeteError:
        """Return one batch; torch's loader calls this with a whole batch of the sampler's items.

        What goes wrong is returned: raised in a loader process, it would arrive as the text of a traceback.
        """
        try:
            images = np.stack([self._load(item) for item in items])
        except CompeteError as error:
            return error
        return Batch(torch.from_numpy(images), torch.tensor([item.row for item in items]))

    def _load(self, item: Item) -> Image:
        image = self.pictures[item.picture]
        if self.transform is None:
            return image
        if image.dtype == np.float16:  # how the cache keeps measured data; transforms want float32
            image = image.astype(np.float32)
        seed_host(item.seed)
        try:
            changed = self.transform(image, item.seed)
        except CompeteError:
            raise
        except Exception as error:
            raise PluginFault(f"[[transforms]] random raised {error!r} at {fault_place(error)}") from error
        if changed.shape != image.shape:
            raise DataError(
                f"[[transforms]] random: a picture of shape {image.shape} became {changed.shape}. Random transforms "
                "must keep the size: use RandomResizedCrop with the size of [images], or move the crop to `fixed`."
            )
        return changed


def seed_host(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch on the CPU, for transforms that draw from them.

    `torch.manual_seed` would take most of the time of a light transform, because it seeds every device too.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)


def make_loader(
    dataset: PictureDataset, batches: EpochBatches, workers: int, pin_memory: bool
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


def training_batches(
    order: Array, pictures_of_row: Sequence[Array], rng: np.random.Generator, batch_size: int, drop_last: bool
) -> list[list[Item]]:
    """Cut an epoch's row order into batches. Of a row with several pictures, one is drawn.

    A last, smaller batch is left out if `drop_last`, unless it is the only one.
    """
    seeds = rng.integers(2**31, size=len(order))
    draws = rng.random(len(order))
    items = [
        Item(int(pictures[int(draw * len(pictures))]), int(row), int(seed))
        for row, seed, draw in zip(order, seeds, draws, strict=True)
        for pictures in (pictures_of_row[row],)
    ]
    batches = cut(items, batch_size)
    if drop_last and len(batches) > 1 and len(batches[-1]) < batch_size:
        batches.pop()
    return batches


def prediction_batches(rows: Array, pictures_of_row: Sequence[Array], batch_size: int) -> list[list[Item]]:
    """Cut every picture of `rows` into batches; nothing is left out."""
    items = [Item(int(picture), int(row), 0) for row in rows for picture in pictures_of_row[row]]
    return cut(items, batch_size)


def cut(items: list[Item], size: int) -> list[list[Item]]:
    """Cut a list into pieces of `size`; the last may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def group_pictures(rows: Array, count: int) -> list[Array]:
    """Return the picture numbers of each of `count` rows; `rows` is the row of each picture, in order."""
    edges = np.searchsorted(rows, np.arange(count + 1))
    return cast("list[Array]", np.split(np.arange(len(rows)), edges[1:-1])) if count else []
