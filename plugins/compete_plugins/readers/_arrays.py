"""Measured data: `.npy` arrays, tables of numbers in Parquet, sampled sound."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from compete import DataError

Array = np.ndarray[Any, np.dtype[Any]]

NPY_START, PARQUET_START = b"\x93NUMPY", b"PAR1"
LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0


def npy(data: bytes) -> Array:
    """Read a `.npy` array (H, W), (H, W, C) or (C, H, W) as (H, W, C).

    The first axis holds the channels when it is shorter than both others. uint8 is kept; any other type is measured
    data and becomes float32 in 0..1: the 1st percentile of the whole image's finite values becomes 0, the 99th becomes
    1, values beyond are clipped, and values that are not finite become 0.
    """
    array = channels_last(load_npy(data))
    return array if array.dtype == np.uint8 else _scale(array)


def parquet(data: bytes) -> Array:
    """Read a Parquet table of numbers as (rows, columns, 1), scaled to 0..1 as `npy` is.

    A column `time` and columns without numbers are left out.
    """
    return _scale(table_of_numbers(data))


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
        raise ValueError(f"not a complete .npy array: {error}.") from error
    if not isinstance(loaded, np.ndarray) or loaded.dtype.kind not in "biuf":
        raise ValueError("not a .npy array of numbers.")
    if loaded.ndim not in (2, 3) or 0 in loaded.shape:
        raise ValueError(f"an array of shape {loaded.shape} is not an image: (H, W), (H, W, C) or (C, H, W) is.")
    return loaded


def channels_last(array: Array) -> Array:
    """Return (H, W, C) from (H, W), (H, W, C) or (C, H, W)."""
    if array.ndim == 2:
        return array[:, :, None]
    first, *others = array.shape
    return np.ascontiguousarray(array.transpose(1, 2, 0)) if first < min(others) else array


def _scale(array: Array) -> Array:
    with np.errstate(over="ignore"):  # what overflows float32 counts as not finite
        values = array.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("the array has no finite values.")
    low, high = np.percentile(values[finite], (LOW_PERCENTILE, HIGH_PERCENTILE))
    scale = 1.0 / (high - low) if high > low else 0.0
    scaled = (np.where(finite, values, low) - low) * scale
    clipped: Array = np.clip(scaled, 0.0, 1.0).astype(np.float32)
    return clipped
