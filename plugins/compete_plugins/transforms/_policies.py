"""Augmentation policies of torchvision: AutoAugment, RandAugment, TrivialAugment and AugMix."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compete import Transform

from ._library import Pipeline
from ._torchvision import LIBRARY


def auto_augment(*, policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet") -> Transform:
    """Augment by a policy learned on another data set (AutoAugment, Cubuk et al. 2019, https://arxiv.org/abs/1805.09501).

    `policy` names that data set: `imagenet` for natural images, `cifar10` for small ones, `svhn` for digits.
    """
    return _policy("AutoAugment", policy=policy)


def rand_augment(
    *, num_ops: Annotated[int, Field(ge=1, le=100)] = 2, magnitude: Annotated[int, Field(ge=0, le=30)] = 9
) -> Transform:
    """Apply `num_ops` operations drawn uniformly, all of strength `magnitude` (0 to 30).

    RandAugment, Cubuk et al. 2020, https://arxiv.org/abs/1909.13719.
    """
    return _policy("RandAugment", num_ops=num_ops, magnitude=magnitude)


def trivial_augment() -> Transform:
    """Apply one random operation of random strength (Müller and Hutter 2021, https://arxiv.org/abs/2103.10158)."""
    return _policy("TrivialAugmentWide")


def aug_mix(
    *,
    severity: Annotated[int, Field(ge=1, le=10)] = 3,
    mixture_width: Annotated[int, Field(ge=1, le=100)] = 3,
    chain_depth: Annotated[int, Field(ge=1, le=100)] | None = None,
    alpha: Annotated[float, Field(ge=1e-2, le=1e3)] = 1.0,
) -> Transform:
    """Mix the image with several augmented copies of itself (Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781).

    `severity` is the operations' strength, `mixture_width` the number of copies, `chain_depth` the number of
    operations in each (none: 1 to 3, drawn), and `alpha` the spread of the mixing weights.
    """
    depth = -1 if chain_depth is None else chain_depth
    return _policy("AugMix", severity=severity, mixture_width=mixture_width, chain_depth=depth, alpha=alpha)


def _policy(name: str, **options: object) -> Transform:
    return Transform(random=Pipeline(LIBRARY, ({"name": name, **options},)))
