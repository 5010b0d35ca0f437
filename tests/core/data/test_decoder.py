"""From bytes to pixels of one size: antialiased along each axis, of a type that batches take, with doubts noted."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from compete.config.settings import Images
from compete.data.decoder import BEYOND, FLAT, NARROW, Decoder, fit_to
from compete.errors import DataError, PluginRuntimeError
from compete.files.root import Files

RNG = np.random.default_rng(0)


def per_axis(image, height, width):
    """Resize with Pillow, one axis after the other: area averaging where it shrinks, linear where it grows."""
    bands = []
    for band in np.moveaxis(image.astype(np.float32), 2, 0):
        picture = Image.fromarray(band)
        for size in ((picture.width, height), (width, height)):
            smaller = size[0] < picture.width or size[1] < picture.height
            picture = picture.resize(size, Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR)
        bands.append(np.asarray(picture))
    return np.stack(bands, axis=2)


@pytest.mark.parametrize(("size", "target"), [
    ((128, 16), (32, 64)), ((16, 128), (64, 32)), ((100, 10), (10, 35)), ((90, 7), (30, 7)), ((7, 90), (8, 30)),
    ((24, 24), (8, 8)), ((8, 8), (20, 24)), ((1, 300), (50, 60)), ((6, 5), (6, 9)),
])  # fmt: skip
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_each_axis_is_antialiased_by_itself(size, target, channels):
    image = RNG.integers(0, 256, (*size, channels), dtype=np.uint8)
    for given, tolerance in ((image, 1.0), (image.astype(np.float32) / 255, 1e-5)):
        found = fit_to(given, target, "stretch")
        assert found.dtype == given.dtype and found.shape == (*target, channels)
        assert np.abs(found - per_axis(given, *target)).max() <= tolerance


@pytest.mark.parametrize(("size", "target"), [((2048, 16), (64, 64)), ((16, 1000), (224, 50)), ((999, 31), (70, 64))])
def test_no_frequency_is_left_that_torchvision_removes(size, target):
    """The antialiased resize of torch is another filter: of noise, about the same variance remains."""
    image = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    channels_first = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(channels_first, target, mode="bilinear", antialias=True).numpy()
    assert 0.8 < fit_to(image, target, "stretch").std() / expected.std() < 1.3


@pytest.mark.parametrize("axis", [0, 1])
def test_stripes_become_their_mean_where_the_other_axis_grows(axis):
    stripes = np.zeros((2048, 16, 1), np.uint8)
    stripes[::2] = 255
    found = fit_to(stripes if axis == 0 else stripes.transpose(1, 0, 2), (64, 64), "stretch")
    assert found.min() >= 127 and found.max() <= 128


def decoder(folder, reader=np.load, fixed=(), **settings):
    return Decoder(Files(folder), {"npy": reader, "jpg": reader}, Images(size=(4, 4), **settings), fixed)


def load(data):
    return np.load(io.BytesIO(data))


@pytest.mark.parametrize(("pixels", "notes"), [
    (np.zeros((6, 6, 3), np.uint8), [FLAT]),
    (np.full((6, 6, 3), 255, np.uint8), [FLAT]),
    (np.linspace(0, 16, 108).reshape(6, 6, 3).astype(np.uint8), [NARROW]),
    (np.linspace(200, 218, 108).reshape(6, 6, 3).astype(np.uint8), []),
    (np.linspace(0, 1, 108).reshape(6, 6, 3).astype(np.float32), []),
    (np.linspace(0.5, 0.52, 108).reshape(6, 6, 3), [NARROW]),
    (np.linspace(0, 255, 108).reshape(6, 6, 3).astype(np.float32), [BEYOND]),
    (np.linspace(-1, 1, 108).reshape(6, 6, 3), [BEYOND]),
])  # fmt: skip
def test_doubtful_images_are_noted(tmp_path, pixels, notes):
    np.save(tmp_path / "a.npy", pixels)
    image, found = decoder(tmp_path, load).decode("a.npy")
    assert found == notes and image.dtype == (np.uint8 if pixels.dtype == np.uint8 else np.float32)


def test_sixteen_levels_are_noted_and_the_range_keeps_them_all(tmp_path):
    Image.fromarray(RNG.integers(0, 4096, (20, 20), dtype=np.uint16)).save(tmp_path / "a.png")
    from compete_plugins.readers import image

    files = Files(tmp_path)
    assert Decoder(files, {"jpg": image}, Images(size=(20, 20))).decode("a.png")[1] == [NARROW]
    pixels, notes = Decoder(files, {"jpg": image}, Images(size=(20, 20), value_range=[0, 4095])).decode("a.png")
    assert notes == [] and len(np.unique(pixels)) > 150


@pytest.mark.parametrize(("made", "message"), [
    (np.zeros((4, 4, 3), np.uint16), "a.npy: its reader and transforms gave uint16; an image is uint8, or float32"),
    (np.zeros((4, 4, 3), bool), "gave bool"),
    ("text", "gave str"),
    (np.zeros((4, 4, 1), np.uint8), r"its shape is \(4, 4, 1\), but \[images\] channels = 3"),
    (np.zeros((4, 4), np.uint8), r"its shape is \(4, 4\)"),
    (np.zeros((0, 4, 3), np.uint8), r"its shape is \(0, 4, 3\)"),
    (np.array([[[0, np.nan, 1]]]), r"it holds NaN or infinity. Add \[\[transforms\]\] name = \"scale\""),
    (np.array([[[0, np.inf, 1]]]), "it holds NaN or infinity"),
])  # fmt: skip
def test_what_no_batch_takes_is_refused(tmp_path, made, message):
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=message):
        decoder(tmp_path, lambda data: made)("a.npy")


def test_a_reader_gets_the_settings_that_it_names(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"")

    def reader(data, *, layout, value_range, channels, note, other=7):
        note("seen")
        assert (layout, value_range, channels, other) == ("chw", [1, 2], 3, 7)
        return np.arange(48, dtype=np.uint8).reshape(4, 4, 3)

    assert decoder(tmp_path, reader, layout="chw", value_range=[1, 2]).decode("a.npy")[1] == ["seen"]


def test_a_fixed_transform_that_refuses_an_image_names_its_path(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 4, 3), np.uint8))

    def too_large(image):
        raise DataError("the crop is larger than the image")

    with pytest.raises(ValueError, match=r"a\.npy: the crop is larger than the image"):
        decoder(tmp_path, load, [too_large])("a.npy")
    with pytest.raises(PluginRuntimeError, match=r"a\.npy: \[\[transforms\]\] fixed raised ZeroDivisionError"):
        decoder(tmp_path, load, [lambda image: 1 / 0])("a.npy")
