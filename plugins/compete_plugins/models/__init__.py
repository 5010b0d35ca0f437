"""Models: every network of timm and torchvision, a small ResNet-9, and networks from a Python file."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from compete import hookimpl

from ._file import network_from_file
from ._resnet9 import resnet9
from ._timm import timm_network
from ._torchvision import torchvision_network


@hookimpl
def register_models() -> dict[str, Callable[..., nn.Module]]:
    """Offer the models by their source."""
    return {
        "file": network_from_file,
        "resnet9": resnet9,
        "timm": timm_network,
        "torchvision": torchvision_network,
    }
