"""Generalised-mean pooling in place of a network's last average pooling."""

from __future__ import annotations

import torch
from torch import nn

from compete import ConfigError


class GeneralisedMean(nn.Module):
    """The mean of p-th powers to the power 1 / p over each channel, with p learnt (Radenovic et al. 2018)."""

    def __init__(self, exponent: float = 3.0, smallest: float = 1e-6) -> None:
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor(exponent))
        self.smallest = smallest

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, C, 1, 1) from (B, C, H, W), in float32, because powers overflow in half precision."""
        with torch.autocast(features.device.type, enabled=False):
            powers = features.float().clamp_min(self.smallest).pow(self.exponent)
            return powers.mean(dim=(2, 3), keepdim=True).pow(1 / self.exponent).to(features.dtype)


def pool_generalised_mean(network: nn.Module, backbone: str) -> None:
    """Replace the pooling of a timm network. Raise `ConfigError` if it does not average a feature map."""
    from timm.layers import SelectAdaptivePool2d

    pools = [module for module in network.modules() if isinstance(module, SelectAdaptivePool2d)]
    pools = [module for module in pools if isinstance(module.pool, nn.AdaptiveAvgPool2d)]
    if not pools:
        raise ConfigError(
            f'backbone = "{backbone}": pooling = "gem" needs a network that averages a feature map (B, C, H, W) at '
            "its end, such as a ResNet, EfficientNet or ConvNeXt."
        )
    for module in pools:
        module.pool = GeneralisedMean()
