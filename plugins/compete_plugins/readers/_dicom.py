"""Radiographs and scans in DICOM files, through the optional package pydicom."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from compete import DataError

from ._arrays import Array

PREAMBLE, DICOM_START = 128, b"DICM"


def dicom(data: bytes) -> Array:
    """Read a DICOM image as (H, W, 3) uint8, as a viewer shows it.

    Stored values are rescaled, windowed as the file asks, inverted where small ones are white (MONOCHROME1), and
    scaled to 0..255 over the image's own range; grey is repeated. Of several frames the first is taken.
    """
    pydicom, dataset = _opened(data)
    values = _first_frame(dataset, _pixels(dataset))
    if values.ndim == 3:
        surplus_bits = 8 * values.dtype.itemsize - 8  # of 16 bits the upper 8 are kept
        return np.ascontiguousarray((values >> surplus_bits).astype(np.uint8))
    values = pydicom.pixels.apply_voi_lut(pydicom.pixels.apply_rescale(values, dataset), dataset).astype(np.float32)
    if getattr(dataset, "PhotometricInterpretation", "") == "MONOCHROME1":
        values = -values
    low, high = values.min(), values.max()
    grey = (values - low) * (255.0 / (high - low) if high > low else 0.0)
    return np.repeat(grey.round().astype(np.uint8)[:, :, None], 3, axis=2)  # (H, W) -> (H, W, 3)


def dicom_values(data: bytes) -> Array:
    """Return the values of a grey DICOM image in their own unit, such as Hounsfield's, (H, W, 1)."""
    pydicom, dataset = _opened(data)
    values = _first_frame(dataset, _pixels(dataset))
    array: Array = pydicom.pixels.apply_rescale(values, dataset)
    return array[:, :, None] if array.ndim == 2 else array


def _opened(data: bytes) -> tuple[Any, Any]:
    try:
        import pydicom
        import pydicom.pixels
    except ImportError:
        raise DataError("DICOM files need a package that is not installed: pip install 'compete[dicom]'.") from None
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


def _first_frame(dataset: Any, pixels: Array) -> Array:  # noqa: ANN401
    several = int(getattr(dataset, "NumberOfFrames", 1) or 1) > 1
    return pixels[0] if several else pixels


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
