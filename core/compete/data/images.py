"""From a table's image paths to pixels of one size: decode, the fixed transforms, resize."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from compete.data.image_cache import Progress, decode_all, open_cache
from compete.errors import CompeteError, DataError, PluginRuntimeError, error_location
from compete.store import fingerprint

if TYPE_CHECKING:
    import pandas as pd

    from compete.config.settings import Images
    from compete.files.root import Files
    from compete.types import Array, Image


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


@dataclass(frozen=True)
class Decoder:
    """Reads one image and brings it to the size of `settings`, after the fixed transforms."""

    files: Files
    readers: Mapping[str, Callable[[bytes], Image]]
    settings: Images
    fixed: Sequence[Callable[[Image], Image]] = ()

    def __call__(self, path: str) -> Image:
        """Return (H, W, C), uint8 or float32 in 0..1. Raise `ValueError` with the path when it is no image."""
        try:
            image = self._reader(path)(self.files.read(path))
        except (ValueError, OSError, DataError) as error:
            raise ValueError(f"{path}: {error}") from error
        except Exception as error:
            raise PluginRuntimeError(f"{path}: its reader raised {error!r} at {error_location(error)}") from error
        try:
            for transform in self.fixed:
                image = transform(image)
        except CompeteError:
            raise
        except Exception as error:
            raise PluginRuntimeError(
                f"{path}: [[transforms]] fixed raised {error!r} at {error_location(error)}"
            ) from error
        if image.ndim != 3 or image.shape[2] != self.settings.channels:
            raise ValueError(
                f"{path}: has shape {image.shape}, but [images] channels = {self.settings.channels} are expected"
            )
        return fit_to(image, self.settings.size, self.settings.resize)

    def _reader(self, path: str) -> Callable[[bytes], Image]:
        ending = self.settings.reader or path.partition("#")[0].rpartition(".")[2].lower()
        # An unknown or missing ending is read as a image: the bytes say which kind.
        return self.readers.get(ending, self.readers["jpg"])


def fit_to(image: Image, size: tuple[int, int], fit: str) -> Image:
    """Resize (H, W, C) to `size` = (height, width): stretched, padded with black, or cropped to the centre."""
    if image.shape[:2] == size:
        return np.ascontiguousarray(image)
    if fit == "stretch":
        return _resize(image, *size)
    ratios = size[0] / image.shape[0], size[1] / image.shape[1]
    ratio = min(ratios) if fit == "pad" else max(ratios)
    height, width = (max(1, round(side * ratio)) for side in image.shape[:2])
    scaled = _resize(image, height, width)
    if fit == "pad":
        canvas = np.zeros((*size, image.shape[2]), image.dtype)
        top, left = (size[0] - height) // 2, (size[1] - width) // 2
        canvas[top : top + height, left : left + width] = scaled[: size[0], : size[1]]
        return canvas
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return np.ascontiguousarray(scaled[top : top + size[0], left : left + size[1]])


def _resize(image: Image, height: int, width: int) -> Image:
    import cv2

    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR  # area averaging is antialiased
    # Area averaging takes up to four channels at a time, and drops the axis of a single one.
    parts = [image[:, :, start : start + 4] for start in range(0, image.shape[2], 4)]
    resized = [cv2.resize(part, (width, height), interpolation=method).reshape(height, width, -1) for part in parts]
    return resized[0] if len(resized) == 1 else np.concatenate(resized, axis=2)


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
    """Images ready to be read, and why some could not be: `{image number: reason}`."""

    images: ImageSequence
    unreadable: dict[int, str] = field(default_factory=dict)
    key: str = ""


def open_image_set(paths: Sequence[str], decoder: Decoder, options: object, progress: Progress) -> ImageSet:
    """Open images through the cache that `[images]` asks for.

    `options` stands for the fixed transforms in the cache's key. Images that cannot be read are listed in
    the result, never replaced.
    """
    settings = decoder.settings
    stamps = fingerprint([(path, decoder.files.stamp(path)) for path in paths])
    shape = settings.size, settings.resize, settings.channels, settings.reader
    key = fingerprint(stamps, shape, options)
    if settings.cache:
        pixels, unreadable = open_cache(Path(settings.cache_dir), key, paths, decoder, progress)
        return ImageSet(pixels, unreadable, key)
    unreadable = {}
    if settings.unreadable == "skip":  # what to skip must be known before the folds are drawn
        unreadable = dict(decode_all(paths, decoder, lambda _number, _image: None, progress))
    return ImageSet(DecodedImages(paths, decoder), unreadable, key)


def refuse_unreadable(name: str, opened: ImageSet) -> None:
    """Raise `DataError` listing the first unreadable images of a table."""
    if not opened.unreadable:
        return
    shown = list(opened.unreadable.values())[:5]
    more = f" ... and {len(opened.unreadable) - 5} more" if len(opened.unreadable) > 5 else ""
    raise DataError(
        f"{len(opened.unreadable)} of {len(opened.images)} {name} images cannot be read:\n  "
        + "\n  ".join(shown)
        + more
        + '\n  Repair or replace them; for training images [images] unreadable = "skip" leaves them out.'
    )


def options_text(options: Any) -> str:  # noqa: ANN401 - any TOML data
    """Write component options as text that is equal when they are."""
    return json.dumps(options, sort_keys=True, default=str)
