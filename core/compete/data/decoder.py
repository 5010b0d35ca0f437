"""From an image path to pixels of one size: read, decode, the fixed transforms, resize."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from compete.errors import DataError, PluginRuntimeError, code_of_others, error_location

if TYPE_CHECKING:
    from compete.config.settings import Images
    from compete.types import Array, Image


TOLERANCE = 0.01  # of values beyond 0..1, as interpolation and rounding leave them
READER_SETTINGS = ("channels", "layout", "background", "value_range")  # of [images], for readers that take them

FLAT = "images whose pixels all have one value; for drawings on a transparent ground see [images] background"
NARROW = (
    "images that use a 16th of the range from black to white or less, as 12 bits stored in 16 do; "
    "set [images] value_range, for example to [0, 4095]"
)
BUT_CHANNELS = ", but [images] channels = "
BEYOND = 'images with values outside 0 to 1, which a network expects; add [[transforms]] name = "scale"'


class Bytes(Protocol):
    """Where a decoder reads."""

    def read(self, path: str) -> bytes:
        """Return the bytes at a path."""


@dataclass(frozen=True)
class Decoder:
    """Reads one image and brings it to the size of `settings`, after the fixed transforms."""

    files: Bytes
    readers: Mapping[str, Callable[..., Image]]
    settings: Images
    fixed: Sequence[Callable[[Image], Image]] = ()

    @property
    def requests(self) -> int:
        """How many files to ask for at once, where they come from a store; else 0."""
        return getattr(self.files, "requests", 0)

    def __call__(self, path: str) -> Image:
        """Return (H, W, C), uint8 or float32 in 0..1. Raise `ValueError` with the path if it is not an image."""
        return self.decode(path)[0]

    def decode(self, path: str) -> tuple[Image, list[str]]:
        """Return the image as `__call__` does, and what a run should count and report about it."""
        notes: list[str] = []
        image = self._transformed(path, self._read(path, notes))
        try:
            image = _checked(image, self.settings.channels)
            notes += _remarks(image)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return fit_to(image, self.settings.size, self.settings.resize), notes

    def _read(self, path: str, notes: list[str]) -> Image:
        reader = self._reader(path)
        try:
            with code_of_others(partial(_raised, f"{path}: its reader"), (ValueError, OSError)):
                return reader(self.files.read(path), **_options(reader, self.settings, notes.append))
        except (ValueError, OSError, DataError) as error:
            raise ValueError(f"{path}: {error}") from error

    def _transformed(self, path: str, image: Image) -> Image:
        try:
            with code_of_others(partial(_raised, f"{path}: [[transforms]] fixed")):
                for transform in self.fixed:
                    image = transform(image)
        except DataError as error:  # of this image, such as a crop larger than it
            raise ValueError(f"{path}: {error}") from error
        return image

    def _reader(self, path: str) -> Callable[..., Image]:
        extension = self.settings.reader or path.partition("#")[0].rpartition(".")[2].lower()
        # Without a known extension the bytes tell the format, and the reader of "jpg" goes by the bytes.
        return self.readers.get(extension, self.readers["jpg"])


def _raised(what: str, error: BaseException) -> PluginRuntimeError:
    return PluginRuntimeError(f"{what} raised {error!r} at {error_location(error)}")


def reader_parameters(reader: Callable[..., Image]) -> set[str]:
    """Return the names of a reader's keyword-only parameters."""
    return {name for name, p in inspect.signature(reader).parameters.items() if p.kind is p.KEYWORD_ONLY}


def _options(reader: Callable[..., Image], settings: Images, note: Callable[[str], None]) -> dict[str, Any]:
    offered = {"note": note, **{name: getattr(settings, name) for name in READER_SETTINGS}}
    return {name: offered[name] for name in reader_parameters(reader) & offered.keys()}


def _checked(image: Image, channels: int) -> Image:
    """Return (H, W, C), uint8 or float32. Raise `ValueError` for anything else."""
    if not isinstance(image, np.ndarray) or (image.dtype != np.uint8 and image.dtype.kind != "f"):
        kind = getattr(image, "dtype", type(image).__name__)
        raise ValueError(f"its reader and transforms gave {kind}; an image is uint8, or float32 in 0 to 1")
    if image.ndim != 3 or 0 in image.shape or image.shape[2] != channels:
        raise ValueError(f"its shape is {image.shape}{BUT_CHANNELS}{channels}")
    return image if image.dtype == np.uint8 else image.astype(np.float32, copy=False)


def _remarks(image: Image) -> list[str]:
    """Return what makes an image doubtful. Raise `ValueError` for NaN and infinity."""
    low, high, top = float(image.min()), float(image.max()), 255 if image.dtype == np.uint8 else 1
    if not np.isfinite(high - low):
        raise ValueError('it holds NaN or infinity. Add [[transforms]] name = "scale", which makes them 0')
    found = [FLAT] if low == high else [NARROW] if (high - low) * 255 <= 16 * top else []
    return found + ([BEYOND] if low < -TOLERANCE * top or high > (1 + TOLERANCE) * top else [])


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
    """Resize (H, W, C), antialiased: area averaging along each axis that shrinks, then linear along those that grow."""
    import cv2

    # Area averaging is antialiased, but takes the nearest pixel along both axes as soon as one of them grows.
    smaller = min(height, image.shape[0]), min(width, image.shape[1])
    for (rows, columns), method in ((smaller, cv2.INTER_AREA), ((height, width), cv2.INTER_LINEAR)):
        if image.shape[:2] != (rows, columns):
            # It takes up to four channels at a time, and drops the axis of a single one: (h, w) -> (h, w, 1).
            parts = [image[:, :, start : start + 4] for start in range(0, image.shape[2], 4)]
            done = [cv2.resize(part, (columns, rows), interpolation=method) for part in parts]
            image = np.concatenate([part.reshape(rows, columns, -1) for part in done], axis=2)
    return np.ascontiguousarray(image)


def as_fractions(image: Image) -> Array:
    """Return pixels in 0..1: uint8 as fractions of 255, measured data unchanged."""
    return image / np.float32(255) if image.dtype == np.uint8 else image
