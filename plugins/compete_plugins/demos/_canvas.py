"""A small drawing board: smooth curves, tapered strokes and soft shapes on an RGB image.

Points are (P, 2) arrays of x, y in pixels of the board. Everything is painted at twice the final size and
averaged down at the end, which is what smooths the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import cos, sin
from typing import Any

import numpy as np

Points = np.ndarray[Any, np.dtype[np.float64]]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Fixed = np.ndarray[Any, np.dtype[np.int32]]
Rgb = tuple[float, float, float]

SUPERSAMPLE = 2
_SUBPIXEL_BITS = 4  # cv2 takes coordinates in sixteenths of a pixel
_ONE = 2**_SUBPIXEL_BITS
_STEP = (np.arange(6) / 6)[:, None]
_CATMULL_ROM = (
    np.concatenate([_STEP**0, _STEP, _STEP**2, _STEP**3], axis=1)
    @ np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])
    / 2
)
_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
_ELLIPSOID = np.array([1.15**-2, 1.6**-2])  # a head's half axes, in head units


class Canvas:
    """An RGB image being painted; `pixels` is (H, W, 3) uint8 at the supersampled size."""

    def __init__(self, width: int, height: int) -> None:
        self.pixels: Pixels = np.zeros((height * SUPERSAMPLE, width * SUPERSAMPLE, 3), np.uint8)

    def shape(
        self,
        points: Points,
        colour: Rgb,
        *,
        alpha: float = 1.0,
        soft: float = 0.0,
        inside: Points | None = None,
    ) -> None:
        """Fill a closed outline (P, 2), or many of them (S, P, 2).

        `soft` blurs the edge by that many pixels; `inside` clips the shape to another outline.
        """
        if alpha >= 1 and soft <= 0 and inside is None:
            _fill(self.pixels, _fixed_point(points), colour)
            return
        fixed = _fixed_point(points)
        window = self._window(fixed, soft)
        if window is None or alpha <= 0:
            return
        rows, columns = window
        origin = np.array([columns.start, rows.start], np.int32) * _ONE
        size = (rows.stop - rows.start, columns.stop - columns.start)
        cover = _cover(fixed - origin, size, soft)
        if inside is not None:
            limit: Pixels = np.zeros(size, np.uint8)
            _fill(limit, _fixed_point(inside) - origin, 255)
            cover = np.minimum(cover, limit)
        self._blend(rows, columns, cover, colour, alpha)

    def stroke(
        self,
        points: Points,
        colour: Rgb,
        width: float,
        *,
        alpha: float = 1.0,
        soft: float = 0.0,
        taper: float = 1.0,
    ) -> None:
        """Draw a line that is `width` pixels thick in its middle; `taper` 0 keeps it so up to its ends."""
        self.shape(ribbon(points, width, taper), colour, alpha=alpha, soft=soft)

    def lines(self, many: Points, colour: Rgb, width: float) -> None:
        """Draw many thin opaque lines (L, P, 2) of one colour at once: far faster than one stroke each."""
        import cv2

        cv2.polylines(
            self.pixels, list(_fixed_point(many)), False, colour, max(1, round(width)), cv2.LINE_AA, _SUBPIXEL_BITS
        )

    def finished(self) -> Pixels:
        """Return the image at its final size, each pixel the mean of those painted for it."""
        import cv2

        height, width = self.pixels.shape[:2]
        size = (width // SUPERSAMPLE, height // SUPERSAMPLE)
        return np.asarray(cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA))

    def _window(self, fixed: Fixed, soft: float) -> tuple[slice, slice] | None:
        """Return the rows and columns that a shape can touch, or None if it lies off the board."""
        import cv2

        left, top, wide, high = cv2.boundingRect(fixed.reshape(-1, 2))
        margin = int(3 * soft) + 3
        height, width = self.pixels.shape[:2]
        rows = slice(max(top // _ONE - margin, 0), min((top + high) // _ONE + margin, height))
        columns = slice(max(left // _ONE - margin, 0), min((left + wide) // _ONE + margin, width))
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None

    def _blend(self, rows: slice, columns: slice, cover: Pixels, colour: Rgb, alpha: float) -> None:
        import cv2

        # Five times faster than the same in numpy, whose innermost loop would be the three colours.
        height, width = cover.shape
        layer: Pixels = np.empty((height, width, 3), np.uint8)
        cv2.rectangle(layer, (0, 0), (width, height), colour, cv2.FILLED)
        share = np.multiply(cover, np.float32(alpha / 255), dtype=np.float32)
        part = self.pixels[rows, columns]
        self.pixels[rows, columns] = cv2.blendLinear(layer, part, share, 1 - share)


@dataclass(frozen=True)
class Pose:
    """Where a head is and how it is held; maps head units (half a face wide, y down) to pixels.

    Angles are radians: `yaw` turns to the image's right, `pitch` nods down, `roll` tilts clockwise.
    """

    x: float
    y: float
    unit: float
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0

    def place(self, points: Sequence[tuple[float, float]] | Points, bulge: float = 0.0) -> Points:
        """Map points to pixels; `bulge` is how far the face stands out at its middle, so that it turns with it."""
        flat = np.asarray(points, float)
        placed = flat @ self._axes[:2] + (self.x, self.y)
        if bulge:
            ahead = np.sqrt(np.clip(1.1 - (flat * flat) @ _ELLIPSOID, 0, 1))
            placed += ahead[:, None] * (bulge * self._axes[2])
        return np.asarray(placed)

    @cached_property
    def _axes(self) -> Points:
        """Where the head's right, down and forward point to in the image, as rows."""
        turned = np.array([[cos(self.yaw), 0], [0, cos(self.pitch)], [sin(self.yaw), sin(self.pitch)]])
        c, s = self.unit * cos(self.roll), self.unit * sin(self.roll)
        return np.asarray(turned @ [[c, s], [-s, c]])

    def curve(self, points: Sequence[tuple[float, float]] | Points, bulge: float = 0.0, closed: bool = False) -> Points:
        """Map points to pixels and join them by a smooth curve."""
        return smooth(self.place(points, bulge), closed)


