"""The images of a table: the rows that they belong to, and where their pixels come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from compete.data.decoder import BUT_CHANNELS, Decoder
from compete.data.image_cache import Notes, Progress, check_images, open_cache
from compete.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from compete.types import Array, Image

MOST_LISTED = 5


class ImageSequence(Protocol):
    """Images of one size by number, a memory map or `DecodedImages`."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, number: int) -> Image:
        """Return image `number` (H, W, C), which is read-only."""


@dataclass(frozen=True)
class ImageIndex:
    """The images of a table: their paths (n), and the table row of each, int64 (n,), in ascending order."""

    paths: list[str]
    rows: Array

    @classmethod
    def of(cls, table: pd.DataFrame) -> ImageIndex:
        """List the images of a table whose column `image` holds a path or a list of paths."""
        images = table["image"].tolist()
        lists = [image if isinstance(image, list) else [image] for image in images]
        rows = np.repeat(np.arange(len(lists)), [len(paths) for paths in lists])  # (N,) -> (n,): 2, 1 -> 0, 0, 1
        return cls([path for paths in lists for path in paths], rows)


class ImagesByRow:
    """The numbers of each row's images: row r has `numbers[starts[r] : starts[r + 1]]`."""

    def __init__(self, rows: Array, count: int) -> None:
        """Take the row of each image (n,), in ascending order, and N, the number of rows."""
        self.numbers = np.arange(len(rows))
        self.starts = np.searchsorted(rows, np.arange(count + 1))  # (N + 1,): rows 0, 0, 1 -> 0, 2, 3

    def without(self, lost: Array) -> ImagesByRow:
        """Leave out the images of some numbers; those of the others stay."""
        rows = np.repeat(np.arange(len(self)), self.counts)  # (N,) -> (n,)
        kept = ~np.isin(self.numbers, lost)
        rest = ImagesByRow(rows[kept], len(self))
        rest.numbers = self.numbers[kept]
        return rest

    @property
    def counts(self) -> Array:
        """The number of images of each row (N,)."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> Array:
        return self.numbers[self.starts[row] : self.starts[row + 1]]


@dataclass(frozen=True)
class DecodedImages:
    """Images that are decoded at each access; `requests` of them at once where they come from a store."""

    paths: Sequence[str]
    decode: Callable[[str], Image]
    requests: int = 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Image:
        try:
            return self.decode(self.paths[number])
        except ValueError as error:
            raise DataError(f"unreadable image: {error}") from error


def read_many(images: ImageSequence, numbers: Sequence[int]) -> Iterator[Image]:
    """Yield some images in their order; those of a store are asked for together, as each request waits."""
    if isinstance(images, DecodedImages) and images.requests:
        with ThreadPoolExecutor(images.requests) as pool:  # of this process alone: threads do not survive a fork
            yield from pool.map(images.__getitem__, numbers)
    else:
        yield from map(images.__getitem__, numbers)


@dataclass(frozen=True)
class ImageSet:
    """The opened images of a table; `by_row` leaves out the `unreadable` ones, `{image number: reason}`.

    `notes` counts what was noted when they were decoded; `damaged`: their cache was, and is built again. `key` names
    their pixels, empty if these are not stored.
    """

    images: ImageSequence
    by_row: ImagesByRow
    unreadable: dict[int, str]
    notes: Notes = field(default_factory=dict)
    damaged: bool = False
    key: str = ""


@dataclass(frozen=True)
class Images:
    """A competition's images, and `augment(image, seed)` for training images."""

    train: ImageSet
    test: ImageSet
    augment: Callable[[Image, int], Image] | None


def open_image_set(table: pd.DataFrame, decoder: Decoder, key: str, progress: Progress) -> ImageSet:
    """Open a table's images, through the cache if `[images]` asks for it; `key` names their pixels in the cache.

    Images that cannot be read are listed in the result, never replaced. With an empty key they are not looked for.
    """
    settings, index = decoder.settings, ImageIndex.of(table)
    images: ImageSequence = DecodedImages(index.paths, decoder, decoder.requests)
    unreadable: dict[int, str] = {}
    notes: Notes = {}
    damaged = False
    if settings.cache and index.paths:
        cache = open_cache(Path(settings.cache_dir), key, index.paths, decoder, progress)
        images, unreadable, notes, damaged = cache.pixels, cache.unreadable, cache.notes, cache.damaged
    elif key and index.paths:  # what is damaged must be known before training
        unreadable, notes = check_images(Path(settings.cache_dir), key, index.paths, decoder, progress)
    lost = np.array(sorted(unreadable), np.int64)
    return ImageSet(images, ImagesByRow(index.rows, len(table)).without(lost), unreadable, notes, damaged, key)


def unreadable_problem(name: str, reasons: Sequence[str], of: str) -> str:
    """Return a problem that lists the first unreadable images of a table, out of `of`, and says what can be done."""
    more = f"\n  and {len(reasons) - MOST_LISTED:,} more" if len(reasons) > MOST_LISTED else ""
    advice = (
        'A test row cannot be left out: with [images] unreadable = "skip" one without a readable image gets the mean '
        "prediction."
        if name == "test"
        else 'Or leave them out of training: set [images] unreadable = "skip".'
    )
    listed = "".join(f"\n  {reason}" for reason in reasons[:MOST_LISTED])
    cure = f"Repair or replace them. {advice}"
    if all(BUT_CHANNELS in reason for reason in reasons):
        cure = (
            "Set [images] channels to the images' own, 3 for colour; or make them grey with channels = 1 and "
            '[[transforms]] name = "channels", keep = [[0, 1, 2]].'
        )
    return f"{len(reasons)} of {of} cannot be read:{listed}{more}\n  {cure}"
