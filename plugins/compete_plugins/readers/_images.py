"""Images through Pillow, whatever their file extension; 16-bit colours through OpenCV."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from ._arrays import NPY_START, Array, Range, is_sound, npy, to_bytes

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

FRAMES = "files of several frames, of which the first is read"
GREY = ("1", "L", "LA", "La")  # modes of Pillow
ORIENTATION = 0x0112  # the EXIF tag
DEEP_COLOURS = re.compile(r"'(RGBA?|RGBX|LA);16[BLN]'")  # "BGR;16" has 5 bits a colour
UPRIGHT: dict[int, Callable[[Array], Array]] = {
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: np.rot90(np.fliplr(image), 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(np.fliplr(image), -1),
    8: lambda image: np.rot90(image, 1),
}


def no_note(_text: str) -> None:
    """Take what a reader says about an image where nobody listens."""


def image(
    data: bytes,
    *,
    channels: int | None = None,
    layout: str = "auto",
    background: str = "white",
    value_range: Range = None,
    note: Callable[[str], None] = no_note,
) -> Array:
    """Read an image as (H, W, 3) uint8, or with `channels = 1` a grey one as (H, W, 1), whatever its file extension.

    It is turned upright by its EXIF orientation. Transparent pixels are blended over the `background` ("none": shown as
    if they were opaque), grey repeated, a palette or CMYK converted. `value_range` is mapped to 0..255, by default the
    full range of 8 or 16 bits; of several frames the first is taken. An incomplete or damaged file and a decompression
    bomb raise `ValueError`.
    """
    if data.startswith(NPY_START):
        return npy(data, channels=channels, layout=layout, value_range=value_range)
    _refuse_foreign(data)
    opened, storage = _opened(data)
    if opened.format in ("GIF", "PNG", "TIFF", "WEBP") and getattr(opened, "is_animated", False):
        note(FRAMES)
    values, opacity = _values(data, opened, storage)
    if values.dtype != np.uint8 or value_range:
        values = to_bytes(values, value_range or _natural_range(values, storage))
    if opacity is not None and background != "none":
        values = _blended(values, opacity, background)
    if channels == 1 and (values.shape[2] == 1 or opened.mode in GREY):
        return np.ascontiguousarray(values[:, :, :1])  # (H, W, 1 or 3) -> (H, W, 1)
    return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values


def _refuse_foreign(data: bytes) -> None:
    """Name the kinds of file that are most often found where an image should be."""
    if not data:
        raise ValueError("the file is empty.")
    start = data[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError("a web page or XML, not an image; the download may have failed.")
    if is_sound(data):
        raise ValueError("a sound, not an image; set [images] reader = 'raw' and add the transform 'spectrogram'.")
    if start.startswith(b"version https://git-lfs"):
        raise ValueError("a Git LFS pointer, not the image; run `git lfs pull`.")
    if not data.strip(b"\0"):
        raise ValueError("the file holds only zeros; its copy or download may have failed.")


def _opened(data: bytes) -> tuple[PillowImage, str]:
    """Return the decoded image, and how its file stores pixels, such as "RGB;16B"."""
    from PIL import Image, UnidentifiedImageError

    try:
        image: PillowImage = Image.open(BytesIO(data))
        storage = str(getattr(image, "tile", ""))  # decoding empties it
        image.load()
    except UnidentifiedImageError:
        raise ValueError(f"not an image of a known format; it begins with {data[:8]!r}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"refused as a decompression bomb: {error}") from error
    except Exception as error:  # Pillow's decoders raise a dozen types for damaged bytes
        raise ValueError(f"the image is damaged or incomplete: {error}.") from error
    return image, storage


def _values(data: bytes, opened: PillowImage, storage: str) -> tuple[Array, Array | None]:
    """Return the stored values (H, W, 1 or 3), upright, and the opacity (H, W, 1) in 0..1, None if all is opaque."""
    from PIL import ImageOps

    if opened.mode.startswith(("I", "F")):
        with suppress(Exception):  # a broken EXIF block does not make the pixels unreadable
            opened = ImageOps.exif_transpose(opened)
        return np.asarray(opened)[:, :, None], None
    if DEEP_COLOURS.search(storage):
        return _split(_deep_colours(data, _orientation(opened))[:, :, : 3 if "RGBX" in storage else None])
    with suppress(Exception):
        opened = ImageOps.exif_transpose(opened)
    try:
        return _split(np.array(opened.convert("RGBA" if opened.has_transparency_data else "RGB")))
    except ValueError as error:
        raise ValueError(f"its colours are of a kind that cannot be converted: {error}.") from error


def _deep_colours(data: bytes, orientation: int) -> Array:
    """Return 16-bit colours (H, W, C); Pillow would keep their upper 8 bits only."""
    import cv2

    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise ValueError("its 16-bit colours cannot be decoded. Store it with 8 bits, or as .npy.")
    colours = decoded[:, :, None] if decoded.ndim == 2 else decoded
    order = {1: [0], 2: [0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[colours.shape[2]]  # OpenCV's are BGR
    upright = UPRIGHT.get(orientation, np.asarray)(colours[:, :, order])
    return np.ascontiguousarray(upright)


def _orientation(opened: PillowImage) -> int:
    with suppress(Exception):
        return int(opened.getexif().get(ORIENTATION, 1))
    return 1


def _split(pixels: Array) -> tuple[Array, Array | None]:
    """Split (H, W, C) into colours and opacity, None if all is opaque."""
    if pixels.shape[2] in (1, 3):
        return pixels, None
    opacity = pixels[:, :, -1:] / np.float32(np.iinfo(pixels.dtype).max)
    return np.ascontiguousarray(pixels[:, :, :-1]), None if (opacity == 1).all() else opacity


def _blended(values: Array, opacity: Array, background: str) -> Array:
    from PIL import ImageColor

    colour = np.array(ImageColor.getrgb(background)[:3], np.float32)
    blended: Array = (values * opacity + colour * (1 - opacity)).round().astype(np.uint8)  # (H, W, 1 or 3) -> (H, W, 3)
    return blended


def _natural_range(values: Array, storage: str) -> tuple[float, float]:
    """Return the full range of 12 or 16 bits, which does not depend on the image."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ValueError(
            "the range of a signed or 32-bit image is not known in advance. Set [images] value_range = [low, high]; "
            "low becomes black and high white."
        )
    return 0, 4095 if ";12" in storage else 65535
