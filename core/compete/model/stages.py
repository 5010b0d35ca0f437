"""A network's stages: its parameters from the input on, for gradual unfreezing and layer-wise learning rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from compete.errors import ConfigError
from compete.model.selectors import attribute, head_parameters, within

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def stages_of(network: nn.Module) -> list[list[str]]:
    """Return the names of the parameters outside the head, by stage from the input on.

    The stages are those of the attribute `stage_names`, which the libraries' networks have; else the modules in the
    order of their registration, in blocks. A parameter that goes with the head is in none.
    """
    names = [name for name, _ in network.named_parameters()]
    stated = attribute(network, "stage_names")
    stages = [_stated(names, stage) for stage in stated] if stated else _registered(network)
    head = head_parameters(network)
    kept = ([name for name in stage if name not in head] for stage in stages)
    return [stage for stage in kept if stage]


def _stated(names: Sequence[str], stage: Sequence[str]) -> list[str]:
    for part in stage:
        if not any(within(name, [part]) for name in names):
            raise ConfigError(f'[model]: the network\'s stage_names has "{part}", which names no part with parameters')
    return [name for name in names if within(name, stage)]


def states_its_stages(network: nn.Module) -> bool:
    """Return whether the network says what its stages are."""
    return bool(attribute(network, "stage_names"))


def _registered(network: nn.Module) -> list[list[str]]:
    """Return a stage for each block in the order of registration; parameters outside any block are in the first."""
    total = sum(p.numel() for p in network.parameters())
    blocks: list[list[str]] = []
    for name, module in _blocks(network, "", total):
        inside = [f"{name}.{parameter}" for parameter, _ in module.named_parameters()]
        if _is_norm(module) and blocks:
            blocks[-1] += inside
        elif inside:
            blocks.append(inside)
    placed = {name for block in blocks for name in block}
    direct = [name for name, _ in network.named_parameters() if name not in placed]
    return [direct + blocks[0], *blocks[1:]] if blocks else [direct]


def _blocks(module: nn.Module, prefix: str, total: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield the blocks of a module: its children, those that are containers or most of the network taken apart."""
    for name, child in module.named_children():
        whole = 2 * sum(p.numel() for p in child.parameters()) > total and any(True for _ in child.children())
        if isinstance(child, CONTAINERS) or whole:
            yield from _blocks(child, f"{prefix}{name}.", total)
        else:
            yield f"{prefix}{name}", child


def _is_norm(module: nn.Module) -> bool:
    """Return whether all that a module learns is a scale and a shift: it belongs to what comes before it."""
    return all(parameter.ndim <= 1 for parameter in module.parameters())
