"""`compete models`: what a pattern finds, and what is known without a download."""

from __future__ import annotations

import pytest

from compete.catalog.models import model_lines
from compete.errors import UserError


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refused(*_args, **_options):
        raise AssertionError("nothing may be downloaded")

    monkeypatch.setattr("socket.create_connection", refused)


def test_a_pattern_finds_both_libraries_with_sizes_that_are_known():
    lines = list(model_lines("resnet18", [], 40))
    assert [line.split() for line in lines if line.endswith('backbone = "resnet18"')] == [
        ["11.7", "M", "224", "px", "a1_in1k", "name", "=", '"timm",', "backbone", "=", '"resnet18"'],
        ["11.7", "M", "224", "px", "IMAGENET1K_V1", "name", "=", '"torchvision",', "backbone", "=", '"resnet18"'],
    ]
    assert all("resnet18" in line for line in lines[1:])


def test_stars_match_and_case_does_not_matter():
    names = [line.rpartition('backbone = "')[2].rstrip('"') for line in model_lines("ConvNeXt*Tiny", [], 40)]
    assert names[1:] == ["convnext_tiny", "convnextv2_tiny", "convnext_tiny"]


def test_a_long_listing_is_cut_and_says_so():
    lines = list(model_lines("resnet18", [], 1))
    assert len(lines) == 3 and "more model" in lines[-1] and "--most" in lines[-1]


def test_no_match_names_the_nearest():
    with pytest.raises(UserError, match="The nearest name: compete models efficientnet_b0"):
        list(model_lines("efficientnet_bo", [], 40))


@pytest.mark.parametrize("pattern", ["ResNet-50", "resnet_50*", "res net50"])
def test_separators_do_not_matter(pattern):
    assert any(line.endswith('backbone = "resnet50"') for line in model_lines(pattern, [], 40))
