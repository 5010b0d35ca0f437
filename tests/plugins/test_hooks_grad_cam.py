"""Grad-CAM, against a case worked by hand, a network whose evidence is known, and every kind of target."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from compete.config.load import load_config
from compete.stages.runner import run_competition
from compete.types import Target
from compete_plugins.hooks._grad_cam import Group, _groups, _sheet, cam, explain


def test_maps_are_weighted_by_their_mean_gradient():
    """Weights 2 and -1: 2 * [1 0; 3 1] - [0 5; 1 0] = [2 -5; 5 2]; ReLU; the highest, 5, becomes 1."""
    maps = torch.tensor([[[[1.0, 0], [3, 1]], [[0, 5], [1, 0]]]])
    slopes = torch.tensor([[[[8.0, 0], [0, 0]], [[-1, -1], [-1, -1]]]])
    np.testing.assert_allclose(cam(maps, slopes, (2, 2)), [[[0.4, 0], [1, 0.4]]])
    channels_last = cam(
        maps.permute(0, 2, 3, 1).repeat(1, 1, 1, 4), slopes.permute(0, 2, 3, 1).repeat(1, 1, 1, 4), (2, 2)
    )
    np.testing.assert_allclose(channels_last, [[[0.4, 0], [1, 0.4]]])


def test_nothing_that_speaks_for_the_label_gives_no_heat():
    assert not cam(torch.ones(1, 2, 2, 2), -torch.ones(1, 2, 2, 2), (4, 4)).any()


def trainer_of(images, classes=("a", "b"), activation=lambda logits: logits.softmax(dim=1)):
    target = Target(classes, None, None, activation, None, heads=(len(classes),))
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return SimpleNamespace(target=target, decode=lambda rows: (images[rows], (inputs[rows],)))


class RedOrGreen(nn.Module):
    """Logit 0 is the mean red, logit 1 the mean green, so the evidence lies where the colour is."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 1, bias=False)
        self.maps.weight.data = torch.tensor([[1.0, 0, 0], [0, 1, 0]])[:, :, None, None]
        self.relu = nn.ReLU(inplace=True)
        self.requires_grad_(False)  # as a frozen backbone

    def forward(self, images):
        return self.relu(self.maps(images)).mean(dim=(2, 3))


@pytest.mark.parametrize(("column", "corner"), [(0, (0, 0)), (1, (7, 7))])
def test_the_heat_lies_where_the_evidence_is(column, corner):
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[0, :4, :4, 0] = images[0, 4:, 4:, 1] = 255
    group = Group("x", column, np.array([0]))
    _, heat, predictions = explain(RedOrGreen().eval(), ["maps", "relu"], trainer_of(images), group)
    expected = np.zeros((8, 8))
    expected[:4, :4] = corner == (0, 0)
    expected[4:, 4:] = corner == (7, 7)
    np.testing.assert_allclose(heat[0], expected, atol=1e-6)
    assert predictions.shape == (1, 2)


def groups(classes, labels):
    target = Target(tuple(classes), None, None, None, None)
    return [
        (g.title, g.column, g.rows.tolist(), g.absent)
        for g in _groups(target, np.arange(10, 10 + len(labels)), labels, 2)
    ]


def test_rows_are_grouped_by_every_kind_of_label():
    assert groups("abc", np.array([0, 2, 0, 0])) == [("a", 0, [10, 12], False), ("c", 2, [11], False)]
    assert groups("ab", np.array([[1.0, 0], [1, 1], [0, 0]])) == [("a", 0, [10, 11], False), ("b", 1, [11], False)]
    assert groups("y", np.array([0, 1, 1])) == [("y = 0", 0, [10], True), ("y = 1", 0, [11, 12], False)]
    assert groups("y", np.array([0.5, 3.5, 2.5])) == [("y", 0, [10, 11], False)]
    assert groups("ab", np.zeros((0,), np.int64)) == []


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_sheet_is_drawn_for_any_channels(channels, kind):
    images = np.zeros((2, 6, 9, channels), kind)
    drawn = [(Group("$a_b$", 0, np.array([0, 1])), images, np.ones((2, 6, 9)), np.array([[0.9, 0.1], [0.2, 0.8]]))]
    with Image.open(io.BytesIO(_sheet(drawn, ("$a_b$", "b")))) as sheet:
        assert sheet.format == "PNG" and sheet.width > 200


def test_a_network_without_maps_is_a_warning_and_the_run_ends(tiny):
    (tiny / "flat.py").write_text(
        "import torch\nfrom compete import hookimpl\n"
        "def flat(outputs: int, channels: int):\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64 * channels, outputs))\n"
        "@hookimpl\ndef register_models(): return {'flat': flat}\n"
    )
    recipe = [
        'plugins=["tiny_plugin.py", "flat.py"]',
        "model.name=flat",
        'hooks=[{name="grad_cam"}]',
        "optimizer.lr=1e-3",
    ]
    done = run_competition(load_config(tiny / "tiny.toml", recipe))
    assert sum("no module gives feature maps" in text for text in done.session.warnings) == 3
    assert not list(done.folder.glob("members/*/grad_cam.png"))


@pytest.mark.parametrize("recipe", [["finetune.freeze=backbone"], ["columns.numeric=[]", 'callbacks=[{name="soup"}]']])
def test_members_get_a_sheet(tiny, recipe):
    done = run_competition(load_config(tiny / "tiny.toml", [*recipe, 'hooks=[{name="grad_cam", images_per_class=1}]']))
    assert len(list(done.folder.glob("members/*/grad_cam.png"))) == 3
    assert not any("grad_cam" in text for text in done.session.warnings)
