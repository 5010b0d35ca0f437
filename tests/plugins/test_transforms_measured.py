"""Channels, ranges and spectrograms: the fixed transforms for measured data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compete import DataError
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.transforms import register_transforms

COMPONENTS = register_transforms()
SCANS = np.arange(2 * 3 * 6, dtype=np.float32).reshape(2, 3, 6)


def bound(name, **table):
    found, problems = bind(Component("transforms", name, COMPONENTS[name], "test"), table, "[[transforms]]")
    return found, [problem.message for problem in problems]


def fixed(name, image, **table):
    found, messages = bound(name, **table)
    assert not messages
    return found.build().fixed(image)


# --- channels ---------------------------------------------------------------------------------------------------


def test_channels_are_chosen_in_the_order_given():
    np.testing.assert_array_equal(fixed("channels", SCANS, keep=[4, 0]), SCANS[:, :, [4, 0]])


def test_a_list_is_the_mean_of_its_channels():
    derived = fixed("channels", SCANS, keep=[0, 1, [0, 1]])
    np.testing.assert_allclose(derived[:, :, 2], (SCANS[:, :, 0] + SCANS[:, :, 1]) / 2)
    assert derived.dtype == np.float32


def test_photographs_stay_images():
    photo = np.full((2, 2, 3), 255, np.uint8)
    assert fixed("channels", photo, keep=[[0, 1, 2]]).tolist() == [[[255], [255]], [[255], [255]]]
    assert fixed("channels", photo, keep=[[0, 1, 2]]).dtype == np.uint8


def test_six_scans_become_one_tall_image():
    tall = fixed("channels", SCANS, tile=[6, 1])
    np.testing.assert_array_equal(tall[:, :, 0], np.concatenate([SCANS[:, :, n] for n in range(6)]))


def test_tiles_may_have_several_channels_and_lie_in_rows():
    tiled = fixed("channels", SCANS, keep=[0, 2, 4, 1, 3, 5], tile=[2, 1])
    np.testing.assert_array_equal(tiled, np.concatenate([SCANS[:, :, [0, 2, 4]], SCANS[:, :, [1, 3, 5]]]))
    grid = fixed("channels", SCANS, tile=[2, 3])
    np.testing.assert_array_equal(grid[:2, 3:6, 0], SCANS[:, :, 1])
    np.testing.assert_array_equal(grid[2:, :3, 0], SCANS[:, :, 3])


def test_maps_side_by_side_become_channels():
    maps = np.concatenate([np.full((2, 5, 1), number, np.float32) for number in range(4)], axis=1)
    split = fixed("channels", maps, split=[1, 4])
    assert split.shape == (2, 5, 4)
    assert split[0, 0].tolist() == [0, 1, 2, 3]


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_split_undoes_tile(down, across, each):
    image = np.arange(4 * 5 * down * across * each).reshape(4, 5, -1)
    tiled = COMPONENTS["channels"](tile=(down, across)).fixed(image)
    assert tiled.shape == (4 * down, 5 * across, each)
    np.testing.assert_array_equal(COMPONENTS["channels"](split=(down, across)).fixed(tiled), image)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"keep": [6]}, r"keep = 6: images have 6 channels, from 0"),
        ({"split": [1, 2]}, r"split = \[1, 2\]: an image of 2 x 3 cannot be cut evenly"),
        ({"tile": [4, 1]}, r"tile = \[4, 1\]: 6 channels cannot be divided among 4 tiles"),
    ],
)
def test_images_that_do_not_fit_are_explained(table, message):
    with pytest.raises(DataError, match=message):
        fixed("channels", SCANS, **table)


# --- scale ------------------------------------------------------------------------------------------------------


def test_a_range_is_the_same_for_all_images():
    decibels = np.array([-50.0, -45.0, -10.0, 25.0, 90.0], np.float32).reshape(1, 5, 1)
    scaled = fixed("scale", decibels, method="range", low=-45.0, high=25.0)
    np.testing.assert_allclose(scaled.ravel(), [0, 0, 0.5, 1, 1])
    assert scaled.dtype == np.float32


def test_percentiles_do_not_hide_a_few_bright_pixels():
    values = np.full((40, 40, 1), -3.0, np.float32)
    values[3, 4:7] = 9
    found = fixed("scale", values)
    assert (found == (values == 9)).all()


def test_a_mean_of_bytes_is_rounded():
    pixels = np.array([[[1, 2, 2]]], np.uint8)
    assert fixed("channels", pixels, keep=[[0, 1, 2], 0]).tolist() == [[[2, 1]]]


def test_min_max_and_percentiles_follow_the_image():
    values = np.random.default_rng(0).normal(7, 3, (40, 50, 1)).astype(np.float32)
    full = fixed("scale", values, method="min_max")
    np.testing.assert_allclose(full, (values - values.min()) / np.ptp(values), atol=1e-5)
    low, high = np.percentile(values, [5, 90])
    cut = fixed("scale", values, low=5.0, high=90.0)
    np.testing.assert_allclose(cut, ((values - low) / (high - low)).clip(0, 1), atol=1e-5)


def test_each_channel_may_have_its_own_range():
    loud = np.dstack([np.linspace(0, 1, 12).reshape(3, 4), np.linspace(0, 1000, 12).reshape(3, 4)]).astype(np.float32)
    together, apart = (fixed("scale", loud, method="min_max", per=per) for per in ("image", "channel"))
    assert together[:, :, 0].max() == pytest.approx(0.001)
    np.testing.assert_allclose(apart[:, :, 0], apart[:, :, 1], atol=1e-6)


def test_logarithms_are_scaled_between_bounds_in_the_data_s_own_unit():
    powers = np.array([0.0, -3.0, np.nan, 0.01, 0.1, 1.0, 10.0, 1000.0], np.float32).reshape(1, -1, 1)
    scaled = fixed("scale", powers, method="range", low=0.1, high=10.0, log=True)
    np.testing.assert_allclose(scaled.ravel(), [0, 0, 0, 0, 0, 0.5, 1, 1], atol=1e-6)
    least = fixed("scale", powers, method="min_max", log=True)
    np.testing.assert_allclose(least.ravel()[3:], [0, 0.2, 0.4, 0.6, 1], atol=1e-6)


def test_flat_and_empty_images_are_black():
    for values in (np.full((2, 2, 1), 7.0), np.full((2, 2, 1), np.nan), np.full((2, 2, 1), -1.0)):
        assert fixed("scale", values, method="min_max", log=True).tolist() == np.zeros((2, 2, 1)).tolist()


# --- spectrogram ------------------------------------------------------------------------------------------------


def test_a_tone_is_a_line_at_its_height():
    times = np.arange(2000) / 2000
    sound = np.stack([np.sin(2 * np.pi * 250 * times)] * 2, axis=-1)[None].astype(np.float32)
    image = fixed("spectrogram", sound, window=200, hop=50)
    assert image.shape == (101, 37, 1)  # 10 Hz to a row, the lowest at the bottom
    assert set(image[:, :, 0].argmax(axis=0)) == {100 - 25}
    np.testing.assert_allclose(
        fixed("spectrogram", sound, window=200, hop=50, power=2.0), image**2, rtol=1e-4, atol=1e-4
    )


def test_a_sound_shorter_than_the_window_gives_one_column():
    assert fixed("spectrogram", np.ones((1, 20, 1), np.float32), window=64).shape == (33, 1, 1)


def test_an_image_is_not_a_sound():
    with pytest.raises(DataError, match=r"spectrogram needs sounds: set \[images\] reader = 'raw'"):
        fixed("spectrogram", np.zeros((4, 4, 3), np.uint8))


# --- options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("channels", {}, "set keep, split or tile."),
        ("channels", {"keep": []}, "keep lists no channels."),
        ("channels", {"keep": [0, []]}, "keep holds an empty list: list the channels to average."),
        ("channels", {"keep": [0, 1, 2], "tile": [2, 1]}, "tile = [2, 1]: 3 channels cannot be divided among 2 tiles."),
        ("scale", {"method": "range", "low": 1.0}, "method = 'range' needs low and high."),
        ("scale", {"method": "min_max", "low": 1.0}, "method = 'min_max' takes neither low nor high."),
        ("scale", {"method": "range", "low": 2.0, "high": 1.0}, "low = 2 must be below high = 1."),
        ("scale", {"low": 99.5}, "low = 99.5 must be below high = 99."),
        ("scale", {"high": 101.0}, "low = 1 and high = 101 must be percentiles, 0 to 100."),
        ("scale", {"method": "range", "low": 0.0, "high": 1.0, "log": True}, "low = 0 must be above 0 with log = true."),
    ],
)  # fmt: skip
def test_options_are_checked_when_the_toml_is_read(name, table, message):
    assert bound(name, **table)[1] == [message]
