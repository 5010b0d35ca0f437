"""Layer-wise learning rates of the libraries' networks, against timm's own."""

from __future__ import annotations

import pytest
from timm.optim import param_groups_layer_decay

from compete.config.tuning import Finetune
from compete.model.finetune import learning_rate_ratios
from compete.model.stages import stages_of
from compete_plugins.models._timm import timm_network
from compete_plugins.models._torchvision import torchvision_network

DECAY = Finetune(layer_decay=0.75)
FAMILIES = (
    "resnet18",
    "convnext_atto",
    "efficientnet_b0",
    "mobilenetv2_050",
    "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "deit_tiny_distilled_patch16_224",
    "densenet121",
    "regnety_002",
    "vgg11_bn",
    "mixer_s32_224",
    "maxvit_rmlp_pico_rw_256",
    "pvt_v2_b0",
    "levit_128s",
)


def scales(network):
    groups = param_groups_layer_decay(network, layer_decay=0.75)
    by_parameter = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    return {name: by_parameter[id(p)] for name, p in network.named_parameters()}


@pytest.mark.parametrize("backbone", FAMILIES)
def test_rates_are_those_of_timm(backbone):
    network = timm_network(3, 3, backbone=backbone)
    ours, theirs = learning_rate_ratios(network, DECAY, 3), scales(network)
    assert ours == pytest.approx(theirs)
    assert len(set(theirs.values())) > 3


def test_torchvision_s_resnet_has_the_rates_of_timm_s():
    ours = learning_rate_ratios(torchvision_network(3, 3, backbone="resnet18"), DECAY, 3)
    assert ours == pytest.approx(scales(timm_network(3, 3, backbone="resnet18")))


@pytest.mark.parametrize(
    ("backbone", "stages", "first", "last"),
    [
        ("vit_b_16", 13, "class_token", "encoder.ln.bias"),
        ("densenet121", 62, "features.conv0.weight", "features.norm5.bias"),
        ("swin_t", 16, "features.0.0.weight", "norm.bias"),
        ("mobilenet_v2", 19, "features.0.0.weight", "features.18.1.bias"),
        ("vgg11", 10, "features.0.weight", "classifier.3.bias"),
        ("regnet_y_400mf", 17, "stem.0.weight", "trunk_output.block4.block4-5.f.c.1.bias"),
    ],
)
def test_torchvision_s_stages_go_from_the_input_to_the_head(backbone, stages, first, last):
    network = torchvision_network(3, 3, backbone=backbone)
    found = stages_of(network)
    assert len(found) == stages and found[0][0] == first and found[-1][-1] == last
    staged = [name for stage in found for name in stage]
    head = [name for name, _ in network.named_parameters() if name.startswith(network.head_name)]
    assert sorted([*staged, *head]) == sorted(name for name, _ in network.named_parameters())


def test_both_heads_of_a_distilled_network_are_its_head():
    assert timm_network(3, 3, backbone="deit_tiny_distilled_patch16_224").head_name == ["head", "head_dist"]
