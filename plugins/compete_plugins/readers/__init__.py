"""Readers: from bytes to pixels. Images through Pillow; arrays, tables, DICOM and sound for measured data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compete import hookimpl

from ._arrays import (
    NPY_START,
    PARQUET_START,
    Array,
    channels_last,
    is_sound,
    load_npy,
    npy,
    parquet,
    signal,
    table_of_numbers,
)
from ._dicom import DICOM_START, PREAMBLE, dicom, dicom_values
from ._images import image, no_note


@hookimpl
def register_readers() -> dict[str, Callable[..., Array]]:
    """Offer one reader for every image extension, because the bytes reveal the format, and some for measured data."""
    extensions = ("jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp", "gif", "avif")
    measured: dict[str, Callable[..., Array]] = {
        "npy": npy,
        "parquet": parquet,
        "dcm": dicom,
        "dicom": dicom,
        "raw": raw,
    }
    return {**dict.fromkeys(extensions, image), **measured}


def raw(
    data: bytes,
    *,
    channels: int | None = None,
    layout: str = "auto",
    background: str = "white",
    note: Callable[[str], None] = no_note,
) -> Array:
    """Read the stored numbers, float32 (H, W, C); the transform `scale` must then bring them to 0..1.

    A `.npy` array, of any `layout`, and a Parquet table are not clipped; DICOM gives the rescaled values (Hounsfield
    units in a CT) without the viewer's window; a sound gives its samples (1, samples, channels), for the transform
    `spectrogram`. An image keeps its 0..255.
    """
    with np.errstate(over="ignore"):  # what overflows float32 counts as not finite
        if data.startswith(NPY_START):
            return channels_last(load_npy(data), channels, layout).astype(np.float32)
        if data.startswith(PARQUET_START):
            return table_of_numbers(data).astype(np.float32)
        if data[PREAMBLE : PREAMBLE + len(DICOM_START)] == DICOM_START:
            return dicom_values(data, note=note).astype(np.float32)
        return (signal(data) if is_sound(data) else image(data, background=background, note=note)).astype(np.float32)
