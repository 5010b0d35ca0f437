"""Measured data: `.npy` arrays, tables of numbers in Parquet, sampled sound."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from compete import DataError

Array = np.ndarray[Any, np.dtype[Any]]
Range = tuple[float, float] | None  # what [images] value_range maps to black and white

NPY_START, PARQUET_START = b"\x93NUMPY", b"PAR1"
LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0
FEW_CHANNELS = 4
AXES = {"hwc": 2, "chw": 0}  # the axis of the channels


def npy(data: bytes, *, channels: int | None = None, layout: str = "auto", value_range: Range = None) -> Array:
    """Read a `.npy` array (H, W), (H, W, C) or (C, H, W) as (H, W, C).

    `layout` is "hwc", "chw" or "auto": the channels are on the axis whose length is `channels`, else on the one that is
    shorter than both others, by half or with up to 4; an array of which that is not clear is refused. `value_range`
    becomes 0..1. Without it, uint8 is kept, and any other type is measured data and becomes float32 in 0..1: the 1st
    percentile of the whole image's finite values becomes 0, the 99th becomes 1 (if they are equal, the smallest and the
    largest), values beyond are clipped, and values that are not finite become 0.
    """
    array = channels_last(load_npy(data), channels, layout)
    return array if array.dtype == np.uint8 and value_range is None else _scale(array, value_range)


def parquet(data: bytes, *, value_range: Range = None) -> Array:
    """Read a Parquet table of numbers as (rows, columns, 1), scaled to 0..1 as `npy` is.

    A column `time` and columns without numbers are left out.
    """
    return _scale(table_of_numbers(data), value_range)


def is_sound(data: bytes) -> bool:
    """Return whether the first bytes are those of a sound that `signal` reads."""
    return data.startswith((b"fLaC", b"OggS")) or (data[:4], data[8:11]) in ((b"RIFF", b"WAV"), (b"FORM", b"AIF"))


def signal(data: bytes) -> Array:
    """Return a sound's samples as float32 (1, samples, channels) in -1..1, from WAV, AIFF, FLAC or Ogg."""
    try:
        import soundfile
    except ImportError:
        raise DataError("sounds need a package that is not installed: pip install 'compete[sound]'.") from None
    try:
        samples, _rate = soundfile.read(BytesIO(data), dtype="float32", always_2d=True)
    except Exception as error:
        raise ValueError(f"the sound is damaged or of an unknown format: {error}") from error
    array: Array = samples[None]  # (samples, channels) -> (1, samples, channels)
    return array


def table_of_numbers(data: bytes) -> Array:
    """Return the numbers of a Parquet table (rows, columns, 1), without a column `time`."""
    import pandas as pd

    if not data:
        raise ValueError("the file is empty.")
    try:
        table = pd.read_parquet(BytesIO(data))
    except Exception as error:  # pyarrow raises a dozen types for damaged bytes
        raise ValueError(f"not a complete Parquet table: {error}.") from error
    numbers = table.select_dtypes("number").drop(columns="time", errors="ignore")
    if numbers.empty:
        raise ValueError("the Parquet table has no columns of numbers.")
    return numbers.to_numpy()[:, :, None]


def load_npy(data: bytes) -> Array:
    """Return the array of a `.npy` file; raise `ValueError` unless it is an image of numbers."""
    try:
        loaded = np.load(BytesIO(data), allow_pickle=False)
    except Exception as error:  # a broken header makes NumPy raise MemoryError, SyntaxError, TokenError ...
        if not data:
            raise ValueError("the file is empty.") from error
        if "allow_pickle" in str(error):  # NumPy's advice would run code from the file
            raise ValueError("not a .npy array of numbers; it holds Python objects, which are never loaded.") from error
        raise ValueError(f"not a complete .npy array: {error}.") from error
    if not isinstance(loaded, np.ndarray) or loaded.dtype.kind not in "biuf":
        raise ValueError("not a .npy array of numbers.")
    if loaded.ndim not in (2, 3) or 0 in loaded.shape:
        raise ValueError(f"an array of shape {loaded.shape} is not an image: (H, W), (H, W, C) or (C, H, W) is.")
    return loaded


def channels_last(array: Array, channels: int | None = None, layout: str = "auto") -> Array:
    """Return (H, W, C) from (H, W), (H, W, C) or (C, H, W). Raise `ValueError` if the axes can be read in two ways."""
    if array.ndim == 2:
        return array[:, :, None]
    if layout == "auto":
        layout = _clear_layout(array.shape, channels)
    return np.ascontiguousarray(array.transpose(1, 2, 0)) if layout == "chw" else array


def _clear_layout(shape: tuple[int, ...], channels: int | None) -> str:
    fit = [name for name, axis in AXES.items() if shape[axis] == channels]
    if not fit:  # `channels` is what the transforms make of them
        most = {"hwc": min(shape[:2]), "chw": min(shape[1:])}
        short = {name: max(FEW_CHANNELS, other // 2) for name, other in most.items()}
        fit = [name for name, axis in AXES.items() if shape[axis] < most[name] and shape[axis] <= short[name]]
    if len(fit) != 1:
        raise ValueError(
            f'an array of shape {shape} does not tell which axis holds the channels. Set [images] layout = "hwc" '
            f'({shape[2]} channels) or layout = "chw" ({shape[0]} channels).'
        )
    return fit[0]


def to_bytes(values: Array, value_range: tuple[float, float]) -> Array:
    """Map a range to 0..255, uint8; values beyond are clipped, and NaN becomes 0."""
    low, high = value_range
    scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    found: Array = np.nan_to_num(scaled, nan=0.0, posinf=255, neginf=0).clip(0, 255).round().astype(np.uint8)
    return found


def _scale(array: Array, value_range: Range) -> Array:
    with np.errstate(over="ignore"):  # what overflows float32 counts as not finite
        values = array.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("the array has no finite values.")
    low, high = value_range or _percentiles(values[finite])
    scale = 1.0 / (high - low) if high > low else 0.0
    scaled = (np.where(finite, values, low) - low) * scale
    clipped: Array = np.clip(scaled, 0.0, 1.0).astype(np.float32)
    return clipped


def _percentiles(values: Array) -> tuple[float, float]:
    """Return the percentiles, or the extremes if these are equal, as where few pixels are not background."""
    low, high = np.percentile(values, (LOW_PERCENTILE, HIGH_PERCENTILE))
    return (float(low), float(high)) if high > low else (float(values.min()), float(values.max()))
