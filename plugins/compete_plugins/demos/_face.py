"""Draw a bare head: neck, ears, skin, and the signs of age on it."""

from __future__ import annotations

import numpy as np

from ._canvas import Canvas, Points, Pose, Rgb, ellipse, mirrored, mix, shade, smooth
from ._looks import Face, Person

BULGE = 0.62  # how far the features stand out from the head's outline, in head units
SIDES = (-1, 1)


def face_outline(face: Face, pose: Pose) -> Points:
    """Return the outline of the face in pixels."""
    right = (
        (0.0, -1.28),
        (face.forehead * 0.66, -1.17),
        (face.forehead, -0.72),
        (face.cheek, -0.05),
        ((face.cheek + face.jaw) / 2 + 0.05, 0.42),
        (face.jaw + face.jowl, 0.76),
        (face.chin + face.jowl * 0.6, face.length - 0.14),
        (0.0, face.length),
    )
    return smooth(pose.place(mirrored(right)), closed=True)


def draw_neck(canvas: Canvas, body: Pose, person: Person) -> None:
    """Draw the neck with the shadow that the chin throws on it."""
    width, base = person.neck, 1.75
    outline = body.place([(-width, 0.6), (width, 0.6), (width + 0.04, base), (0, 2.0), (-width - 0.04, base)])
    canvas.shape(outline, shade(person.skin, 0.93))
    shadow = body.place(ellipse(0, 1.12, width * 1.15, 0.42))
    canvas.shape(shadow, person.shadow, alpha=0.75, soft=0.09 * body.unit, inside=outline)


def draw_ears(canvas: Canvas, pose: Pose, person: Person) -> None:
    """Draw both ears, and the earrings of those who wear some."""
    for side in SIDES:
        x = side * (person.face.cheek + 0.05)
        canvas.shape(pose.place(ellipse(x, 0.06, 0.13, 0.26)), shade(person.skin, 0.93))
        canvas.shape(pose.place(ellipse(x, 0.07, 0.06, 0.16)), person.shadow, alpha=0.5)
        if person.earring:
            canvas.shape(pose.place(ellipse(x, 0.36, 0.06, 0.06)), (236, 214, 150))


def draw_skin(canvas: Canvas, pose: Pose, person: Person) -> None:
    """Draw the face's surface: outline, soft shadows, cheeks, and how age has marked the skin."""
    outline = face_outline(person.face, pose)
    unit = pose.unit
    canvas.shape(outline, person.skin)
    for side in SIDES:
        edge = pose.place(ellipse(side * 1.02, 0.35, 0.24, 0.95))
        canvas.shape(edge, person.shadow, alpha=0.42, soft=0.12 * unit, inside=outline)
        cheek = pose.place(ellipse(side * 0.56, 0.36, 0.24, 0.17), BULGE)
        canvas.shape(cheek, (232, 112, 104), alpha=person.blush * 0.75, soft=0.09 * unit, inside=outline)
        socket = pose.place(ellipse(side * 0.42, -0.10, 0.27, 0.17), BULGE)
        canvas.shape(socket, person.shadow, alpha=0.16 + 0.34 * person.signs.dull, soft=0.07 * unit)
    canvas.shape(
        pose.place(ellipse(0, person.face.length, 0.4, 0.12)), person.shadow,
        alpha=0.45, soft=0.07 * unit, inside=outline,
    )  # fmt: skip
    glow = pose.place(ellipse(0, -0.62, 0.45, 0.22), BULGE)
    canvas.shape(glow, (255, 248, 236), alpha=0.30 - 0.2 * person.signs.dull, soft=0.12 * unit, inside=outline)
    _draw_blemishes(canvas, pose, person)
    if person.stubble:
        _draw_stubble(canvas, pose, person, outline)


