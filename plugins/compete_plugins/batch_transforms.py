"""Batch transforms: mix images on the device, and their soft targets with them.

Whether a batch is mixed, and by which share, is drawn on the CPU; partners are drawn on the device, so that no step
waits for a transfer. One share applies to the whole batch, and soft targets still sum to one within each head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch.distributions import Beta

from compete import component, hookimpl

Batch = tuple[torch.Tensor, torch.Tensor]
BatchTransform = Callable[[torch.Tensor, torch.Tensor], Batch]


def mixup(
    *,
    alpha: Annotated[float, Field(ge=1e-3, le=1e3)] = 0.2,
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0,
) -> BatchTransform:
    """Blend each image with another one of the batch (mixup, Zhang et al. 2018).

    The share of the image itself is drawn from Beta(alpha, alpha): a small `alpha` leaves most batches nearly unmixed,
    1 draws all shares equally. `probability` is that of mixing a batch at all.
    """
    shares = Beta(alpha, alpha)

    def mix(images: torch.Tensor, targets: torch.Tensor) -> Batch:
        partners = _partners(images)
        partner_share = 1 - float(shares.sample())
        mixed = torch.lerp(images, images[partners], partner_share)
        return mixed, torch.lerp(targets, targets[partners], partner_share)

    return _sometimes(mix, probability)


def cutmix(
    *,
    alpha: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0,
    probability: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> BatchTransform:
    """Paste a box of another image of the batch into each image (CutMix, Yun et al. 2019).

    The box's share of the area is drawn from Beta(alpha, alpha) and its centre anywhere; what lies outside the image
    is cut off. Targets are mixed by the share of pixels pasted. `probability` is that of mixing a batch at all.
    """
    areas = Beta(alpha, alpha)

    def mix(images: torch.Tensor, targets: torch.Tensor) -> Batch:
        height, width = images.shape[-2:]
        side = math.sqrt(float(areas.sample()))
        return _paste(images, targets, _span(height, side), _span(width, side))

    return _sometimes(mix, probability)


def check_half_cutmix(*, low: float, high: float, **_: object) -> Iterator[str]:
    """Yield what is wrong with the range."""
    if low > high:
        yield f"low = {low:g} must not exceed high = {high:g}."


@component(check=check_half_cutmix)
def half_cutmix(
    *,
    low: Annotated[float, Field(ge=0, le=1)] = 0.46,
    high: Annotated[float, Field(ge=0, le=1)] = 0.54,
    probability: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> BatchTransform:
    """Join the left part of each image with the right part of another one of the batch.

    For images that look alike on both sides, such as faces. The left part's share of the width is drawn uniformly
    from `low` to `high`; targets are mixed by the exact share of pixels. `probability` is that of mixing a batch at
    all.
    """

    def mix(images: torch.Tensor, targets: torch.Tensor) -> Batch:
        height, width = images.shape[-2:]
        left = round(width * (low + (high - low) * float(torch.rand(()))))
        return _paste(images, targets, slice(0, height), slice(left, width))

    return _sometimes(mix, probability)


@hookimpl
def register_batch_transforms() -> dict[str, Callable[..., BatchTransform]]:
    """Offer the bundled batch transforms."""
    return {"mixup": mixup, "cutmix": cutmix, "half_cutmix": half_cutmix}


def _sometimes(mix: BatchTransform, probability: float) -> BatchTransform:
    def maybe(images: torch.Tensor, targets: torch.Tensor) -> Batch:
        # torch.rand is below 1, so probability 1 mixes every batch and 0 none.
        return mix(images, targets) if float(torch.rand(())) < probability else (images, targets)

    return maybe


def _partners(images: torch.Tensor) -> torch.Tensor:
    return torch.randperm(len(images), device=images.device)


def _span(length: int, share: float) -> slice:
    """Return a slice of about `share` of the length around a point drawn anywhere, cut at both ends."""
    centre, half = int(torch.randint(length, ())), share * length / 2
    return slice(max(round(centre - half), 0), min(round(centre + half), length))


def _paste(images: torch.Tensor, targets: torch.Tensor, rows: slice, columns: slice) -> Batch:
    """Replace a box by that of a partner image; targets follow the exact share of pixels."""
    partners = _partners(images)
    mixed = images.clone()
    mixed[..., rows, columns] = images[..., rows, columns][partners]  # (B, C, h, w), the partners' boxes
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    share = pasted / (images.shape[-2] * images.shape[-1])
    return mixed, torch.lerp(targets, targets[partners], share)
