"""Test-time augmentation: views of a normalised batch, averaged with the predictions of the untouched one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from compete import ConfigError, hookimpl

Views = Callable[[torch.Tensor], list[torch.Tensor]]
Scale = Annotated[float, Field(ge=0.6, le=2)]


def none() -> Views:
    """Predict from the untouched image only."""
    return lambda images: []  # noqa: ARG005


def flips(*, horizontal: bool = True, vertical: bool = False) -> Views:
    """Flip left to right (`horizontal`), top to bottom (`vertical`), and in both directions where both are true."""
    axes = [(-1,)] * horizontal + [(-2,)] * vertical + [(-2, -1)] * (horizontal and vertical)
    return lambda images: [images.flip(axis) for axis in axes]


def rotations(*, degrees: tuple[Literal[90, 180, 270], ...] = (90, 180, 270)) -> Views:
    """Rotate counter-clockwise by each of `degrees`. Images that are not square can turn by 180 only."""

    def views(images: torch.Tensor) -> list[torch.Tensor]:
        height, width = images.shape[-2:]
        if height != width and set(degrees) != {180}:
            raise ConfigError(
                f"[[tta]] rotations: turning by 90 or 270 degrees needs square images; these are {height} x {width}. "
                "Set degrees = [180]."
            )
        return [images.rot90(turn // 90, (-2, -1)) for turn in degrees]

    return views


def multi_crop(*, scale: Annotated[float, Field(ge=0.05, lt=1)] = 0.875) -> Views:
    """Crop the four corners and the centre, and enlarge them to the full size.

    `scale` is the share of each side that a crop keeps (Krizhevsky et al. 2012, https://papers.nips.cc/paper/4824).
    """

    def views(images: torch.Tensor) -> list[torch.Tensor]:
        height, width = images.shape[-2:]
        crop = max(1, round(height * scale)), max(1, round(width * scale))
        bottom, right = height - crop[0], width - crop[1]
        corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
        return [_resized(_cropped(images, corner, crop), (height, width)) for corner in corners]

    return views


def multi_scale(*, scales: tuple[Scale, ...] = (0.9, 1.1)) -> Views:
    """Zoom out (a scale below 1, with mirrored borders) or in (above 1), at the same image size."""
    return lambda images: [_zoomed(images, scale) for scale in scales]


def _zoomed(images: torch.Tensor, scale: float) -> torch.Tensor:
    height, width = images.shape[-2:]
    if scale > 1:
        crop = round(height / scale), round(width / scale)
        corner = (height - crop[0]) // 2, (width - crop[1]) // 2
        return _resized(_cropped(images, corner, crop), (height, width))
    small = _resized(images, (round(height * scale), round(width * scale)))
    down, across = height - small.shape[-2], width - small.shape[-1]
    borders = (across // 2, across - across // 2, down // 2, down - down // 2)
    return F.pad(small, borders, mode="reflect")


def _cropped(images: torch.Tensor, corner: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    (top, left), (height, width) = corner, size
    return images[..., top : top + height, left : left + width]


def _resized(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


@hookimpl
def register_tta() -> dict[str, Callable[..., Views]]:
    """Offer the views by name."""
    return {
        "flips": flips,
        "multi_crop": multi_crop,
        "multi_scale": multi_scale,
        "none": none,
        "rotations": rotations,
    }
