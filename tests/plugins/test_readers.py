from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from compete_plugins.readers import image, npy, raw, register_readers

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
    assert set(readers) >= {"jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp", "gif", "avif", "npy"}
    for ending in ("jpg", "gif", "tif"):
        np.testing.assert_array_equal(readers[ending](encoded(IMAGE, "png")), IMAGE)
    measured = readers["jpg"](saved(np.zeros((4, 5), np.float32)))
    assert measured.shape == (4, 5, 1) and measured.dtype == np.float32


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "tiff", "webp", "jpeg", "16 bits"])
def test_images_are_turned_upright(kind: str, orientation: int) -> None:
    """The oracle says where the stored row 0 and column 0 belong (TIFF 6.0, page 36)."""
    corners = np.zeros((16, 24, 3), np.uint8)
    corners[:8, :12], corners[:8, 12:] = 250, 100  # stored: top left, then along row 0
    upper_left, along = {
        1: ("top left", "right"), 2: ("top right", "left"), 3: ("bottom right", "left"), 4: ("bottom left", "right"),
        5: ("top left", "down"), 6: ("top right", "down"), 7: ("bottom right", "up"), 8: ("bottom left", "up"),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "16 bits":
        plain, done = (
            encoded(np.zeros((16, 24, 3), np.uint8), "png", exif=exif),
            cv2.imencode(".png", corners.astype(np.uint16) * 257)[1].tobytes(),
        )
        start = plain.index(b"eXIf") - 4
        size = int.from_bytes(plain[start : start + 4], "big") + 12
        data = done[:33] + plain[start : start + size] + done[33:]
    else:
        options = {"lossless": True} if kind == "webp" else {}
        data = encoded(corners, kind, exif=exif, **options)
    pixels = image(data)[:, :, 0].astype(int)
    assert pixels.shape == ((16, 24) if orientation < 5 else (24, 16))
    height, width = pixels.shape
    row, column = {"top": 2, "bottom": height - 3}, {"left": 2, "right": width - 3}
    down, across = (row[upper_left.split()[0]], column[upper_left.split()[1]])
    assert abs(pixels[down, across] - 250) < 12
    step = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}[along]
    beside = pixels[down + step[0] * (height - 6), across + step[1] * (width - 6)]
    assert abs(beside - 100) < 12


def test_a_broken_exif_block_is_passed_over() -> None:
    data = encoded(IMAGE, "png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05broken")
    np.testing.assert_array_equal(image(data), IMAGE)