def draw_lines(canvas: Canvas, pose: Pose, person: Person) -> None:
    """Draw the lines of age: forehead, corners of the eyes, under them, from nose to mouth."""
    signs = person.signs
    ink = mix(person.shadow, (112, 66, 52), 0.45)
    _forehead_lines(canvas, pose, signs.forehead, ink)
    for side in SIDES:
        _eye_lines(canvas, pose, side, person, ink)
        fold = [(side * 0.25, 0.34), (side * 0.37, 0.50), (side * 0.45, 0.70)]
        _line(canvas, pose, fold, ink, 0.055, 0.10 + 0.75 * signs.folds)
        corner = [(side * 0.40, 0.80), (side * 0.45, 0.92), (side * 0.45, 1.02)]
        _line(canvas, pose, corner, ink, 0.045, 0.7 * signs.droop)
        jowl = [(side * 0.56, 0.93), (side * 0.64, 0.84), (side * 0.72, 0.66)]
        _line(canvas, pose, jowl, ink, 0.05, 0.4 * signs.droop)


def _forehead_lines(canvas: Canvas, pose: Pose, depth: float, ink: Rgb) -> None:
    for number, y in enumerate((-0.60, -0.72, -0.84)):
        visible = depth * 1.5 - 0.28 * number
        reach = 0.46 - 0.05 * number
        wave = [(-reach, y + 0.03), (-reach / 2, y - 0.015), (0, y + 0.015), (reach / 2, y - 0.015), (reach, y + 0.03)]
        _line(canvas, pose, wave, ink, 0.045, visible * 0.68)
    for side in SIDES:
        frown = [(side * 0.07, -0.42), (side * 0.085, -0.33), (side * 0.06, -0.24)]
        _line(canvas, pose, frown, ink, 0.035, (depth - 0.25) * 0.8)


def _eye_lines(canvas: Canvas, pose: Pose, side: int, person: Person, ink: Rgb) -> None:
    signs, gap = person.signs, person.features.eye_gap
    outer = gap + person.features.eye_size + 0.03
    for number, rise in enumerate((-0.07, 0.0, 0.07)):
        strength = signs.crow * 1.35 - 0.18 * number
        foot = [
            (side * outer, -0.05 + rise * 0.5),
            (side * (outer + 0.09), -0.05 + rise),
            (side * (outer + 0.17), -0.04 + 2 * rise),
        ]
        _line(canvas, pose, foot, ink, 0.038, strength * 0.7)
    bag = [(side * (gap - 0.17), 0.08), (side * gap, 0.155 + 0.03 * signs.bags), (side * (gap + 0.17), 0.10)]
    _line(canvas, pose, bag, ink, 0.05, 0.08 + 0.62 * signs.bags)
    pouch = pose.place(ellipse(side * gap, 0.10, 0.17, 0.06), BULGE)
    canvas.shape(pouch, person.shadow, alpha=0.55 * signs.bags, soft=0.03 * pose.unit)


def _line(
    canvas: Canvas, pose: Pose, points: list[tuple[float, float]], ink: Rgb, width: float, strength: float
) -> None:
    alpha = float(np.clip(strength, 0, 0.85))
    if alpha > 0.03:
        canvas.stroke(pose.curve(points, BULGE), ink, width * pose.unit, alpha=alpha)


def _draw_blemishes(canvas: Canvas, pose: Pose, person: Person) -> None:
    """Draw age spots and a mole, always at the same places of the same person."""
    rng = np.random.default_rng([person.key, 11])
    for _ in range(person.signs.spots):
        x, y = rng.uniform(0.25, 0.8) * rng.choice(SIDES), rng.uniform(-0.8, 0.6)
        size = rng.uniform(0.03, 0.065)
        spot = pose.place(ellipse(x, y, size, size * 0.8), BULGE)
        canvas.shape(spot, (150, 104, 74), alpha=0.42, soft=0.012 * pose.unit)
    if person.mole:
        x, y = rng.uniform(0.3, 0.7) * rng.choice(SIDES), rng.uniform(0.2, 0.95)
        canvas.shape(pose.place(ellipse(x, y, 0.032, 0.032), BULGE), (84, 52, 42), alpha=0.9)


def _draw_stubble(canvas: Canvas, pose: Pose, person: Person, outline: Points) -> None:
    jaw = [(-0.95, 0.35), (-0.5, 0.52), (0, 0.50), (0.5, 0.52), (0.95, 0.35), (0.8, 1.5), (-0.8, 1.5)]
    colour = mix(person.hair.tone, (96, 104, 110), 0.35)
    beard = pose.place(jaw, 0.3)
    canvas.shape(beard, colour, alpha=person.stubble * 0.8, soft=0.07 * pose.unit, inside=outline)
