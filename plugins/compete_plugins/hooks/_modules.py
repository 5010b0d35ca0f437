"""Choose modules by selectors, and watch what they give or what flows back to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import nn

from compete import hookimpl, match_modules

Direction = Literal["forward", "backward"]
# Gets the module's number, whether its inputs are of interest, and its output or the gradient of that.
Note = Callable[[int, tuple[Any, ...], torch.Tensor], None]


def choose_modules(network: nn.Module, selectors: Sequence[str] | None, where: str) -> list[str]:
    """Return the names of the modules that selectors match, or of all that hold no other. Raise `ConfigError`."""
    if selectors is None:
        return [name for name, module in network.named_modules() if name and not any(True for _ in module.children())]
    return match_modules(network, selectors, where)


class Watch:
    """Hooks on a network's modules that call `note` in training passes; copies of the network are not watched."""

    def __init__(self, network: nn.Module, names: Sequence[str], on: Direction, note: Note) -> None:
        self._handles = [
            network.get_submodule(name).register_forward_hook(_hook(network.get_submodule(name), number, on, note))
            for number, name in enumerate(names)
        ]

    def remove(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


class Watcher:
    """A module hook of a `[[hooks]]` table: which modules it watches, and that it leaves a network as it was."""

    def __init__(self, patterns: Sequence[str] | None, on: Direction) -> None:
        self.patterns, self.on = patterns, on
        self.names: list[str] = []
        self._watch: Watch | None = None

    def match(self, network: nn.Module) -> list[str]:
        """Return the names of the modules to watch. Raise `ConfigError` for a pattern that matches none."""
        return choose_modules(network, self.patterns, "[[hooks]] modules =")

    @hookimpl
    def on_training_end(self) -> None:
        """Remove the hooks."""
        self.close()

    @hookimpl
    def on_run_error(self) -> None:
        """Remove the hooks."""
        self.close()

    def close(self) -> None:
        """Remove the hooks."""
        if self._watch is not None:
            self._watch.remove()
        self._watch = None


def _hook(own: nn.Module, number: int, on: Direction, note: Note) -> Callable[..., None]:
    def seen(module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        # A copy of the network, such as an average, has the same hooks; validation computes no gradients.
        if module is not own or not torch.is_grad_enabled():
            return
        for tensor in _tensors(output):
            if on == "forward":
                note(number, inputs, tensor.detach())
            elif tensor.requires_grad:
                # Not a full backward hook: that one forbids the in-place ReLU which follows in many networks.
                tensor.register_hook(lambda gradient: note(number, (), gradient.detach()))  # type: ignore[no-untyped-call]

    return seen


def _tensors(output: object) -> Iterator[torch.Tensor]:
    items = output if isinstance(output, tuple | list) else [output]
    yield from (item for item in items if isinstance(item, torch.Tensor) and item.is_floating_point())