@pytest.mark.parametrize(("background", "colour"), [
    ("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#0a64ff", (10, 100, 255)),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
def test_transparent_pixels_show_the_background(background, colour, kind):
    opacity = RNG.integers(0, 256, IMAGE.shape[:2], dtype=np.uint8)
    opacity[:2] = (0, 255, 0, 255, 0, 255, 255)
    data = encoded(np.dstack([IMAGE, opacity]), kind, **({"lossless": True, "exact": True} if kind == "webp" else {}))
    share = opacity[:, :, None] / 255
    expected = IMAGE * share + np.array(colour) * (1 - share)
    assert np.abs(image(data, background=background) - expected).max() <= 0.5 + 1e-4
    np.testing.assert_array_equal(image(data, background="none"), IMAGE)


@pytest.mark.parametrize("form", ["RGBA", "LA", "P", "L with a transparent value", "16 bits", "16-bit grey"])
def test_a_black_drawing_on_a_transparent_ground_is_seen(form):
    """The drawing is in the alpha channel alone: without a background the image would be black."""
    drawn = np.zeros((8, 9), bool)
    drawn[2:5, 3:7] = True
    black, opacity = np.zeros((8, 9), np.uint8), drawn * np.uint8(255)
    if form == "16 bits":
        done, data = cv2.imencode(".png", np.dstack([black] * 3 + [opacity]).astype(np.uint16) * 257)
        assert done
        data = data.tobytes()
    elif form == "16-bit grey":
        rows = b"".join(b"\0" + row.tobytes() for row in np.dstack([black, opacity]).astype(">u2") * np.uint16(257))
        chunks = (
            (b"IHDR", struct.pack(">IIBBBBB", 9, 8, 16, 4, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
        data = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )
    elif form == "L with a transparent value":
        data = encoded(Image.fromarray(np.where(drawn, 0, 7).astype(np.uint8)), transparency=7)
    elif form == "P":
        palette = Image.fromarray(drawn.astype(np.uint8)).convert("P")
        palette.putpalette([0] * 6)
        palette.frombytes(drawn.astype(np.uint8).tobytes())
        data = encoded(palette, transparency=0)
    else:
        picture = Image.fromarray(np.dstack([black] * 3 + [opacity]))
        data = encoded(picture.convert("LA") if form == "LA" else picture)
    pixels = image(data)
    assert pixels.shape == (8, 9, 3) and (pixels == np.where(drawn, 0, 255)[:, :, None]).all()


def test_gif_s_transparent_colour_shows_the_background():
    frame = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    frame.putpalette([9, 9, 9, 200, 0, 0])
    frame.frombytes(bytes([0, 1, 1, 0]))
    assert image(encoded(frame, "gif", transparency=0))[:, :, 1].tolist() == [[255, 0], [0, 255]]


def test_palettes_become_colours() -> None:
    numbers = RNG.integers(0, 4, (6, 6), dtype=np.uint8)
    colours = RNG.integers(0, 256, (4, 3), dtype=np.uint8)
    original = Image.fromarray(numbers).convert("P")
    original.putpalette(colours.tobytes())
    original = original.copy()
    original.frombytes(numbers.tobytes())
    np.testing.assert_array_equal(image(encoded(original, "png")), colours[numbers])
    several = encoded(original, "png", transparency=bytes(range(4)))
    np.testing.assert_array_equal(image(several, background="none"), colours[numbers])


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_and_black_and_white_get_three_channels(mode: str) -> None:
    original = Image.fromarray(IMAGE[:, :, 0]).convert(mode)
    expected = np.asarray(original.convert("L"))
    np.testing.assert_array_equal(image(encoded(original)), np.dstack([expected] * 3))
    np.testing.assert_array_equal(image(encoded(original), channels=1), expected[:, :, None])
    assert image(encoded(IMAGE, "png"), channels=1).shape == IMAGE.shape  # colours are refused later, with the cure


def test_cmyk_becomes_rgb() -> None:
    plain = Image.new("RGB", (16, 16), (200, 40, 90))
    assert np.abs(image(encoded(plain.convert("CMYK"), "tiff")).astype(int) - (200, 40, 90)).max() <= 2


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_scaled_over_their_full_range(kind: str) -> None:
    deep = np.array([[0, 257, 128 * 257], [65535, 300, 65000]], np.uint16)
    pixels = image(encoded(deep, kind))
    np.testing.assert_array_equal(pixels, np.dstack([np.round(deep / 257).astype(np.uint8)] * 3))


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bit_colours_keep_all_their_bits(kind: str) -> None:
    """Pillow keeps the upper 8 bits: of 12 bits in 16 that leaves 16 levels."""
    deep = RNG.integers(0, 4096, (12, 10, 3), dtype=np.uint16)
    data = cv2.imencode(f".{kind}", deep[:, :, ::-1])[1].tobytes()
    np.testing.assert_array_equal(image(data), np.round(deep / 257).astype(np.uint8))
    pixels = image(data, value_range=[0, 4095])
    np.testing.assert_array_equal(pixels, np.round(deep * (255 / 4095)).astype(np.uint8))
    assert len(np.unique(pixels)) > 150


def test_bitmaps_of_16_bits_a_pixel_have_5_or_6_bits_a_colour() -> None:
    colours = np.array([[0xF800, 0x07E0], [0x001F, 0xFFFF]], "<u2")  # red, green / blue, white
    header = struct.pack("<IiiHHIIiiII3I", 40, 2, -2, 1, 16, 3, 8, 0, 0, 0, 0, 0xF800, 0x07E0, 0x001F)
    data = b"BM" + struct.pack("<IHHI", 14 + len(header) + 8, 0, 0, 14 + len(header)) + header + colours.tobytes()
    assert image(data).tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]]


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (100, 300), (-50, 1000.5)])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.uint8])
def test_a_value_range_becomes_black_to_white(low, high, dtype) -> None:
    values = np.linspace(0, 255 if dtype == np.uint8 else 5000, 63).reshape(7, 9).astype(dtype)
    expected = np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255
    found = image(encoded(values, "tiff"), value_range=[low, high])
    assert found.dtype == np.uint8 and np.abs(found - expected[:, :, None]).max() <= 0.51


