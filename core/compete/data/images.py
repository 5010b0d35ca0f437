"""The images of a table: which rows they belong to, and where their pixels come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from compete.data.decoder import Decoder
from compete.data.image_cache import Progress, decode_all, open_cache
from compete.errors import DataError
from compete.text import plural

if TYPE_CHECKING:
    import pandas as pd

    from compete.types import Array, Image

MOST_LISTED = 5


class ImageSequence(Protocol):
    """Images of one size by number."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, number: int) -> Image:
        """Return image `number` (H, W, C); the array must not be written to."""


@dataclass(frozen=True)
class ImageIndex:
    """The images of a table: their paths, and the table row that each belongs to."""

    paths: list[str]
    rows: Array

    @classmethod
    def of(cls, table: pd.DataFrame) -> ImageIndex:
        """List the images of a table whose column `image` holds one path a row, or a list of them."""
        images = table["image"].tolist()
        lists = [image if isinstance(image, list) else [image] for image in images]
        rows = np.repeat(np.arange(len(lists)), [len(paths) for paths in lists])
        return cls([path for paths in lists for path in paths], rows)


class ImagesByRow:
    """The numbers of each row's images: all in one array, and where each row begins."""

    def __init__(self, rows: Array, count: int) -> None:
        """Take the row of each image, in ascending order, and the number of rows."""
        self.numbers = np.arange(len(rows))
        self.starts = np.searchsorted(rows, np.arange(count + 1))

    def without(self, lost: Array) -> ImagesByRow:
        """Leave out some images."""
        rows = np.repeat(np.arange(len(self)), self.counts)
        stays = ~np.isin(self.numbers, lost)
        left = ImagesByRow(rows[stays], len(self))
        left.numbers = self.numbers[stays]
        return left

    @property
    def counts(self) -> Array:
        """How many images each row has."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> Array:
        return self.numbers[self.starts[row] : self.starts[row + 1]]


@dataclass(frozen=True)
class DecodedImages:
    """Images decoded each time they are asked for."""

    paths: Sequence[str]
    decode: Callable[[str], Image]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Image:
        try:
            return self.decode(self.paths[number])
        except ValueError as error:
            raise DataError(f"unreadable image: {error}") from error


@dataclass(frozen=True)
class ImageSet:
    """The images of a table, ready to be read: `by_row` leaves out the `unreadable` ones, `{image number: reason}`."""

    images: ImageSequence
    by_row: ImagesByRow
    unreadable: dict[int, str]


@dataclass(frozen=True)
class Images:
    """A competition's images, and what changes a training image, with its seed, each time it is seen."""

    train: ImageSet
    test: ImageSet
    augment: Callable[[Image, int], Image] | None


def open_image_set(table: pd.DataFrame, decoder: Decoder, key: str, progress: Progress) -> ImageSet:
    """Open a table's images, through the cache if `[images]` asks for it; `key` names their pixels in the cache.

    Images that cannot be read are listed in the result, never replaced.
    """
    settings, index = decoder.settings, ImageIndex.of(table)
    images: ImageSequence = DecodedImages(index.paths, decoder)
    unreadable: dict[int, str] = {}
    if settings.cache:
        images, unreadable = open_cache(Path(settings.cache_dir), key, index.paths, decoder, progress)
    elif settings.unreadable == "skip":  # what to skip must be known before training
        unreadable = dict(decode_all(index.paths, decoder, lambda _number, _image: None, progress))
    lost = np.array(sorted(unreadable), np.int64)
    return ImageSet(images, ImagesByRow(index.rows, len(table)).without(lost), unreadable)


def refuse_unreadable(name: str, images: ImageSet) -> None:
    """Raise `DataError` listing the first unreadable images of a table."""
    if not images.unreadable:
        return
    listed = list(images.unreadable.values())[:MOST_LISTED]
    left = len(images.unreadable) - len(listed)
    raise DataError(
        f"{len(images.unreadable)} of {plural(len(images.images), f'{name} image')} cannot be read:\n  "
        + "\n  ".join(listed)
        + (f" and {left} more" if left else "")
        + '\n  Repair or replace them, or leave training images out: set [images] unreadable = "skip".'
    )
