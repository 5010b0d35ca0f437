"""A network as a tree of modules: what each gives, and how many of the parameters it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModuleRow:
    """A module: its dotted name (empty for the network), depth, class, output shape, and parameters below it.

    `shape` is that of its first call, without the batch; empty if the module is never called itself or gives no
    tensor. `trained` counts the parameters with `requires_grad`.
    """

    name: str
    depth: int
    kind: str
    shape: tuple[int, ...]
    parameters: int
    trained: int


@torch.inference_mode()
def module_rows(network: nn.Module, inputs: Sequence[torch.Tensor]) -> list[ModuleRow]:
    """Return every module in the order of its definition, from one forward of `inputs` in eval mode."""
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(name: str) -> Any:  # noqa: ANN401 - a hook
        def keep(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor):
                shapes.setdefault(name, tuple(output.shape[1:]))

        return keep

    hooks = [module.register_forward_hook(watch(name)) for name, module in network.named_modules()]
    training = [module for module in network.modules() if module.training]
    try:
        network.eval()
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for module in training:
            module.training = True
    return [
        ModuleRow(
            name=name,
            depth=name.count(".") + 1 if name else 0,
            kind=type(module).__name__,
            shape=shapes.get(name, ()),
            parameters=sum(p.numel() for p in module.parameters()),
            trained=sum(p.numel() for p in module.parameters() if p.requires_grad),
        )
        for name, module in network.named_modules()
    ]
