"""What a network says of its images: their size, its constants, and what helps where it cannot take a size."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

STEPS = (32, 16, 14, 64)  # sides that networks of strides, patches and windows can take are multiples of these
Build = Callable[[dict[str, Any]], nn.Module]


def per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Adapt RGB constants to other numbers of channels, as the first convolution is: averaged to one, or repeated."""
    if channels == 1:
        return (sum(values) / len(values),)
    return tuple(values[channel % len(values)] for channel in range(channels))


def cures(build: Build, own: tuple[int, int], arguments: Sequence[str]) -> Callable[[int, int, int], Iterator[str]]:
    """Return a function that yields what helps a network to take images of a size; each was tried, without memory.

    `own` is the size that it was made for; `arguments` are those of networks that can be built for another one.
    """

    def tried(channels: int, height: int, width: int) -> Iterator[str]:
        sizes = [own, *((_multiple(height, step), _multiple(width, step)) for step in STEPS)]
        taken = [size for size in dict.fromkeys(sizes) if takes(build, {}, channels, size)]
        yield from (f"images.size=[{high}, {wide}]" for high, wide in taken[:2])
        for name in arguments:
            value: Any = True if name.startswith("dynamic") else height if height == width else [height, width]
            if takes(build, {name: value}, channels, (height, width)):
                yield f"model.arguments.{name}={str(value).lower()}"

    return tried


def takes(build: Build, changed: dict[str, Any], channels: int, size: tuple[int, int]) -> bool:
    """Return whether a network, built with changed arguments, gives logits for an image of a size."""
    try:
        with _without_memory():
            network = build(changed).eval()
            return len(network(torch.empty(1, channels, *size))) == 1
    except Exception:  # whatever a network raises at a wrong size
        return False


@contextmanager
def _without_memory() -> Iterator[None]:
    """Compute shapes alone, and say nothing: what fails is the answer."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with torch.device("meta"), torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _multiple(side: int, step: int) -> int:
    return max(step, round(side / step) * step)
