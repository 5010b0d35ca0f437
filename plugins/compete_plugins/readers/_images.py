"""Images through Pillow, whatever their file extension."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from ._arrays import NPY_START, Array, is_sound, npy

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


def image(data: bytes) -> Array:
    """Read an image as (H, W, 3) uint8, by the format of its first bytes, whatever its file extension.

    It is turned upright by its EXIF orientation. Transparency is dropped, grey repeated, a palette or CMYK converted,
    16 bits scaled to 8 over their full range; of several frames the first is taken. An incomplete or damaged file and a
    decompression bomb raise `ValueError`.
    """
    if data.startswith(NPY_START):
        return npy(data)
    _refuse_foreign(data)
    image = _decode(data)
    return np.array(_to_rgb(image))


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


def _decode(data: bytes) -> PillowImage:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image: PillowImage = Image.open(BytesIO(data))
        image.load()
    except UnidentifiedImageError:
        raise ValueError(f"not an image of a known format; it begins with {data[:8]!r}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"refused as a decompression bomb: {error}") from error
    except Exception as error:  # Pillow's decoders raise a dozen types for damaged bytes
        raise ValueError(f"the image is damaged or incomplete: {error}.") from error
    with suppress(Exception):  # a broken EXIF block does not make the pixels unreadable
        return ImageOps.exif_transpose(image)
    return image


def _to_rgb(image: PillowImage) -> PillowImage:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_from_deep(np.asarray(image))).convert("RGB")
    image.info.pop("transparency", None)  # dropped like any alpha; Pillow would warn about it
    return image.convert("RGB")


def _from_deep(values: Array) -> Array:
    """Scale 16-bit grey to 8 bits over its full range, which does not depend on the image."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ValueError("the range of a 32-bit image is not known in advance; store it as .npy instead.")
    return (values / 257).round().astype(np.uint8)