def smooth(points: Points, closed: bool = False) -> Points:
    """Return a Catmull-Rom curve through the points."""
    before, after = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    knots = np.concatenate([before, points, after])
    around = np.stack([knots[:-3], knots[1:-2], knots[2:-1], knots[3:]], axis=1)
    curve = (_CATMULL_ROM @ around).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


def ribbon(points: Points, width: float, taper: float = 1.0) -> Points:
    """Return the outline of a stroke along the points, thinner towards its ends."""
    step = np.empty_like(points)
    step[1:-1] = points[2:] - points[:-2]
    step[0], step[-1] = points[1] - points[0], points[-1] - points[-2]
    normal = step[:, ::-1] * (-1, 1) / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
    side = normal * (width * _half_widths(len(points), taper))
    return np.concatenate([points + side, (points - side)[::-1]])


def ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    """Return the outline of an ellipse in the units of its arguments."""
    return _CIRCLE * (rx, ry) + (x, y)


def mirrored(right: Sequence[tuple[float, float]]) -> Points:
    """Close a right half that runs from top to bottom with its mirror image."""
    half = np.asarray(right, float)
    inner = half[1:-1][::-1] if half[0, 0] == 0 else half[::-1]
    return np.concatenate([half, inner * (-1, 1)])


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """Return a colour between two: 0 gives the first, 1 the second."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: Rgb, factor: float) -> Rgb:
    """Return a darker (below 1) or lighter (above 1) colour."""
    red, green, blue = (min(max(channel * factor, 0.0), 255.0) for channel in colour)
    return red, green, blue


def blur(pixels: Pixels, sigma: float) -> Pixels:
    """Blur by a Gaussian of `sigma` pixels."""
    import cv2

    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma))


@cache
def _half_widths(points: int, taper: float) -> Points:
    along = np.linspace(0, np.pi, points)
    return (0.5 - 0.5 * taper + 0.5 * taper * np.sin(along).clip(0) ** 0.7)[:, None]


def _cover(fixed: Fixed, size: tuple[int, int], soft: float) -> Pixels:
    """Return how much of each pixel (rows, columns of `size`) a shape covers, 0 to 255, blurred by `soft`."""
    import cv2

    cover: Pixels = np.zeros(size, np.uint8)
    _fill(cover, fixed, 255)
    reach = 2 * round(1.22 * soft) + 1
    if reach > 1:  # two boxes look like a Gaussian; cv2.stackBlur would give other bytes on other numbers of cores
        box = (reach, reach)
        cover = np.asarray(cv2.blur(cv2.blur(cover, box), box))
    return cover


def _fill(pixels: Pixels, fixed: Fixed, colour: Rgb | int) -> None:
    import cv2

    outlines = [fixed] if fixed.ndim == 2 else list(fixed)
    cv2.fillPoly(pixels, outlines, colour, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed_point(points: Points) -> Fixed:
    return np.asarray(np.rint(points * _ONE), np.int32)
