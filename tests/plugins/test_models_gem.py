"""Generalised-mean pooling."""

from __future__ import annotations

import pytest
import torch

from compete import ConfigError
from compete_plugins.models import register_models
from compete_plugins.models._gem import GeneralisedMean

timm_network = register_models()["timm"]


def test_it_is_the_mean_for_an_exponent_of_one_and_nears_the_maximum_for_large_ones():
    features = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) + 0.1
    torch.testing.assert_close(GeneralisedMean(1.0)(features), features.mean(dim=(2, 3), keepdim=True))
    expected = features.pow(3).mean(dim=(2, 3), keepdim=True).pow(1 / 3)
    torch.testing.assert_close(GeneralisedMean()(features), expected)
    largest = features.amax(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(GeneralisedMean(400.0)(features.double()).float(), largest, rtol=0.02, atol=0)


def test_half_precision_does_not_overflow():
    features = torch.full((1, 1, 2, 2), 1000.0, dtype=torch.float16)
    assert GeneralisedMean()(features).item() == 1000


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_a_network_of_timm_learns_its_exponent(backbone):
    torch.manual_seed(0)
    network = timm_network(5, 3, backbone=backbone, pooling="gem")
    exponents = [parameter for name, parameter in network.named_parameters() if name.endswith("exponent")]
    network.train()(torch.rand(2, 3, 64, 64)).square().sum().backward()
    assert len(exponents) == 1 and exponents[0].item() == 3 and exponents[0].grad.abs() > 0


def test_a_network_without_a_feature_map_is_refused():
    with pytest.raises(ConfigError, match=r'backbone = "test_vit": pooling = "gem" needs a network that averages'):
        timm_network(5, 3, backbone="test_vit", pooling="gem")
