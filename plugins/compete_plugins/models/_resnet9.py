"""ResNet-9: a small, fast residual network for small images."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from compete import component

LOGIT_SCALE = 0.125  # keeps the first softmaxes soft, as in Page's recipe


@component(weights=lambda **_: ())
def resnet9(outputs: int, channels: int, *, width: Annotated[int, Field(ge=1, le=1024)] = 64) -> nn.Module:
    """Build a ResNet-9, which trains fast on images of about 32 to 128 px (Page 2018, "How to train your ResNet").

    `width` is the number of channels of the first layer; the last has eight times as many. Any size from 8 x 8 pixels
    works, because the last feature map is pooled as a whole.
    """
    return ResNet9(outputs, channels, width)


class ResNet9(nn.Module):
    """Eight convolutions in four stages, two of them residual blocks, and a linear head."""

    head_name = "head"

    def __init__(self, outputs: int, channels: int, width: int) -> None:
        super().__init__()
        self.stem = _convolution(channels, width)
        self.stage1 = nn.Sequential(_convolution(width, 2 * width, pool=True), Residual(2 * width))
        self.stage2 = _convolution(2 * width, 4 * width, pool=True)
        self.stage3 = nn.Sequential(_convolution(4 * width, 8 * width, pool=True), Residual(8 * width))
        self.pool = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.head = nn.Linear(8 * width, outputs, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B, K) from images (B, channels, H, W)."""
        features = self.stage3(self.stage2(self.stage1(self.stem(images))))
        logits: torch.Tensor = self.head(self.pool(features)) * LOGIT_SCALE
        return logits


class Residual(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_convolution(width, width), _convolution(width, width))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the features plus their residual, in the same shape."""
        result: torch.Tensor = features + self.body(features)
        return result


def _convolution(inputs: int, outputs: int, pool: bool = False) -> nn.Sequential:
    layers: list[Any] = [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers, nn.MaxPool2d(2)) if pool else nn.Sequential(*layers)
