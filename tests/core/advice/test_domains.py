"""Augmentation and TTA: flips only where a mirrored image keeps its label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compete.advice.domains import FLIPS, augmentation, find_domain, views
from compete.advice.facts import Facts
from compete.config.plugins import load_plugins

PHOTOS = Facts(rows=2_000, kind="label", metric="accuracy", side=224, counts={"a": 1_000, "b": 1_000})


def random(facts: Facts) -> list[str]:
    active = [section for section in augmentation(facts) if not section.suggested]
    return [t["name"] for section in active for key in section.keys if key.name == "random" for t in key.value]


@pytest.mark.parametrize(
    ("words", "domain", "flips"),
    [
        ("dogs cats", "photographs", {"HorizontalFlip"}),
        ("plant pathology 2020", "photographs", {"HorizontalFlip"}),
        ("ranzcr clip catheter", "medical scans", set()),
        ("chest xray pneumonia", "medical scans", set()),
        ("histopathologic cancer detection", "tissue, skin and cells", {"D4"}),
        ("siim isic melanoma", "tissue, skin and cells", {"D4"}),
        ("chest tissue", "medical scans", set()),  # the cautious one, where two match
        ("aerial cactus identification", "plants and places from above", {"D4"}),
        ("plant seedlings classification", "plants and places from above", {"D4"}),
        ("mnist digit", "documents", set()),
    ],
)
def test_words_tell_what_images_are(words, domain, flips):
    facts = replace(PHOTOS, words=frozenset(words.split()))
    assert (find_domain(facts).name, {*random(facts)} & {*FLIPS}) == (domain, flips)


@pytest.mark.parametrize("words", ["dogs", "aerial cactus", "histology"])
def test_sides_forbid_every_flip_and_its_view(words):
    facts = replace(PHOTOS, words=frozenset(words.split()), sided="'left' and 'right' differ in left and right")
    assert not {*random(facts)} & {*FLIPS}
    assert list(views(list(augmentation(facts)))) == []
    suggested = [section for section in augmentation(facts) if section.suggested]
    assert len(suggested) == 1 and "no flip, since" in suggested[0].why


def test_views_are_those_that_training_has_seen():
    def tta(facts: Facts) -> list[dict]:
        return [{key.name: key.value for key in s.keys} for s in views(list(augmentation(facts)))]

    assert tta(PHOTOS) == [{"name": "flips"}]
    assert tta(replace(PHOTOS, words=frozenset({"aerial"}))) == [{"name": "flips", "vertical": True}]
    assert tta(replace(PHOTOS, words=frozenset({"mnist"}))) == []


def test_quarter_turns_need_squares_and_numbers_are_not_moved():
    oblong = replace(PHOTOS, words=frozenset({"aerial"}), square=False)
    assert random(oblong) == ["HorizontalFlip", "VerticalFlip", "RandomBrightnessContrast"]
    assert "Affine" not in random(replace(PHOTOS, kind="regression", counts={}))
    assert random(replace(PHOTOS, images=False)) == []


@pytest.mark.parametrize("words", ["dogs", "chest", "skin", "aerial", "mnist"])
def test_each_augmentation_is_valid_and_keeps_an_image_s_shape(words):
    [section] = augmentation(replace(PHOTOS, words=frozenset([words])))
    options = {key.name: key.value for key in section.keys}
    transform = load_plugins().registry["transforms"][options.pop("name")].factory(**options)
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    changed = [transform.random(image, seed) for seed in range(8)]
    assert {each.shape for each in changed} == {image.shape} and any((each != image).any() for each in changed)
