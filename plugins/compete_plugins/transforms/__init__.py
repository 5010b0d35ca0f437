"""Transforms of one image: albumentations by name, torchvision's policies, and those for measured data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compete import Transform, hookimpl

from ._albumentations import albumentations
from ._measured import channels, scale, spectrogram
from ._policies import aug_mix, auto_augment, rand_augment, trivial_augment


def none() -> Transform:
    """Leave images unchanged."""
    return Transform()


@hookimpl
def register_transforms() -> dict[str, Callable[..., Any]]:
    """Offer albumentations' transforms, torchvision's policies, and those for measured data."""
    return {
        "albumentations": albumentations,
        "aug_mix": aug_mix,
        "auto_augment": auto_augment,
        "channels": channels,
        "none": none,
        "rand_augment": rand_augment,
        "scale": scale,
        "spectrogram": spectrogram,
        "trivial_augment": trivial_augment,
    }
