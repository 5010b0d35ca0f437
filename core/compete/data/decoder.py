"""From an image path to pixels of one size: read, decode, the fixed transforms, resize."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compete.errors import DataError, PluginRuntimeError, code_of_others, error_location

if TYPE_CHECKING:
    from compete.config.settings import Images
    from compete.files.root import Files
    from compete.types import Array, Image


@dataclass(frozen=True)
class Decoder:
    """Reads one image and brings it to the size of `settings`, after the fixed transforms."""

    files: Files
    readers: Mapping[str, Callable[[bytes], Image]]
    settings: Images
    fixed: Sequence[Callable[[Image], Image]] = ()

    def __call__(self, path: str) -> Image:
        """Return (H, W, C), uint8 or float32 in 0..1. Raise `ValueError` with the path if it is not an image."""
        try:
            with code_of_others(partial(_raised, f"{path}: its reader"), (ValueError, OSError)):
                image = self._reader(path)(self.files.read(path))
        except (ValueError, OSError, DataError) as error:
            raise ValueError(f"{path}: {error}") from error
        with code_of_others(partial(_raised, f"{path}: [[transforms]] fixed")):
            for transform in self.fixed:
                image = transform(image)
        if image.ndim != 3 or image.shape[2] != self.settings.channels:
            raise ValueError(f"{path}: its shape is {image.shape}, but [images] channels = {self.settings.channels}")
        return fit_to(image, self.settings.size, self.settings.resize)

    def _reader(self, path: str) -> Callable[[bytes], Image]:
        extension = self.settings.reader or path.partition("#")[0].rpartition(".")[2].lower()
        # Without a known extension the bytes tell the format, and the reader of "jpg" goes by the bytes.
        return self.readers.get(extension, self.readers["jpg"])


def _raised(what: str, error: BaseException) -> PluginRuntimeError:
    return PluginRuntimeError(f"{what} raised {error!r} at {error_location(error)}")


def fit_to(image: Image, size: tuple[int, int], resize: str) -> Image:
    """Resize (H, W, C) to `size` = (height, width): "stretch", "pad" with black, or "crop" to the centre."""
    if image.shape[:2] == size:
        return np.ascontiguousarray(image)
    if resize == "stretch":
        return _resize(image, *size)
    ratios = size[0] / image.shape[0], size[1] / image.shape[1]
    ratio = min(ratios) if resize == "pad" else max(ratios)
    height, width = (max(1, round(side * ratio)) for side in image.shape[:2])
    scaled = _resize(image, height, width)
    if resize == "pad":
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
    # Area averaging takes up to four channels at a time, and drops the axis of a single one: (h, w) -> (h, w, 1).
    parts = [image[:, :, start : start + 4] for start in range(0, image.shape[2], 4)]
    resized = [cv2.resize(part, (width, height), interpolation=method).reshape(height, width, -1) for part in parts]
    return resized[0] if len(resized) == 1 else np.concatenate(resized, axis=2)


def as_fractions(image: Image) -> Array:
    """Return pixels in 0..1: uint8 as fractions of 255, measured data unchanged."""
    return image / np.float32(255) if image.dtype == np.uint8 else image
