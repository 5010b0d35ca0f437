"""Radiographs and scans in DICOM files, through the optional package pydicom."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np

from compete import DataError

from ._arrays import Array, Range, to_bytes
from ._images import FRAMES, no_note

PREAMBLE, DICOM_START = 128, b"DICM"


def dicom(data: bytes, *, value_range: Range = None, note: Callable[[str], None] = no_note) -> Array:
    """Read a DICOM image as (H, W, 3) uint8, as a viewer shows it.

    Stored values are rescaled, windowed as the file asks, inverted where small ones are white (MONOCHROME1), and
    scaled to 0..255 over the image's own range; grey is repeated. A `value_range` takes the place of window and own
    range: the same rescaled values, such as Hounsfield units, for all images. Of several frames the first is taken.
    """
    pydicom, dataset = _opened(data)
    values = _first_frame(dataset, _pixels(dataset), note)
    colours = str(getattr(dataset, "PhotometricInterpretation", ""))
    if colours == "PALETTE COLOR":
        values = pydicom.pixels.apply_color_lut(values, dataset)
    if values.ndim == 3:
        top = 2 ** (8 * values.dtype.itemsize if colours == "PALETTE COLOR" else int(dataset.BitsStored)) - 1
        return np.ascontiguousarray(to_bytes(values, value_range or (0, top)))
    values = pydicom.pixels.apply_rescale(values, dataset)
    if value_range is None:
        values = pydicom.pixels.apply_voi_lut(values, dataset).astype(np.float32)
        value_range = float(values.min()), float(values.max())
    grey = to_bytes(values, value_range) if value_range[1] > value_range[0] else np.zeros(values.shape, np.uint8)
    if colours == "MONOCHROME1" and grey.any():
        grey = 255 - grey
    return np.repeat(grey[:, :, None], 3, axis=2)  # (H, W) -> (H, W, 3)


def dicom_values(data: bytes, *, note: Callable[[str], None] = no_note) -> Array:
    """Return the values of a grey DICOM image in their own unit, such as Hounsfield's, (H, W, 1)."""
    pydicom, dataset = _opened(data)
    values = _first_frame(dataset, _pixels(dataset), note)
    array: Array = pydicom.pixels.apply_rescale(values, dataset)
    return array[:, :, None] if array.ndim == 2 else array


def _opened(data: bytes) -> tuple[Any, Any]:
    try:
        import pydicom
        import pydicom.pixels
    except ImportError:
        raise DataError("DICOM files need a package that is not installed: pip install 'compete[dicom]'.") from None
    if not data:
        raise ValueError("the file is empty.")
    try:
        return pydicom, pydicom.dcmread(BytesIO(data))
    except Exception as error:
        raise ValueError(f"not a DICOM file: {_first_line(error)}") from error


def _pixels(dataset: Any) -> Array:  # noqa: ANN401 - pydicom is optional
    try:
        pixels: Array = dataset.pixel_array
    except Exception as error:  # no decoder for this compression, no pixels at all, or damaged ones
        raise ValueError(
            f"the pixels of the DICOM file cannot be decoded: {' '.join(str(error).split())} "
            "For most compressed files: pip install 'compete[dicom]'."
        ) from error
    return pixels


def _first_frame(dataset: Any, pixels: Array, note: Callable[[str], None]) -> Array:  # noqa: ANN401
    if int(getattr(dataset, "NumberOfFrames", 1) or 1) <= 1:
        return pixels
    note(FRAMES)
    first: Array = pixels[0]
    return first


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
