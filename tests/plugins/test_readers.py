from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from compete_plugins.readers import image, npy, register_readers

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)


def encoded(original: Image.Image | np.ndarray, kind: str = "png", **options: Any) -> bytes:
    buffer = io.BytesIO()
    (original if isinstance(original, Image.Image) else Image.fromarray(original)).save(buffer, kind, **options)
    return buffer.getvalue()


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


# --- images -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), [("png", {}), ("bmp", {}), ("tiff", {}), ("webp", {"lossless": True})])
def test_lossless_images_come_back_as_they_were(kind: str, options: dict[str, Any]) -> None:
    pixels = image(encoded(IMAGE, kind, **options))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, IMAGE)
    pixels[0, 0] = 0  # callers may change their array


def test_jpeg_comes_back_nearly() -> None:
    smooth = np.tile(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (1, 48, 3))
    assert np.abs(image(encoded(smooth, "jpeg", quality=95)).astype(int) - smooth).max() <= 4


def test_every_ending_reads_every_kind() -> None:
    readers = register_readers()
    assert set(readers) >= {"jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp", "gif", "npy"}
    for ending in ("jpg", "gif", "tif"):
        np.testing.assert_array_equal(readers[ending](encoded(IMAGE, "png")), IMAGE)
    measured = readers["jpg"](saved(np.zeros((4, 5), np.float32)))
    assert measured.shape == (4, 5, 1) and measured.dtype == np.float32


@pytest.mark.parametrize(("orientation", "turned"), [(3, np.rot90(IMAGE, 2)), (6, np.rot90(IMAGE, -1))])
def test_images_are_turned_upright(orientation: int, turned: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(image(encoded(IMAGE, "png", exif=exif)), turned)


def test_a_broken_exif_block_is_passed_over() -> None:
    data = encoded(IMAGE, "png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05broken")
    np.testing.assert_array_equal(image(data), IMAGE)


def test_transparency_is_dropped_not_blended() -> None:
    with_alpha = np.dstack([IMAGE, np.zeros(IMAGE.shape[:2], np.uint8)])
    np.testing.assert_array_equal(image(encoded(with_alpha)), IMAGE)
    grey_alpha = Image.fromarray(IMAGE[:, :, 0]).convert("LA")
    np.testing.assert_array_equal(image(encoded(grey_alpha)), np.repeat(IMAGE[:, :, :1], 3, axis=2))


@pytest.mark.parametrize("options", [{}, {"transparency": 0}, {"transparency": bytes(range(4))}])
def test_palettes_become_colours(options: dict[str, Any]) -> None:
    numbers = RNG.integers(0, 4, (6, 6), dtype=np.uint8)
    colours = RNG.integers(0, 256, (4, 3), dtype=np.uint8)
    original = Image.fromarray(numbers).convert("P")
    original.putpalette(colours.tobytes())
    original = original.copy()
    original.frombytes(numbers.tobytes())
    np.testing.assert_array_equal(image(encoded(original, "png", **options)), colours[numbers])


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_and_black_and_white_get_three_channels(mode: str) -> None:
    original = Image.fromarray(IMAGE[:, :, 0]).convert(mode)
    expected = np.asarray(original.convert("L"))
    np.testing.assert_array_equal(image(encoded(original)), np.dstack([expected] * 3))


def test_cmyk_becomes_rgb() -> None:
    plain = Image.new("RGB", (16, 16), (200, 40, 90))
    assert np.abs(image(encoded(plain.convert("CMYK"), "tiff")).astype(int) - (200, 40, 90)).max() <= 2


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_scaled_over_their_full_range(kind: str) -> None:
    deep = np.array([[0, 257, 128 * 257], [65535, 300, 65000]], np.uint16)
    pixels = image(encoded(deep, kind))
    np.testing.assert_array_equal(pixels, np.dstack([np.round(deep / 257).astype(np.uint8)] * 3))


@pytest.mark.parametrize("deep", [np.full((3, 3), 0.5, np.float32), np.full((3, 3), 70_000, np.int32)])
def test_32_bit_images_are_refused(deep: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"range of a 32-bit image is not known in advance; store it as .npy"):
        image(encoded(deep, "tiff"))


def test_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert image(data)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "webp", "gif", "tiff"])
def test_a_truncated_image_is_an_error(kind: str) -> None:
    data = encoded(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), kind)
    for share in (0.3, 0.7, 0.9):
        with pytest.raises(ValueError, match=r"damaged or incomplete|not an image of a known format"):
            image(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html>", "web page or XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"GARBAGE and more", r"not an image of a known format; it begins with b'GARBAGE '"),
    ],
)
def test_what_is_not_an_image_is_named(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image(data)


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"refused as a decompression bomb: Image size \(63 pixels\)"):
        image(encoded(IMAGE))


