"""Batches for training, validation and prediction.

Every image of a training epoch has its own augmentation seed, drawn from (seed, fold, epoch). So an epoch gives the
same batches with any number of loader processes, and can resume in its middle.
"""

from __future__ import annotations

import multiprocessing
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
from compete.data.images import read_many
from compete.errors import CompeteError, DataError, PluginRuntimeError, TrainingError, code_of_others, error_location

if TYPE_CHECKING:
    from compete.data.images import ImagesByRow, ImageSequence
    from compete.ranks.group import Ranks
    from compete.types import Array, Image

MOST_WORKERS = 8


class Item(NamedTuple):
    """One image to load: its number, its table row, and the seed of its random transforms."""

    image: int
    row: int
    seed: int


class Batch(NamedTuple):
    """Images (B, H, W, C), uint8 or float, and their table rows (B,).

    With several ranks it is one's part of a batch of `whole` rows.
    """

    images: torch.Tensor
    rows: torch.Tensor
    whole: int = 0

    @property
    def size(self) -> int:
        """The number of rows of all parts."""
        return self.whole or len(self.rows)


class EpochBatches:
    """The current epoch's batches, set before each iteration of the loader."""

    def __init__(self) -> None:
        self.batches = Batches(np.zeros((0, 3), np.int64), np.zeros(1, np.int64))  # no items, no batches

    def __iter__(self) -> Iterator[list[Item]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class ImageDataset(Dataset[Batch | CompeteError]):
    """Loads whole batches of items from `images`, with the random transforms if there are any."""

    def __init__(self, images: ImageSequence, transform: Callable[[Image, int], Image] | None = None) -> None:
        self.images = images
        self.transform = transform

    def __getitems__(self, items: Sequence[Item]) -> Batch | CompeteError:
        """Return the batch of some items; torch's loader calls this once per batch.

        Errors are returned: raised in a loader process, they would arrive as the text of a traceback.
        """
        try:
            read = read_many(self.images, [item.image for item in items])
            images = _stacked([augmented(self.transform, image, i.seed) for image, i in zip(read, items, strict=True)])
        except CompeteError as error:
            return error
        return Batch(torch.from_numpy(images), torch.tensor([item.row for item in items]))


def augmented(transform: Callable[[Image, int], Image] | None, image: Image, seed: int) -> Image:
    """Apply the random transforms to an image (H, W, C). Raise `CompeteError` if they fail or change shape or type."""
    if transform is None:
        return image
    if image.dtype == np.float16:  # the cache's type for measured data; transforms need float32
        image = image.astype(np.float32)
    seed_host(seed)
    with code_of_others(_raised):
        changed = transform(image, seed)
    if not isinstance(changed, np.ndarray) or changed.dtype != image.dtype:
        kind = getattr(changed, "dtype", type(changed).__name__)
        raise DataError(f"[[transforms]] random: an image of type {image.dtype} became {kind}. Its type must stay.")
    if changed.shape != image.shape:
        raise DataError(
            f"[[transforms]] random: an image of shape {image.shape} became {changed.shape}. Random transforms "
            "must keep the size: use RandomResizedCrop with the size of [images], or move the crop to `fixed`."
        )
    return changed


def _raised(error: BaseException) -> PluginRuntimeError:
    return PluginRuntimeError(f"[[transforms]] random raised {error!r} at {error_location(error)}")


def _stacked(images: list[Image]) -> Array:
    """Stack images: B x (H, W, C) -> (B, H, W, C); if uint8 and floats in 0..1 are mixed, all become floats."""
    mixed = len({image.dtype for image in images}) > 1
    return np.stack([as_fractions(image) for image in images] if mixed else images)


def seed_host(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch on the CPU, for transforms that draw from them.

    `torch.manual_seed` seeds every device too, which would take most of the time of a light transform.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)


def make_loader(
    dataset: ImageDataset, batches: EpochBatches, workers: int, pin_memory: bool
) -> DataLoader[Batch | CompeteError]:
    """Make a loader over `batches`, to be read with `read_batches`; its processes stay alive between epochs."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=_unchanged,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        # Transforms are closures, which cannot be pickled: only forked processes have them.
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=_one_thread,
    )


def _one_thread(_worker: int) -> None:
    """Keep OpenCV to one thread: there is a process for each core already."""
    import cv2

    cv2.setNumThreads(0)


def _unchanged(batch: Any) -> Any:  # noqa: ANN401 - the dataset returns whole batches
    return batch


def read_batches(loader: DataLoader[Batch | CompeteError]) -> Iterator[Batch]:
    """Yield a loader's batches; raise the errors of its processes."""
    for batch in loader:
        if isinstance(batch, CompeteError):
            raise batch
        yield batch


def read_parts(loader: DataLoader[Batch | CompeteError], batches: Batches) -> Iterator[Batch]:
    """Yield a loader's batches as parts of those that `batches` were dealt from."""
    for batch, whole in zip(read_batches(loader), batches.wholes.tolist(), strict=True):
        yield batch._replace(whole=whole)


@contextmanager
def loader_processes() -> Iterator[None]:
    """Raise `TrainingError` if a loader process is killed; torch reports it at any line while one is alive."""
    try:
        try:
            yield
        except (OSError, EOFError):
            time.sleep(1.0)  # a pipe can break just before its process's signal arrives, which raises here
            raise
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        cause = "shared memory (/dev/shm) is full" if "shared memory" in str(error) else "memory ran out"
        raise TrainingError(
            f"a loader process was killed, most often because {cause}: {str(error).partition('. ')[0]}. "
            "Lower [training] workers or batch_size; the run resumes when you run the same command again."
        ) from error


def choose_workers(setting: int, device: str, cached: bool, sharing: int = 1) -> int:
    """Return the number of loader processes, each of `sharing` ranks; on a CPU a cache is fastest without (see bench/).

    Where processes cannot fork, as on Windows, there are none, and so no script needs a guard around its main part.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        return 0
    cores = max(1, (os.cpu_count() or 1) // sharing)
    if setting >= 0:
        return setting
    if not hasattr(os, "fork"):  # Windows
        return 0
    if device == "cpu":
        return 0 if cached else min(MOST_WORKERS, cores // 2)
    return min(MOST_WORKERS, cores)


class Batches:
    """Batches of the items (n, 3): batch b has `items[edges[b] : edges[b + 1]]`, made when it is read.

    Where they are one rank's parts, `wholes` are the sizes of the batches that they are parts of.
    """

    def __init__(self, items: Array, edges: Array, wholes: Array | None = None) -> None:
        self.items, self.edges = items, edges
        self.wholes: Array = np.diff(edges) if wholes is None else wholes

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __iter__(self) -> Iterator[list[Item]]:
        for start, end in pairwise(self.edges.tolist()):
            yield [Item(*item) for item in self.items[start:end].tolist()]

    def after(self, done: int) -> Batches:
        """Leave out the first batches."""
        return Batches(self.items, self.edges[done:])

    def parts(self, ranks: Ranks) -> Batches:
        """Return a rank's part of each batch."""
        own = [ranks.part(size) for size in self.wholes.tolist()]
        starts = self.edges[:-1].tolist()
        items = [self.items[start + some.start : start + some.stop] for start, some in zip(starts, own, strict=True)]
        edges = np.cumsum([0, *(len(some) for some in items)])
        return Batches(np.concatenate([self.items[:0], *items]), edges, self.wholes)


def training_batches(
    order: Array, images_by_row: ImagesByRow, rng: np.random.Generator, batch_size: int, drop_last: bool
) -> Batches:
    """Cut an epoch's row order (n,) into batches, with one image drawn from each row's.

    With `drop_last` a smaller last batch is left out, unless it is the only one.
    """
    seeds = rng.integers(2**31, size=len(order))
    drawn = (rng.random(len(order)) * images_by_row.counts[order]).astype(np.int64)  # (n,): below the row's count
    images = images_by_row.numbers[images_by_row.starts[order] + drawn]  # (n,)
    edges = np.append(np.arange(0, len(order), batch_size), len(order))  # 7 rows in threes: 0, 3, 6, 7
    if drop_last and len(edges) > 2 and edges[-1] - edges[-2] < batch_size:
        edges = edges[:-1]
    return Batches(np.stack([images, order, seeds], axis=1), edges)  # 3 x (n,) -> (n, 3)


def prediction_batches(rows: Array, images_by_row: ImagesByRow, batch_size: int) -> Batches:
    """Cut the images of `rows` (R,) into batches of whole rows, of at most `batch_size` images where rows allow it."""
    counts = images_by_row.counts[rows]
    ends = np.cumsum(counts)  # (R,): counts 2, 0, 3 -> 2, 2, 5
    owner = np.repeat(np.arange(len(rows)), counts)  # (n,), position in `rows`: 0, 0, 2, 2, 2
    within = np.arange(len(owner)) - (ends - counts)[owner]  # (n,), position in the row: 0, 1, 0, 1, 2
    images = images_by_row.numbers[images_by_row.starts[rows][owner] + within]  # (n,)
    edges = [0]
    while edges[-1] < len(owner):
        last = np.searchsorted(ends, edges[-1] + batch_size, side="right") - 1
        # A row with more images than a batch is a batch of its own.
        edges.append(int(ends[max(last, owner[edges[-1]])]))
    return Batches(np.stack([images, rows[owner], np.zeros_like(owner)], axis=1), np.array(edges))  # (n, 3)
