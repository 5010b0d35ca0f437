"""Where networks of timm and torchvision are cut, and that features and rest make the whole."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import timm
import torch
import torchvision

from compete.config.tuning import Finetune
from compete.features.split import CannotSplitError, Split, find_split

HEAD_ONLY = SimpleNamespace(finetune=Finetune(freeze="backbone"), training=SimpleNamespace(epochs=1))
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def network(source, name, **options):
    if source == "timm":
        return timm.create_model(name, num_classes=5, **options)
    return torchvision.models.get_model(name, num_classes=5, **options)


@pytest.mark.parametrize(
    ("made", "rest"),
    [
        (("timm", "resnet10t"), ("fc",)),
        (("timm", "mobilenetv3_small_050"), ("classifier",)),
        (("timm", "convnext_atto", {"drop_path_rate": 0.3}), ("head",)),  # pooling and norm are in the head
        (("timm", "vit_tiny_patch16_224", {"img_size": 64, "drop_rate": 0.1}), ("head_drop", "head")),
        (("torchvision", "mnasnet0_5"), ("classifier",)),  # a dropout, and the layer
    ],
)
def test_a_network_is_cut_before_the_dropout_of_its_head(made, rest):
    source, name, *options = made
    whole = network(source, name, **(options[0] if options else {}))
    before = {key: value.clone() for key, value in whole.state_dict().items()}
    split = find_split(whole, HEAD_ONLY, 5, [IMAGES])
    assert split == Split("", rest)
    assert all(torch.equal(value, before[key]) for key, value in whole.state_dict().items())
    assert all(parameter.requires_grad for parameter in whole.parameters())
    whole.eval()
    with torch.inference_mode():
        features = split.features(whole, IMAGES)
        torch.testing.assert_close(split.rest_of(whole, features.dtype)(features), whole(IMAGES))
    kept = set(before) - set(split.backbone_state(whole))
    assert kept == {name for name in before if name.startswith(f"{rest[-1]}.")} and kept


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (
            ("timm", "mobilenetv3_small_050", {"drop_rate": 0.2}),
            "its features are others in training mode",
        ),  # F.dropout
        (("torchvision", "squeezenet1_1"), "it works on after its head classifier"),
    ],
)
def test_a_network_that_cannot_be_cut_says_why(made, reason):
    source, name, *options = made
    with pytest.raises(CannotSplitError, match=reason):
        find_split(network(source, name, **(options[0] if options else {})), HEAD_ONLY, 5, [IMAGES])


def test_a_backbone_that_is_partly_trained_is_not_cut():
    config = SimpleNamespace(finetune=Finetune(freeze=["layer1", "conv1"]), training=SimpleNamespace(epochs=1))
    with pytest.raises(CannotSplitError, match="is trained, which lies before the features"):
        find_split(network("timm", "resnet10t"), config, 5, [IMAGES])