WHOLE = {kind: encoded(IMAGE, kind) for kind in ("png", "jpeg", "bmp", "gif", "webp", "tiff")}


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_damage_gives_pixels_or_a_reason(kind: str, at: int, noise: bytes) -> None:
    data = WHOLE[kind]
    at %= len(data)
    try:
        pixels = image(data[:at] + noise + data[at + len(noise) :])
    except ValueError as error:
        assert str(error)
    else:
        assert pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8


# --- arrays ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 6), (5, 6, 1)),
        ((5, 6, 3), (5, 6, 3)),
        ((6, 273, 256), (273, 256, 6)),
        ((2, 75, 75), (75, 75, 2)),
        ((75, 75, 2), (75, 75, 2)),
        ((3, 40, 3), (3, 40, 3)),
    ],
)
def test_channels_come_last(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    pixels = npy(saved(array))
    assert pixels.shape == expected and pixels.dtype == np.uint8
    if shape != expected and len(shape) == 3:
        np.testing.assert_array_equal(pixels[:, :, 1], array[1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16, np.int64, ">f4"])
def test_measured_data_is_scaled_by_percentiles(dtype: Any) -> None:
    array = (np.arange(101 * 101) / 5 - 1000).reshape(101, 101).astype(dtype)
    pixels = npy(saved(array))[:, :, 0]
    low, high = np.percentile(array.astype(np.float32), [1, 99])
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, np.clip((array.astype(np.float32) - low) / (high - low), 0, 1), atol=1e-5)
    assert (pixels == 0).mean() == pytest.approx(0.01, abs=0.002) == (pixels == 1).mean()


def test_what_is_not_finite_becomes_zero() -> None:
    array = np.linspace(0.0, 1.0, 1000).reshape(20, 50)
    array[0, 0], array[1, 1], array[2, 2], array[3, 3] = np.nan, np.inf, -np.inf, 1e300
    pixels = npy(saved(array))[:, :, 0]
    assert [pixels[n, n] for n in range(4)] == [0, 0, 0, 0]
    assert pixels[10, 0] == pytest.approx(0.5, abs=0.02)


def test_a_flat_array_is_zero() -> None:
    assert npy(saved(np.full((4, 4), 7.5))).max() == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(np.zeros((40, 40)))[:500], "not a complete .npy array"),
        (saved(np.zeros((4, 4)))[:20], "not a complete .npy array"),
        (b"\x93NUMPY", "not a complete .npy array"),
        (b"", "not a complete .npy array"),
        (saved(np.zeros(5)), r"an array of shape \(5,\) is not an image"),
        (saved(np.zeros((2, 3, 4, 5))), r"shape \(2, 3, 4, 5\) is not an image"),
        (saved(np.zeros((0, 3))), r"shape \(0, 3\) is not an image"),
        (saved(np.array([["a"]])), "not a .npy array of numbers"),
        (saved(np.full((2, 2), 1j)), "not a .npy array of numbers"),
        (saved(np.full((2, 2), np.nan)), "has no finite values"),
    ],
)
def test_bad_arrays_are_explained(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        npy(data)


def test_pickled_objects_are_never_loaded() -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        npy(saved(np.array([[{}]], dtype=object)))


def test_a_header_that_promises_too_much_is_refused() -> None:
    header = saved(np.zeros((4, 4))).replace(b"(4, 4), }" + b" " * 10, b"(900000000000, 9), }"[:19])
    with pytest.raises(ValueError, match=r"not a complete .npy array"):
        npy(header)
