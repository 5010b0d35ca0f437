"""What images look like: sizes and channels of a few dozen, and the size to train at; sounds become spectrograms."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from statistics import median, quantiles
from typing import TYPE_CHECKING

from compete.config.registry import Registry, find
from compete.draft.findings import Pixels, Source
from compete.errors import DataError
from compete.files.extensions import EXTRAS, SOUNDS, TABLES, extension_of
from compete.files.proposals import Choice
from compete.files.root import IMAGE_EXTENSIONS
from compete.files.scan import spread

if TYPE_CHECKING:
    from compete.files.root import Files

USUAL_SIDE, SMALL_SIDE, STEP = 224, 128, 32
LONG_RATIO, MIXED_RATIO = 1.3, 1.4
MOST_READ = 8  # where a reader must decode the whole file
# Of two seconds at 2,000 samples a second these make 129 rows and 118 columns, in which a whale's call is seen.
COLUMNS, HOPS_IN_A_WINDOW = 125, 8
LARGEST_WINDOW = 2048


def sample_pixels(source: Source, files: Files, registry: Registry) -> Pixels:
    """Read the sizes of some images of the training rows; images are opened but not decoded."""
    if source.shape is not None:
        height, width, channels = source.shape
        return Pixels(((height, width),), channels, images=False)
    kinds = set(map(_kind, source.images))
    paths = source.images if kinds <= {*IMAGE_EXTENSIONS} else spread(source.images, MOST_READ)
    shapes, faults = [], dict[str, str]()  # an image of each fault
    for path in paths:
        try:
            shapes.append(_shape(_kind(path), files.read(path), registry))
        except (ValueError, OSError, DataError) as error:
            faults.setdefault(str(error), path)
    faulty = tuple(f"{path}: {error}" for error, path in faults.items())
    if kinds & {*SOUNDS}:
        pixels = sound_pixels([width for _, width, _ in shapes], faulty)
    else:
        sizes = tuple((height, width) for height, width, _ in shapes)
        channels = shapes[-1][2] if shapes else 3
        pixels = Pixels(sizes, channels, images=not kinds & {"npy", *TABLES}, unreadable=faulty)
    return replace(pixels, extra=next((name for name, extensions in EXTRAS.items() if kinds & {*extensions}), ""))


def _kind(path: str) -> str:
    """Return a file's extension; a slice of a file of records is an encoded image."""
    return IMAGE_EXTENSIONS[0] if "#" in path else extension_of(path)


def _shape(kind: str, data: bytes, registry: Registry) -> tuple[int, int, int]:
    """Return height, width and channels."""
    if kind in IMAGE_EXTENSIONS and kind != "npy":
        return _image(data)
    height, width, channels = find(registry, "readers", "raw" if kind in SOUNDS else kind).factory(data).shape
    return height, width, channels


def _image(data: bytes) -> tuple[int, int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width, 3
    except UnidentifiedImageError:
        begin = f"not an image of a known format; it begins with {data[:8]!r}"
        raise ValueError(begin if data else "the file is empty") from None
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def image_keys(pixels: Pixels, native: bool = False, side: int = 0, side_why: str = "") -> Iterator[Choice]:
    """Yield the keys of `[images]`, with what was seen.

    `native` where resizing would destroy the label; else the network wants a greater side of `side`, 0: any.
    """
    (height, width), fit, more = chosen_size(pixels, native)
    factor = side / max(height, width) if side else 1.0
    size = (height, width)
    if factor != 1.0:
        size = (max(STEP, _rounded(height * factor)), max(STEP, _rounded(width * factor)))
    yield Choice(
        "size", list(size), _seen(pixels, size) + "".join(f"; {reason}" for reason in (more, side_why) if reason)
    )
    if fit != "stretch":
        yield Choice("resize", fit, "the images' aspects differ, and stretching would distort some of them")
    if pixels.channels != 3:
        yield Choice("channels", pixels.channels)
    if pixels.extra == "sound":
        yield Choice("reader", "raw", "the samples themselves, of which a transform below makes images")


def chosen_size(pixels: Pixels, native: bool) -> tuple[tuple[int, int], str, str]:
    """Return the size that the images themselves suggest, how they are brought to it, and why it must stay."""
    if native and len(set(pixels.sizes)) == 1:
        return pixels.sizes[0], "stretch", "resizing destroys what tells the versions of an image apart"
    return (*_size(pixels), "")


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


def sound_pixels(lengths: list[int], unreadable: tuple[str, ...]) -> Pixels:
    """Return what spectrograms of sounds of so many samples look like."""
    window, hop = windows(lengths)
    sizes = tuple((window // 2 + 1, max(1, (length - window) // hop + 1)) for length in lengths)
    return Pixels(sizes, channels=1, images=False, unreadable=unreadable, samples=tuple(lengths))


def windows(lengths: list[int] | tuple[int, ...]) -> tuple[int, int]:
    """Return a spectrogram's window and hop, powers of two."""
    typical = median(lengths) if lengths else 0
    hop = 1 << max(3, int(typical // COLUMNS).bit_length() - 1)
    window = min(HOPS_IN_A_WINDOW * hop, LARGEST_WINDOW)
    return window, min(hop, window // 2)
