"""Per-image transforms: albumentations by name, and the learned or drawn policies of torchvision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compete import Transform, hookimpl

from ._albumentations import albumentations
from ._policies import aug_mix, auto_augment, rand_augment, trivial_augment


def none() -> Transform:
    """Leave pictures as they are."""
    return Transform()


@hookimpl
def register_transforms() -> dict[str, Callable[..., Any]]:
    """Offer albumentations' transforms and torchvision's policies."""
    return {
        "albumentations": albumentations,
        "aug_mix": aug_mix,
        "auto_augment": auto_augment,
        "none": none,
        "rand_augment": rand_augment,
        "trivial_augment": trivial_augment,
    }
