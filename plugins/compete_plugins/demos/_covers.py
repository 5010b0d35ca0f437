"""Draw what covers a face: masks of several kinds worn in several ways, a scarf, a hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ._canvas import Canvas, Points, Pose, Rgb, ellipse, mix, shade
from ._face import SIDES
from ._looks import Person

_BULGE = 0.80  # a mask stands out a little more than the face
_DISPOSABLE: tuple[Rgb, ...] = ((150, 196, 222), (168, 206, 216), (236, 240, 242), (178, 212, 196), (236, 190, 198))
_FOLDED: tuple[Rgb, ...] = ((244, 244, 242), (246, 246, 246), (40, 42, 46), (44, 44, 48), (176, 178, 182))
_CLOTH: tuple[Rgb, ...] = ((58, 74, 112), (44, 44, 48), (150, 60, 66), (214, 196, 160), (92, 118, 96), (224, 172, 180))


@dataclass(frozen=True)
class Cover:
    """One thing before a face. `top` is the height of its upper edge in head units: the nose's tip is at 0.3,
    the mouth at 0.7, the chin at 1.3."""

    kind: str
    colour: Rgb
    top: float
    bottom: float
    tilt: float = 0.0


def choose_cover(state: str, person: Person, rng: np.random.Generator) -> Cover | None:
    """Choose what a person wears for a state: "wear", "incorrect" or "normal"; None leaves the face bare."""
    tilt = float(rng.normal(0, 0.03))
    low = person.face.length + 0.02
    if state == "normal":
        return Cover("hand", person.skin, 0.5, low) if rng.random() < 0.06 else None
    if state == "incorrect":
        kind, colour = _mask(rng)
        if rng.random() < 0.6:  # below the nose
            return Cover(kind, colour, float(rng.uniform(0.46, 0.56)), low + 0.06, tilt)
        return Cover(kind, colour, float(rng.uniform(0.92, 1.04)), low + 0.22, tilt)
    top = float(rng.uniform(0.02, 0.22))
    if rng.random() < 0.03:
        return Cover("scarf", _pick(_CLOTH, rng), top + 0.06, low)
    kind, colour = _mask(rng)
    if rng.random() < 0.03:
        kind, colour = "disposable", mix(person.skin, (240, 226, 210), 0.25)
    return Cover(kind, colour, top, low, tilt)


def draw_cover(canvas: Canvas, pose: Pose, body: Pose, person: Person, cover: Cover) -> None:
    """Draw a cover over a face that is already there."""
    if cover.kind == "hand":
        _draw_hand(canvas, pose, person)
    elif cover.kind == "scarf":
        _draw_scarf(canvas, pose, body, cover)
    else:
        _draw_mask(canvas, pose, person, cover)


def _mask(rng: np.random.Generator) -> tuple[str, Rgb]:
    kind = str(rng.choice(["disposable", "folded", "cloth", "dots", "stripes"], p=[0.36, 0.38, 0.14, 0.06, 0.06]))
    colours = {"disposable": _DISPOSABLE, "folded": _FOLDED}.get(kind, _CLOTH)
    return kind, _pick(colours, rng)


def _draw_mask(canvas: Canvas, pose: Pose, person: Person, cover: Cover) -> None:
    outline, unit = _mask_outline(pose, person, cover), pose.unit
    _draw_loops(canvas, pose, person, cover)
    canvas.shape(outline + np.array([0, 0.03 * unit]), person.shadow, alpha=0.55, soft=0.05 * unit)
    canvas.shape(outline, cover.colour)
    for side in SIDES:
        flank = pose.place(ellipse(side * 0.85, (cover.top + cover.bottom) / 2, 0.28, 0.6), 0.3)
        canvas.shape(flank, shade(cover.colour, 0.66), alpha=0.6, soft=0.10 * unit, inside=outline)
    middle = cover.top * 0.6 + cover.bottom * 0.4
    light = pose.place(ellipse(0, middle, 0.30, 0.22), _BULGE)
    canvas.shape(
        light, shade(mix(cover.colour, (120, 120, 120), 0.15), 1.45), alpha=0.35, soft=0.10 * unit, inside=outline
    )
    _PATTERNS[cover.kind](canvas, pose, cover, outline)
    canvas.stroke(np.concatenate([outline, outline[:1]]), shade(cover.colour, 0.62), 0.03 * unit, alpha=0.7, taper=0.0)


def _mask_outline(pose: Pose, person: Person, cover: Cover) -> Points:
    face, top, low = person.face, cover.top, cover.bottom
    height = low - top
    peak = 0.10 if cover.kind == "folded" else 0.05
    wide = _half_width(person, cover)
    edge = max(top + 0.12, 0.16)  # the side seams start near the ears even when the middle hangs low
    base = face.chin + face.jowl * 0.6 + 0.10
    right = [(0.0, top - peak), (0.26, top + 0.01), (0.6, (top + edge) / 2 + 0.04), (wide, edge + 0.03)]
    right += [
        (wide * 0.97, top + height * 0.52),
        (base + 0.08, low - 0.13),
        (base * 0.55, low + 0.01),
        (0.0, low + 0.04),
    ]
    tilted = [(x, y + cover.tilt * x) for x, y in right]
    left = [(-x, y - cover.tilt * x) for x, y in right[1:-1][::-1]]
    return pose.curve([*tilted, *left], _BULGE, closed=True)


def _draw_loops(canvas: Canvas, pose: Pose, person: Person, cover: Cover) -> None:
    """Draw the elastic from both corners of each side of the mask to the ear."""
    colour = mix(cover.colour, (240, 240, 240), 0.4)
    wide, ear = _half_width(person, cover), person.face.cheek + 0.06
    corners = (max(cover.top + 0.15, 0.2), cover.top + (cover.bottom - cover.top) * 0.5)
    for side in SIDES:
        for corner, hook in zip(corners, (-0.14, 0.24), strict=True):
            on_cheek = (side * (wide + ear) * 0.49, (corner + hook) / 2)
            strap = [(side * wide * 0.96, corner), on_cheek, (side * ear, hook)]
            canvas.stroke(pose.curve(strap, 0.3), colour, 0.04 * pose.unit, alpha=0.95, taper=0.0)


def _half_width(person: Person, cover: Cover) -> float:
    """Return how far a mask reaches to each side; on the chin there is less to cover."""
    return (person.face.jaw + person.face.jowl) * 0.94 if cover.top > 0.8 else person.face.cheek * 0.90


def _pleats(canvas: Canvas, pose: Pose, cover: Cover, outline: Points) -> None:
    height = cover.bottom - cover.top
    for share in (0.30, 0.48, 0.66):
        y = cover.top + height * share
        reach = 0.84 - 0.30 * max(0.0, share - 0.45)
        pleat = pose.curve([(-reach, y - 0.01), (-0.4, y + 0.02), (0.4, y + 0.02), (reach, y - 0.01)], _BULGE)
        canvas.shape(_band(pleat, 0.03 * pose.unit), shade(cover.colour, 0.72), alpha=0.7, inside=outline)
    wire = pose.curve([(-0.25, cover.top + 0.09), (0, cover.top + 0.04), (0.25, cover.top + 0.09)], _BULGE)
    canvas.stroke(wire, shade(cover.colour, 0.82), 0.06 * pose.unit, alpha=0.8)


def _folds(canvas: Canvas, pose: Pose, cover: Cover, outline: Points) -> None:
    height = cover.bottom - cover.top
    for share, bend in ((0.26, -0.10), (0.70, 0.06)):
        y = cover.top + height * share
        seam = pose.curve(
            [
                (-0.8, y + bend * -0.6),
                (-0.4, y + bend * 0.3),
                (0, y + bend),
                (0.4, y + bend * 0.3),
                (0.8, y + bend * -0.6),
            ],
            _BULGE,
        )
        tone = (
            shade(cover.colour, 0.78)
            if sum(cover.colour) > 300
            else shade(mix(cover.colour, (255, 255, 255), 0.25), 1.0)
        )
        canvas.shape(_band(seam, 0.035 * pose.unit), tone, alpha=0.85, inside=outline)


def _seam(canvas: Canvas, pose: Pose, cover: Cover, outline: Points) -> None:
    line = pose.curve([(0, cover.top - 0.04), (0.02, (cover.top + cover.bottom) / 2), (0, cover.bottom)], _BULGE * 1.1)
    canvas.shape(_band(line, 0.03 * pose.unit), shade(cover.colour, 0.7), alpha=0.8, inside=outline)


def _dots(canvas: Canvas, pose: Pose, cover: Cover, outline: Points) -> None:
    rows, columns = np.mgrid[cover.top + 0.02 : cover.bottom + 0.1 : 0.19, -0.9:0.95:0.24]
    columns[1::2] += 0.12
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
    dots = (centres[:, None] + ellipse(0, 0, 0.05, 0.05)).reshape(-1, 2)
    placed = pose.place(dots, _BULGE).reshape(len(centres), -1, 2)
    canvas.shape(placed, _contrast(cover.colour), alpha=0.85, inside=outline)


def _stripes(canvas: Canvas, pose: Pose, cover: Cover, outline: Points) -> None:
    heights = np.arange(cover.top, cover.bottom + 0.1, 0.17)
    stripes = [pose.curve([(-0.95, y - 0.03), (0, y + 0.04), (0.95, y - 0.03)], _BULGE) for y in heights]
    bands = np.stack([_band(stripe, 0.07 * pose.unit) for stripe in stripes])
    canvas.shape(bands, _contrast(cover.colour), alpha=0.75, inside=outline)


def _draw_scarf(canvas: Canvas, pose: Pose, body: Pose, cover: Cover) -> None:
    upper = [(-1.06, 0.22), (-0.6, cover.top + 0.05), (0, cover.top), (0.6, cover.top + 0.05), (1.06, 0.22)]
    lower = [(1.25, 1.3), (0.7, 2.1), (0, 2.3), (-0.7, 2.1), (-1.25, 1.3)]
    outline = np.concatenate([pose.curve(upper, 0.6), body.curve(lower)])
    canvas.shape(outline, cover.colour)
    for share in (0.25, 0.5, 0.75):
        fold = (1 - share) * pose.curve(upper, 0.6) + share * body.curve(lower[::-1])
        canvas.stroke(fold, shade(cover.colour, 0.7), 0.10 * pose.unit, alpha=0.7, soft=0.015 * pose.unit)
    end = body.place([(0.3, 1.9), (0.85, 1.9), (1.0, 3.3), (0.45, 3.35)])
    canvas.shape(end, shade(cover.colour, 0.88))


def _draw_hand(canvas: Canvas, pose: Pose, person: Person) -> None:
    """Draw fingers held before the mouth, seen from their backs."""
    skin = shade(person.skin, 0.97)
    palm = pose.curve([(0.15, 1.0), (0.75, 0.85), (1.0, 1.4), (1.1, 2.6), (0.35, 2.6), (0.2, 1.5)], 0.8, closed=True)
    canvas.shape(palm, skin)
    for number in range(4):
        y = 0.60 + 0.17 * number
        finger = pose.curve([(0.75, y + 0.16), (0.2, y + 0.03), (-0.38 + 0.06 * number, y)], 0.9)
        canvas.stroke(finger, shade(skin, 0.72), 0.25 * pose.unit, taper=0.25)
        canvas.stroke(finger, skin, 0.20 * pose.unit, taper=0.25)


def _band(line: Points, width: float) -> Points:
    """Return a band of even width along a line."""
    half = np.array([0.0, width / 2])
    return np.concatenate([line - half, (line + half)[::-1]])


def _contrast(colour: Rgb) -> Rgb:
    return (240, 236, 226) if sum(colour) < 420 else (126, 88, 84)


def _pick(colours: tuple[Rgb, ...], rng: np.random.Generator) -> Rgb:
    return colours[int(rng.integers(len(colours)))]


_PATTERNS: dict[str, Callable[[Canvas, Pose, Cover, Points], None]] = {
    "disposable": _pleats, "folded": _folds, "cloth": _seam, "dots": _dots, "stripes": _stripes,
}  # fmt: skip
