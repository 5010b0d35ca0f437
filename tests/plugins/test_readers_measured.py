"""Readers of measured data: raw arrays, Parquet tables, DICOM, sounds."""

from __future__ import annotations

import io
import sys
import wave
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compete import DataError
from compete_plugins.readers import dicom, image, parquet, raw

POWERS = np.geomspace(1e-3, 1e3, 60).reshape(6, 10)


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def table(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer)
    return buffer.getvalue()


def png(pixels: np.ndarray, kind: str = "png") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def sound(samples: np.ndarray, rate: int = 2000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((samples.shape[1], 2, rate, len(samples), "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


# --- raw --------------------------------------------------------------------------------------------------------


def test_raw_keeps_the_numbers_of_an_array():
    scans = np.array([[[-40.5, np.nan], [3.0, 1e5]]] * 3, np.float64)
    values = raw(saved(scans), channels=2)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, scans.astype(np.float32))
    assert raw(saved(np.zeros((6, 20, 30), np.float16))).shape == (20, 30, 6)


def test_raw_reads_images_too():
    photo = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    for kind in ("png", "tiff"):
        assert raw(png(photo, kind)).tolist() == photo.tolist()
    assert raw(png(photo, "webp")).shape == (3, 3, 3)  # a RIFF file as WAV is


def test_raw_refuses_what_is_not_an_image():
    with pytest.raises(ValueError, match="not an image of a known format"):
        raw(b"hello there")


# --- parquet ----------------------------------------------------------------------------------------------------


def test_a_table_is_an_image_of_its_numbers():
    data = table(time=range(6), note=list("abcdef"), **{f"LL_{n}": POWERS[:, n] for n in range(10)})
    np.testing.assert_allclose(raw(data)[:, :, 0], POWERS, rtol=1e-6)
    scaled = parquet(data)
    assert (scaled.shape, scaled.min(), scaled.max()) == ((6, 10, 1), 0, 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (table(time=[1, 2], name=["a", "b"]), "the Parquet table has no columns of numbers"),
        (table(a=[1.0])[:40], "not a complete Parquet table"),
        (b"", "the file is empty"),
        (table(a=[np.nan, np.nan]), "has no finite values"),
    ],
)
def test_bad_tables_are_explained(data, message):
    with pytest.raises(ValueError, match=message):
        parquet(data)


# --- sounds -----------------------------------------------------------------------------------------------------


def test_a_sound_s_samples_lie_in_one_row():
    pytest.importorskip("soundfile")
    samples = np.stack([np.sin(np.arange(500) / 7), np.zeros(500)], axis=1)
    read = raw(sound(samples))
    assert read.shape == (1, 500, 2)
    np.testing.assert_allclose(read[0], samples, atol=1e-4)


def test_a_broken_sound_is_explained():
    pytest.importorskip("soundfile")
    with pytest.raises(ValueError, match="the sound is damaged or of an unknown format"):
        raw(sound(np.zeros((50, 1)))[:20])


def test_a_sound_read_as_an_image_names_the_reader():
    with pytest.raises(ValueError, match=r"a sound, not an image; set \[images\] reader = 'raw'"):
        image(sound(np.zeros((50, 1))))


@pytest.mark.parametrize(("package", "data", "extra"), [
    ("soundfile", sound(np.zeros((9, 1))), "sound"),
    ("pydicom", bytes(128) + b"DICM", "dicom"),
])  # fmt: skip
def test_a_package_that_is_not_installed_is_named(package, data, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"pip install 'compete\[{extra}\]'"):
        raw(data)


# --- DICOM ------------------------------------------------------------------------------------------------------


def scan(pixels: np.ndarray, **elements: object) -> bytes:
    """Return an uncompressed 16-bit DICOM file."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["a scan"])
    file = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    file.Rows, file.Columns = pixels.shape[-2:]
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit, file.PixelRepresentation, file.SamplesPerPixel = 15, 0, 1
    file.PhotometricInterpretation, file.PixelData = "MONOCHROME2", pixels.astype("<u2").tobytes()
    for name, value in elements.items():
        setattr(file, name, value)
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


STORED = np.array([[0, 1000, 2000], [3000, 4000, 2500]])


def test_a_scan_is_shown_over_its_own_range():
    shown = dicom(scan(STORED))
    assert (shown.dtype, shown.shape) == (np.uint8, (2, 3, 3))
    assert shown[:, :, 0].tolist() == [[0, 64, 128], [191, 255, 159]]
    assert (shown == shown[:, :, :1]).all()


def test_small_numbers_may_be_white():
    assert dicom(scan(STORED, PhotometricInterpretation="MONOCHROME1"))[0, 0, 0] == 255


def test_the_window_of_the_file_is_used_to_show_and_not_for_raw_values():
    data = scan(STORED, RescaleSlope="1", RescaleIntercept="-1000", WindowCenter="1000", WindowWidth="2000")
    assert dicom(data)[:, :, 0].tolist() == [[0, 0, 128], [255, 255, 191]]
    assert raw(data)[:, :, 0].tolist() == (STORED - 1000).tolist()


def test_a_value_range_takes_the_place_of_window_and_own_range():
    window = {"RescaleSlope": "1", "RescaleIntercept": "-1000", "WindowCenter": "1000", "WindowWidth": "2000"}
    shown = dicom(scan(STORED, **window), value_range=[-1000, 3000])
    assert shown[:, :, 0].tolist() == [[0, 64, 128], [191, 255, 159]]
    inverted = dicom(scan(STORED, PhotometricInterpretation="MONOCHROME1", **window), value_range=[-1000, 3000])
    assert (inverted == 255 - shown).all()
    assert (
        dicom(scan(STORED), value_range=[-1000, 0]).tolist()
        == np.where(STORED[:, :, None] > 0, 255, [255] * 3).tolist()
    )


def test_dicom_colours_of_a_palette_are_looked_up():
    data = pytest.importorskip("pydicom.data")
    import pydicom

    name = data.get_testdata_file("examples_palette.dcm", download=False)
    if name is None:
        pytest.skip("pydicom's example of a palette is not installed")
    dataset = pydicom.dcmread(name)
    expected = pydicom.pixels.apply_color_lut(dataset.pixel_array, dataset) >> 8
    assert np.abs(dicom(Path(name).read_bytes()).astype(int) - expected).max() <= 1


def test_the_first_of_several_frames_is_taken():
    notes: list[str] = []
    frames = scan(np.stack([STORED, STORED * 0]), NumberOfFrames="2")
    assert dicom(frames, note=notes.append).tolist() == dicom(scan(STORED), note=notes.append).tolist()
    assert notes == ["files of several frames, of which the first is read"]


def test_a_flat_scan_is_black():
    assert dicom(scan(np.full((2, 2), 7))).max() == 0


def test_compressed_dicom_colours_are_alike_at_8_and_16_bits():
    data = pytest.importorskip("pydicom.data")
    of_bits = [
        dicom(Path(data.get_testdata_file(f"SC_rgb_rle{bits}.dcm", download=False)).read_bytes())
        for bits in ("", "_16bit")
    ]
    assert of_bits[0][0, 0].tolist() == [255, 0, 0]
    assert (of_bits[0] == of_bits[1]).all()


def test_scans_that_cannot_be_read_are_explained():
    with pytest.raises(ValueError, match="the pixels of the DICOM file cannot be decoded"):
        dicom(scan(STORED)[:-6])
    with pytest.raises(ValueError, match="not a DICOM file"):
        dicom(b"not at all")
