"""Augmentation policies of torchvision: AutoAugment, RandAugment, TrivialAugment and AugMix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch.overrides import TorchFunctionMode

from compete import DataError, Transform

Image = np.ndarray[Any, Any]  # (H, W, C)

DRAWS = {torch.rand, torch.randint, torch._sample_dirichlet}  # every function that torchvision's policies draw with


def auto_augment(*, policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet") -> Transform:
    """Augment by a policy learned on another data set (AutoAugment, Cubuk et al. 2019, https://arxiv.org/abs/1805.09501).

    `policy` names that data set: `imagenet` for natural images, `cifar10` for small ones, `svhn` for digits.
    """
    return Transform(random=Policy("AutoAugment", {"policy": policy}))


def rand_augment(
    *, num_ops: Annotated[int, Field(ge=1, le=100)] = 2, magnitude: Annotated[int, Field(ge=0, le=30)] = 9
) -> Transform:
    """Apply `num_ops` operations drawn uniformly, all of strength `magnitude` (0 to 30).

    RandAugment, Cubuk et al. 2020, https://arxiv.org/abs/1909.13719.
    """
    return Transform(random=Policy("RandAugment", {"num_ops": num_ops, "magnitude": magnitude}))


def trivial_augment() -> Transform:
    """Apply one random operation of random strength (Müller and Hutter 2021, https://arxiv.org/abs/2103.10158)."""
    return Transform(random=Policy("TrivialAugmentWide", {}))


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
    options = {
        "severity": severity,
        "mixture_width": mixture_width,
        "chain_depth": -1 if chain_depth is None else chain_depth,
        "alpha": alpha,
    }
    return Transform(random=Policy("AugMix", options))


@dataclass(frozen=True)
class Policy:
    """A policy of `torchvision.transforms.v2`, seeded for each image."""

    name: str
    options: Mapping[str, Any]

    def __call__(self, image: Image, seed: int) -> Image:
        """Augment one (H, W, 1 or 3) image."""
        if image.shape[2] not in (1, 3):
            raise DataError(f"transform {self.name} needs images with 1 or 3 channels, not {image.shape[2]}")
        # A copy, because the array may be a read-only page of the cache. (H, W, C) -> (C, H, W)
        tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
        with SeededDraws(seed):
            result = self._build()(tensor)
        array: Image = result.permute(1, 2, 0).contiguous().numpy()
        return array

    def _build(self) -> Callable[[torch.Tensor], torch.Tensor]:
        from torchvision.transforms import v2

        options = dict(self.options)
        if "policy" in options:
            options["policy"] = v2.AutoAugmentPolicy(options["policy"])
        built: Callable[[torch.Tensor], torch.Tensor] = getattr(v2, self.name)(**options)
        return built


class SeededDraws(TorchFunctionMode):
    """Let torch's random functions draw from this block's own generator, in this thread alone.

    torchvision's policies take no generator. Seeding the global one instead would disturb what other threads
    draw, such as the training step's dropout.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call `func`, with this block's generator where it draws."""
        options = dict(kwargs or {})
        if func in DRAWS:
            options["generator"] = self.generator
        return func(*args, **options)
