"""What timm's and torchvision's networks share: head, notes, normalisation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from compete import ConfigError, did_you_mean

from ._sizes import per_channel
from ._weights import check_weights

WITHOUT_WEIGHTS = {"pretrained": False, "weights": ""}
ALTERNATIVES = (("pretrained", "weights"),)
LOADS_FILES = ("pretrained", "weights", "checkpoint", "cache_dir", "model_dir")  # how such arguments' names begin


def check_network(
    backbone: str,
    known: Sequence[str],
    unknown: Callable[[str], str],
    reserved: Sequence[str],
    *,
    pretrained: bool,
    weights: str,
    arguments: Mapping[str, Any] | None,
) -> Iterator[str]:
    """Yield an unknown backbone, wrong weights, and each argument that is `reserved` or may name a file of weights.

    Such files would be read past our own checks, as pickles by some versions: code of whoever wrote the TOML would run.
    """
    if backbone not in known:
        yield unknown(backbone)
    yield from check_weights(pretrained, weights)
    for name in arguments or {}:
        if name.startswith(LOADS_FILES):
            yield f"arguments.{name}: refused, because it can load files. Use the options pretrained and weights."
        elif name in reserved:
            yield f"arguments.{name}: set by the runner or by an option of its own. Remove it."


def unknown_backbone(
    library: str, name: str, names: Iterable[str], other: str, others: Iterable[str], usual: Callable[[str], float]
) -> str:
    """Explain that a library has no such backbone; there are too many to list. The `other` library may have it."""
    if name.lower() in others and name.lower() not in names:
        return f"unknown {library} backbone '{name}', but {other} has '{name.lower()}': set [model] name = \"{other}\"."
    hint = did_you_mean(name, names, usual)
    stem = re.search("'([a-zA-Z]*)", hint)
    return f"unknown {library} backbone '{name}'.{hint} `compete models{f' {stem[1]}' if stem else ''}` lists more."


def refuse_arguments(backbone: str, error: Exception) -> ConfigError:
    """Return the error for arguments that a backbone refuses."""
    return ConfigError(f"backbone '{backbone}' cannot be built with these arguments: {error}")


def described(
    network: nn.Module,
    head_name: str | Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    channels: int,
    note: str = "",
) -> nn.Module:
    """Return the network with the attributes that the runner reads: `head_name`, `mean`, `std`, `notes`."""
    attributes: Any = network
    attributes.head_name = head_name
    attributes.mean = per_channel(mean, channels)
    attributes.std = per_channel(std, channels)
    attributes.notes = (note,) if note else ()
    return network


def zero_head(network: nn.Module, heads: Iterable[str], outputs: int) -> None:
    """Start from even predictions: a random head disturbs trained features before it has settled.

    timm draws the heads of its MobileNets and EfficientNets from +-1/sqrt(outputs). When one of these was fine-tuned on
    three classes, the mean loss of the first epoch was 9.8, against 0.8 with zeros.
    """
    for head in heads:
        for module in network.get_submodule(head).modules():
            if layer_outputs(module) == outputs:  # not a norm inside the head: two zeros in a row never learn
                for parameter in module.parameters():
                    nn.init.zeros_(parameter)


def layer_outputs(module: nn.Module) -> int:
    """Return the number of outputs of a linear layer or convolution; 0 for any other module."""
    if isinstance(module, nn.Linear):
        return module.out_features
    return module.out_channels if isinstance(module, nn.Conv2d) else 0


def head_note(path: str, found: int, outputs: int) -> str:
    """Return a note that a file's head was left out, or an empty string."""
    if found == outputs:
        return ""
    reason = f"has {found} outputs, not {outputs}" if found else "is not in the file"
    return f"weights = '{path}': the head {reason}, so it starts untrained"
