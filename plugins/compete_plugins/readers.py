"""Readers: bytes -> pixels. Photographs through Pillow; `.npy` for measured data of any number of channels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from compete import hookimpl

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Array = np.ndarray[Any, np.dtype[Any]]

NPY_START = b"\x93NUMPY"
LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0


@hookimpl
def register_readers() -> dict[str, Callable[[bytes], Array]]:
    """One reader for every picture ending, since the bytes say which kind they are, and one for arrays."""
    endings = ("jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp", "gif")
    return {**dict.fromkeys(endings, picture), "npy": npy}


def picture(data: bytes) -> Array:
    """Read a photograph as (H, W, 3) uint8, whatever its ending says: the first bytes tell its kind.

    It is turned upright by its EXIF orientation. Transparency is dropped, grey repeated, a palette or CMYK
    converted, 16 bits scaled to 8 over their full range; of several frames the first is taken. An incomplete or
    damaged file and a decompression bomb raise `ValueError`.
    """
    if data.startswith(NPY_START):
        return npy(data)
    _refuse_foreign(data)
    image = _decode(data)
    return np.array(_to_rgb(image))


def npy(data: bytes) -> Array:
    """Read a `.npy` array (H, W), (H, W, C) or (C, H, W) as (H, W, C).

    The first axis is taken for the channels when it is shorter than both others. uint8 stays as it is; any other
    number is measured data and becomes float32 in 0..1: the 1st percentile of the whole picture's finite values
    becomes 0, the 99th becomes 1, what lies beyond is clipped, and what is not finite becomes 0.
    """
    array = _channels_last(_load_npy(data))
    return array if array.dtype == np.uint8 else _scale(array)


def _refuse_foreign(data: bytes) -> None:
    """Name the kinds of file that most often lie where a picture should be."""
    if not data:
        raise ValueError("the file is empty.")
    start = data[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError("this is a web page or XML, not a picture; the download may have failed.")
    if start.startswith(b"version https://git-lfs"):
        raise ValueError("this is a Git LFS pointer, not the picture; run `git lfs pull`.")


def _decode(data: bytes) -> PillowImage:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image: PillowImage = Image.open(BytesIO(data))
        image.load()
    except UnidentifiedImageError:
        raise ValueError(f"this is no picture of a known kind; it begins with {data[:8]!r}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"refused as a decompression bomb: {error}") from error
    except Exception as error:  # Pillow's decoders raise a dozen types on broken bytes
        raise ValueError(f"the picture is damaged or incomplete: {error}.") from error
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
    """Scale 16-bit grey to 8 bits over its full range, which does not depend on the picture."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ValueError("a 32-bit picture has no range that is known beforehand; store it as .npy instead.")
    return (values / 257).round().astype(np.uint8)


def _load_npy(data: bytes) -> Array:
    try:
        loaded = np.load(BytesIO(data), allow_pickle=False)
    except Exception as error:  # a broken header makes NumPy raise MemoryError, SyntaxError, TokenError ...
        raise ValueError(f"this is no complete .npy array: {error}.") from error
    if not isinstance(loaded, np.ndarray) or loaded.dtype.kind not in "biuf":
        raise ValueError("this is no .npy array of numbers.")
    if loaded.ndim not in (2, 3) or 0 in loaded.shape:
        raise ValueError(f"an array of shape {loaded.shape} is no picture: (H, W), (H, W, C) or (C, H, W) is.")
    return loaded


def _channels_last(array: Array) -> Array:
    if array.ndim == 2:
        return array[:, :, None]
    first, *others = array.shape
    return np.ascontiguousarray(array.transpose(1, 2, 0)) if first < min(others) else array


def _scale(array: Array) -> Array:
    with np.errstate(over="ignore"):  # what float32 cannot hold counts as not finite
        values = array.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("the array holds no finite number.")
    low, high = np.percentile(values[finite], (LOW_PERCENTILE, HIGH_PERCENTILE))
    scale = 1.0 / (high - low) if high > low else 0.0
    scaled = (np.where(finite, values, low) - low) * scale
    clipped: Array = np.clip(scaled, 0.0, 1.0).astype(np.float32)
    return clipped
