"""Which network: by rows, size of images, device, and what weights can be had."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import timm

from compete.advice import advise, weights
from compete.advice.facts import Facts, Weights, values
from compete.advice.models import CANDIDATES, HOURS, LEAST_SIDE, _hours, choose_model
from compete.advice.pace import choose_epochs, choose_pace
from compete.advice.recipe import recipe
from compete.config import registry as component
from compete.config.plugins import load_plugins

PHOTOS = Facts(rows=2_000, kind="label", metric="accuracy", side=224, counts={"a": 1_000, "b": 1_000})
GPU = replace(PHOTOS, device="cuda")
TIMM = load_plugins().registry["models"]["timm"]


def chosen(facts: Facts, at: str = "cache", only: str = "", local: Weights | None = None):
    def find(name: str, _ask_hub: bool) -> Weights:
        return Weights(name, at if not only or name == only else "")

    return choose_model(facts, choose_epochs(facts.rows), find, lambda _: local)


def test_every_candidate_is_a_backbone_of_timm_with_weights_where_they_are_looked_for():
    for candidate in CANDIDATES:
        assert timm.get_pretrained_cfg(candidate.backbone).hf_hub_id == f"timm/{candidate.backbone}"
    assert [c.gmacs for c in CANDIDATES] == sorted(c.gmacs for c in CANDIDATES)


@pytest.mark.parametrize("device", ["cpu", "mps", "cuda"])
@pytest.mark.parametrize("rows", [50, 300, 2_000, 30_000])
def test_what_is_chosen_can_be_trained_in_the_time_where_anything_can(device, rows):
    facts = replace(PHOTOS, rows=rows, device=device, cores=2)
    model = chosen(facts)
    hours = _hours(model.candidate, facts, model.side, choose_epochs(rows))
    assert hours <= HOURS[device] or (model.candidate == CANDIDATES[0] and model.side == LEAST_SIDE)


def test_a_better_device_never_gets_a_smaller_network():
    sizes = [CANDIDATES.index(chosen(replace(PHOTOS, device=device)).candidate) for device in ("cpu", "mps", "cuda")]
    assert sizes == sorted(sizes) and sizes[-1] > sizes[0]


@pytest.mark.parametrize(
    ("rows", "side", "pretrained", "used"),
    [
        (500, 32, True, LEAST_SIDE),  # few and small: pretrained, enlarged
        (50_000, 32, False, 32),  # many and small: from scratch at their own size
        (50_000, 224, True, 224),
        (500, 128, True, 128),
    ],
)
def test_small_images_are_enlarged_for_a_pretrained_network_unless_there_are_many(rows, side, pretrained, used):
    model = chosen(replace(GPU, rows=rows, side=side))
    assert (model.pretrained, model.side) == (pretrained, used) and not model.missing


def test_versions_and_measured_data_are_never_resized():
    for kept in (replace(GPU, side=40, versions=True), replace(GPU, side=40, images=False)):
        assert chosen(kept).side == 40
    assert chosen(replace(GPU, side=512, images=False), at="").side == 512


def test_other_weights_at_hand_take_the_place_of_what_cannot_be_had():
    other = chosen(GPU, only=CANDIDATES[0].backbone)
    assert other.weights.backbone == CANDIDATES[0].backbone and "can NOT be had now" in other.why
    mine = Weights("resnet18", "weights/resnet18.safetensors")
    assert chosen(GPU, at="", local=mine).weights == mine


def test_without_any_weights_it_is_said_with_both_choices_and_their_cost(monkeypatch):
    asked = []
    monkeypatch.setattr("compete.advice.find_weights", lambda _timm, name, ask: asked.append(ask) or Weights(name))
    monkeypatch.setattr("compete.advice.local_weights", lambda *_: None)
    advice = advise(GPU, None)
    [todo] = advice.todo
    assert asked.count(True) == 1  # a network that swallows questions costs one wait, not five
    assert advice.model.missing and advise(GPU, None) == advice
    wanted = chosen(GPU).weights.backbone
    assert "ResNet-9 from scratch" in todo and f"hf download timm/{wanted} model" in todo and "scores far" in todo
    assert " 114 MB" in todo or " 201 MB" in todo


@pytest.mark.parametrize(("rows", "least"), [(61, (32, 64)), (300, (16, 64)), (2_000, (16, 32))])
def test_without_weights_a_run_on_a_small_machine_ends_soon(rows, least):
    few = replace(PHOTOS, rows=rows, cores=2)
    model = chosen(few, at="")
    images = few.trained_rows * choose_pace(few, pretrained=False).epochs * few.folds
    gmacs = 3.4 * (model.width / 64) ** 2 * (model.side / 96) ** 2  # counted: width 64, 96 px
    assert images * gmacs * 3 / (2 * 8) < 35 * 60 and (model.width, model.side) == least
    assert "time that a run takes" in model.side_why + model.width_why
    assert values(list(recipe(few, model)), "model") == {"name": "resnet9", "width": model.width}


def test_without_weights_a_fast_device_takes_the_whole_network_and_kept_images_keep_their_size():
    assert (chosen(GPU, at="").width, chosen(GPU, at="").side_why) == (64, "")
    kept = chosen(replace(PHOTOS, side=512, images=False), at="")
    assert (kept.width, kept.side) == (16, 512)


def test_a_file_of_weights_is_found_by_its_backbone_s_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    assert weights.local_weights(["resnet18"]) is None
    (tmp_path / "weights/other.safetensors").write_bytes(b"")
    (tmp_path / "weights/resnet18.a1_in1k.safetensors").write_bytes(b"")
    found = weights.local_weights(["resnet18"])
    assert (found.backbone, found.at) == ("resnet18.a1_in1k", "weights/resnet18.a1_in1k.safetensors")
    (tmp_path / "weights/resnet18.a1_in1k.safetensors").rename(tmp_path / "weights/resnet18.mine.safetensors")
    assert weights.local_weights(["resnet18"]).backbone == "resnet18"  # a tag of one's own says nothing to timm


def test_the_file_that_the_todo_asks_for_is_taken_as_that_backbone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("compete.advice.find_weights", lambda _timm, name, _ask: Weights(name))
    [todo] = advise(GPU, TIMM).todo
    wanted = re.search(r"weights/(.+)\.safetensors", todo).group(1)
    (tmp_path / "weights").mkdir()
    for backbone in (wanted, "efficientnet_b0.ra_in1k"):  # another lies beside it, first in the alphabet or not
        (tmp_path / f"weights/{backbone}.safetensors").write_bytes(b"")
    model = advise(GPU, TIMM).model
    assert model.weights.backbone == model.candidate.backbone == wanted  # and so its rate and size
    assert "NOT" not in model.why


def test_weights_are_where_the_model_s_component_says(monkeypatch):
    backbone, cached = CANDIDATES[0].backbone, component.Weights("x", "hub", "x.safetensors", Path("x"))
    fetched = cached._replace(path=None, size=lambda: 21_900_000)

    def asked() -> int:
        raise ConnectionError("no route")

    for found, place, mb in (
        (cached, "cache", 0),
        (fetched, "hub", 22),
        (fetched._replace(size=asked), "", 0),
    ):
        monkeypatch.setattr("compete.advice.weights.weights_of", lambda _, found=found: (found,))
        assert weights.find_weights(TIMM, backbone) == Weights(backbone, place, mb)
    monkeypatch.setattr("compete.advice.weights.weights_of", lambda _: (fetched._replace(size=pytest.fail),))
    assert weights.find_weights(TIMM, backbone, ask_hub=False) == Weights(backbone)
    assert weights.find_weights(None, backbone) == Weights(backbone)
