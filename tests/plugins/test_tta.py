"""Test-time augmentation: shapes, contents, and what is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compete import ConfigError
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.tta import register_tta

COMPONENTS = register_tta()
SMALL = torch.arange(12.0).reshape(1, 1, 3, 4)


def build(name, **table):
    found, problems = bind(Component("tta", name, COMPONENTS[name], "test"), table, "[[tta]]")
    assert not problems, problems
    return found.build()


def test_none_adds_no_view():
    assert build("none")(SMALL) == []


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        ({}, [(3,)]),
        ({"horizontal": False, "vertical": True}, [(2,)]),
        ({"vertical": True}, [(3,), (2,), (2, 3)]),
        ({"horizontal": False}, []),
    ],
)
def test_flips(options, axes):
    views = build("flips", **options)(SMALL)
    assert len(views) == len(axes)
    assert all(torch.equal(view, SMALL.flip(axis)) for view, axis in zip(views, axes, strict=True))


def test_rotations_turn_square_images():
    square = torch.arange(4.0).reshape(1, 1, 2, 2)
    views = build("rotations", degrees=[90, 180, 270])(square)
    assert [view.flatten().tolist() for view in views] == [[1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1]]
    assert len(build("rotations")(square)) == 3


def test_rotations_of_other_images():
    (view,) = build("rotations", degrees=[180])(SMALL)
    assert torch.equal(view, SMALL.flip(2, 3))
    with pytest.raises(ConfigError, match=r"needs square images; these are 3 x 4. Set degrees = \[180\]"):
        build("rotations")(SMALL)


def test_rotations_take_quarter_turns_only():
    _, problems = bind(Component("tta", "rotations", COMPONENTS["rotations"], "test"), {"degrees": [45]}, "[[tta]]")
    assert "90, 180 or 270" in problems[0].message


def test_multi_crop_enlarges_four_corners_and_the_centre():
    quadrants = torch.zeros(1, 1, 8, 8)
    quadrants[..., :4, 4:], quadrants[..., 4:, :4], quadrants[..., 4:, 4:] = 1, 2, 3
    views = build("multi_crop", scale=0.5)(quadrants)
    assert [view.unique().tolist() for view in views[:4]] == [[0], [1], [2], [3]]
    assert views[4].shape == quadrants.shape and views[4].mean() == pytest.approx(1.5)


def test_multi_scale_zooms_out_with_mirrored_borders_and_in():
    ramp = torch.arange(20.0).expand(1, 1, 20, 20)
    out, into = build("multi_scale", scales=[0.8, 1.25])(ramp)
    step = (out[0, 0, 10, 11] - out[0, 0, 10, 10]).item()
    assert step == pytest.approx(1 / 0.8, rel=0.02)
    assert torch.allclose(out[..., 0], out[..., 4]) and torch.allclose(out[..., 1], out[..., 3])
    assert (into[0, 0, 10, 11] - into[0, 0, 10, 10]).item() == pytest.approx(0.8, rel=0.02)
    assert into.mean().item() == pytest.approx(9.5, abs=0.01) and out.mean().item() == pytest.approx(9.5, abs=0.5)


def test_a_scale_of_one_changes_nothing():
    (view,) = build("multi_scale", scales=[1.0])(SMALL)
    assert torch.allclose(view, SMALL)


@given(height=st.integers(4, 33), width=st.integers(4, 33), scale=st.floats(0.6, 2))
def test_every_view_has_the_shape_and_range_of_the_batch(height, width, scale):
    images = torch.rand(2, 3, height, width)
    before = images.clone()
    views = build("multi_scale", scales=[scale])(images) + build("multi_crop", scale=min(scale, 0.99))(images)
    views += build("flips", vertical=True)(images) + build("rotations", degrees=[180])(images)
    assert len(views) == 1 + 5 + 3 + 1
    for view in views:
        assert view.shape == images.shape and view.dtype == images.dtype
        assert view.min() >= images.min() - 1e-5 and view.max() <= images.max() + 1e-5
    assert torch.equal(images, before)
