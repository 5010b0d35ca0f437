"""The stages of timm's networks, from the input on, as its layer-wise learning rates have them."""

from __future__ import annotations

from typing import Any


def timm_stages(network: Any) -> list[list[str]]:  # noqa: ANN401 - a network of timm
    """Return the names of the parameters by stage; those of the last one go with the head, and are left out."""
    from timm.models import group_parameters

    if not hasattr(network, "group_matcher"):
        return []
    layers = group_parameters(network, network.group_matcher(coarse=False))
    return [list(layers[number]) for number in sorted(layers)][:-1]
