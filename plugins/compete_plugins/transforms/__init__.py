"""Transforms of one image: albumentations and torchvision by name, policies, and those for measured data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compete import Transform, hookimpl

from ._albumentations import albumentations
from ._measured import channels, scale, spectrogram
from ._policies import aug_mix, auto_augment, rand_augment, trivial_augment
from ._torchvision import torchvision


def none() -> Transform:
    """Leave images unchanged."""
    return Transform()


@hookimpl
def register_transforms() -> dict[str, Callable[..., Any]]:
    """Offer the transforms of albumentations and torchvision, policies, and those for measured data."""
    return {
        "albumentations": albumentations,
        "aug_mix": aug_mix,
        "auto_augment": auto_augment,
        "channels": channels,
        "none": none,
        "rand_augment": rand_augment,
        "scale": scale,
        "spectrogram": spectrogram,
        "torchvision": torchvision,
        "trivial_augment": trivial_augment,
    }
