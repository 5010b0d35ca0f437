"""What images look like: sizes and channels of a few dozen, and the size to train at."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from compete.config.plugins import load_plugins
from compete.config.registry import find
from compete.errors import DataError
from compete.files.root import IMAGE_EXTENSIONS
from compete.init.extensions import EXTRAS, SOUNDS, TABLES, ending_of
from compete.init.findings import Key, Pixels, Source
from compete.init.scan import spread
from compete.init.sounds import sound_pixels

if TYPE_CHECKING:
    from compete.files.root import Files

USUAL_SIDE, SMALL_SIDE, STEP = 224, 128, 32
LONG_RATIO, MIXED_RATIO = 1.3, 1.4
MOST_READ = 8  # where a reader must decode the whole file


def sample_pixels(source: Source, files: Files) -> Pixels:
    """Read the sizes of some images of the training rows; images are opened but not decoded."""
    if source.pixels is not None:
        return source.pixels
    kinds = set(map(ending_of, source.images))
    paths = source.images if kinds <= {*IMAGE_EXTENSIONS} else spread(source.images, MOST_READ)
    shapes, faults = [], []
    for path in paths:
        try:
            shapes.append(_shape(path, files.read(path)))
        except (ValueError, OSError, DataError) as error:
            faults.append(f"{path}: {error}")
    if kinds & {*SOUNDS}:
        pixels = sound_pixels([width for _, width, _ in shapes], tuple(faults))
    else:
        sizes = tuple((height, width) for height, width, _ in shapes)
        channels = shapes[-1][2] if shapes else 3
        pixels = Pixels(sizes, channels, images=not kinds & {"npy", *TABLES}, unreadable=tuple(faults))
    return replace(pixels, extra=next((name for name, endings in EXTRAS.items() if kinds & {*endings}), ""))


def _shape(path: str, data: bytes) -> tuple[int, int, int]:
    """Return height, width and channels."""
    ending = ending_of(path)
    if ending == "npy":
        return _array(data)
    if ending in IMAGE_EXTENSIONS:
        return _images(data)
    reader = "raw" if ending in SOUNDS else ending
    height, width, channels = find(load_plugins().registry, "readers", reader).factory(data).shape
    return height, width, channels


def _images(data: bytes) -> tuple[int, int, int]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width, 3
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def _array(data: bytes) -> tuple[int, int, int]:
    """Return height, width and channels as the reader for arrays will; the first axis is the channels if shortest."""
    import numpy as np

    array: Any = np.load(io.BytesIO(data), allow_pickle=False)
    if array.ndim == 2:
        return array.shape[0], array.shape[1], 1
    if array.ndim != 3:
        raise ValueError(f"an array of shape {array.shape} is no image")
    first, second, third = array.shape
    return (second, third, first) if first < min(second, third) else (first, second, third)


def image_keys(pixels: Pixels, native: bool = False) -> Iterator[Key]:
    """Yield the keys of `[images]`, with what was seen; `native` where a change of size would destroy the answer."""
    if native and len(set(pixels.sizes)) == 1:
        size, fit, more = pixels.sizes[0], "stretch", "; resizing destroys what tells the versions of a image apart"
    else:
        (size, fit), more = _size(pixels), ""
    yield Key("size", list(size), _seen(pixels, size) + more)
    if fit != "stretch":
        yield Key("resize", fit, "the images' aspects differ, and stretching would distort some of them")
    if pixels.channels != 3:
        yield Key("channels", pixels.channels)
    if pixels.extra == "sound":
        yield Key("reader", "raw", "the samples themselves, of which a transform below makes images")


def _size(pixels: Pixels) -> tuple[tuple[int, int], str]:
    """Return the height and width to train at, and how images are brought to it."""
    if not pixels.sizes:
        return (USUAL_SIDE, USUAL_SIDE), "stretch"
    heights, widths = zip(*pixels.sizes, strict=True)
    height, width = round(median(heights)), round(median(widths))
    if len(set(pixels.sizes)) == 1 and max(height, width) <= SMALL_SIDE:
        return (height, width), "stretch"
    if pixels.samples:
        return (max(STEP, min(_rounded(height), USUAL_SIDE)), max(STEP, min(_rounded(width), USUAL_SIDE))), "stretch"
    if not pixels.images:
        return (min(height, 2 * USUAL_SIDE), max(STEP, min(width, 2 * USUAL_SIDE))), "stretch"
    side = min(USUAL_SIDE, max(STEP, _rounded(max(height, width))))
    ratios = sorted(w / h for h, w in pixels.sizes)
    low, *_, high = quantiles(ratios, n=10) if len(ratios) > 1 else ratios * 2
    if high / low > MIXED_RATIO:
        return (side, side), "pad"
    if max(height / width, width / height) < LONG_RATIO:
        return (side, side), "stretch"
    short = max(STEP, _rounded(side * min(height, width) / max(height, width)))
    return ((side, short) if height > width else (short, side)), "stretch"


def _rounded(pixels: float) -> int:
    return round(pixels / STEP) * STEP


def _seen(pixels: Pixels, size: tuple[int, int]) -> str:
    if not pixels.sizes:
        return "no image could be opened, so this is only what is usual"
    heights, widths = zip(*pixels.sizes, strict=True)
    things = "spectrograms" if pixels.samples else "images"
    if len(set(pixels.sizes)) == 1:
        which = "the first image is" if len(heights) == 1 else f"{len(heights)} {things} are all"
        seen = f"{which} {heights[0]} x {widths[0]}"
    else:
        seen = (
            f"{len(heights)} {things} are {min(heights)} to {max(heights)} high and {min(widths)} to {max(widths)} wide"
        )
    larger = size[0] * size[1] < 0.5 * median(heights) * median(widths)
    return f"height, width; {seen}" + ("; larger sizes cost time and usually score better" if larger else "")