@pytest.mark.parametrize("deep", [np.full((3, 3), 0.5, np.float32), np.full((3, 3), 70_000, np.int32)])
def test_32_bit_images_need_a_range(deep: np.ndarray) -> None:
    with pytest.raises(
        ValueError, match=r"range of a signed or 32-bit image is not known in advance. Set \[images\] value_range"
    ):
        image(encoded(deep, "tiff"))


@pytest.mark.parametrize("kind", ["gif", "tiff", "png", "webp"])
def test_the_first_frame_is_taken_and_that_is_said(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "webp" else {}
    notes: list[str] = []
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert image(data, note=notes.append)[0, 0].tolist() == [255, 0, 0]
    assert notes == ["files of several frames, of which the first is read"]
    assert image(encoded(frames[0], kind), note=notes.append).shape == (4, 4, 3) and len(notes) == 1


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "webp", "gif", "tiff", "avif"])
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
        (bytes(400), "the file holds only zeros"),
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
    ("shape", "channels", "layout"),
    [
        ((5, 6, 3), None, "hwc"),
        ((6, 273, 256), None, "chw"),
        ((6, 273, 256), 1, "chw"),  # transforms make one channel of the six
        ((2, 75, 75), 3, "chw"),
        ((75, 75, 2), 3, "hwc"),
        ((40, 24, 24), 40, "chw"),
        ((40, 24, 24), 24, "hwc"),
        ((24, 24, 40), 40, "hwc"),
        ((3, 200, 6), 3, "chw"),
        ((1, 64, 300), 1, "chw"),
        ((64, 300, 1), 1, "hwc"),
    ],
)
def test_channels_come_last(shape, channels, layout) -> None:
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    expected = array.transpose(1, 2, 0) if layout == "chw" else array
    for options in ({"channels": channels}, {"layout": layout}):
        pixels = npy(saved(array), **options)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, expected)
        np.testing.assert_array_equal(raw(saved(array), **options), expected)
    assert npy(saved(array[0])).shape == (*array[0].shape, 1)


@pytest.mark.parametrize(("shape", "channels"), [
    ((40, 24, 24), None), ((40, 24, 24), 3), ((3, 40, 3), 3), ((3, 3, 3), 3), ((20, 24, 24), 1), ((24, 24, 24), 24),
    ((9, 100, 8), 1),
])  # fmt: skip
def test_axes_that_can_be_read_in_two_ways_are_refused(shape, channels) -> None:
    array = np.zeros(shape, np.uint8)
    message = rf'does not tell which axis holds the channels. Set \[images\] layout = "hwc" \({shape[2]} channels\)'
    with pytest.raises(ValueError, match=message):
        npy(saved(array), channels=channels)
    assert npy(saved(array), channels=channels, layout="hwc").shape == shape
    assert npy(saved(array), channels=channels, layout="chw").shape == (*shape[1:], shape[0])


def test_a_few_bright_pixels_are_seen() -> None:
    array = np.zeros((40, 40), bool)
    array[3, 4:7] = True
    pixels = npy(saved(array))[:, :, 0]
    assert pixels.dtype == np.float32 and (pixels == array).all()


def test_a_range_for_measured_data_is_the_same_for_all() -> None:
    array = np.array([[-1000, 0], [500, np.nan]], np.float64)
    assert npy(saved(array), value_range=[-500, 500])[:, :, 0].tolist() == [[0, 0.5], [1, 0]]
    assert npy(saved(np.array([[0, 51]], np.uint8)), value_range=[0, 102])[:, :, 0].tolist() == [[0, 0.5]]


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
        (b"", "the file is empty"),
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
    with pytest.raises(ValueError, match="holds Python objects, which are never loaded"):
        npy(saved(np.array([[{}]], dtype=object)))


def test_a_header_that_promises_too_much_is_refused() -> None:
    header = saved(np.zeros((4, 4))).replace(b"(4, 4), }" + b" " * 10, b"(900000000000, 9), }"[:19])
    with pytest.raises(ValueError, match=r"not a complete .npy array"):
        npy(header)
