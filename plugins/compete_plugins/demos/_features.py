"""Draw the parts of a face that move: eyes, brows, nose, mouth, and the glasses before them."""

from __future__ import annotations

import numpy as np

from ._canvas import Canvas, Points, Pose, ellipse, mix, shade
from ._face import BULGE, SIDES
from ._looks import Person

_INK = (42, 28, 26)


def draw_eyes(canvas: Canvas, pose: Pose, person: Person, gaze: float, openness: float) -> None:
    """Draw both eyes; `gaze` looks aside (-1 to 1), `openness` is 1 for wide open."""
    for side in SIDES:
        _draw_eye(canvas, pose, person, side, gaze, openness)


def draw_brows(canvas: Canvas, pose: Pose, person: Person, lift: float) -> None:
    """Draw both eyebrows, a shade darker than the hair."""
    look, droop = person.features, person.signs.droop
    colour = mix(shade(person.hair.tone, 0.85), person.skin, 0.12)
    for side in SIDES:
        y = -0.34 - lift
        curve = [
            (side * (look.eye_gap - 0.24), y - 0.005),
            (side * (look.eye_gap + 0.02), y - look.brow_arch),
            (side * (look.eye_gap + 0.17), y - look.brow_arch * 0.8 + 0.02 * droop),
            (side * (look.eye_gap + 0.29), y + 0.055 + 0.05 * droop),
        ]
        canvas.stroke(pose.curve(curve, BULGE), colour, look.brow * pose.unit * 1.15, alpha=0.88, taper=0.75)


def draw_nose(canvas: Canvas, pose: Pose, person: Person) -> None:
    """Draw the nose: a shaded side, a light tip, nostrils."""
    width, unit = person.features.nose, pose.unit
    bridge = [(0.10, -0.16), (0.09, 0.10), (width * 0.72, 0.30), (0.06, 0.38), (0.02, 0.10)]
    canvas.shape(pose.curve(bridge, BULGE, closed=True), person.shadow, alpha=0.34, soft=0.025 * unit)
    tip = pose.place(ellipse(0, 0.27, width * 0.5, 0.10), BULGE * 1.15)
    canvas.shape(tip, shade(person.skin, 1.08), alpha=0.6, soft=0.04 * unit)
    under = [(-width, 0.30), (-width * 0.55, 0.405), (0, 0.42), (width * 0.55, 0.405), (width, 0.30)]
    ink = mix(person.shadow, (120, 62, 52), 0.5)
    canvas.stroke(pose.curve(under, BULGE * 1.1), ink, 0.045 * unit, alpha=0.75)
    for side in SIDES:
        nostril = pose.place(ellipse(side * width * 0.47, 0.383, 0.052, 0.026), BULGE * 1.1)
        canvas.shape(nostril, (96, 48, 42), alpha=0.8)


def draw_mouth(canvas: Canvas, pose: Pose, person: Person, smile: float, opened: float) -> None:
    """Draw the mouth; `smile` lifts its corners (negative lowers them), `opened` shows teeth."""
    half, lip = person.features.mouth, person.features.lip
    y, corner = 0.72, 0.72 - 0.09 * smile
    left, right = (-half, corner), (half, corner)
    bow = (0.0, y - lip * 0.62)
    above = [left, (-half * 0.45, y - lip * 0.72), bow, (half * 0.45, y - lip * 0.72), right]
    seam = [left, (-half * 0.5, y + 0.01), (0.0, y + 0.025), (half * 0.5, y + 0.01), right]
    drop = y + 0.03 + opened * 0.13
    below = [left, (-half * 0.5, drop + lip * 0.72), (0.0, drop + lip * 0.98), (half * 0.5, drop + lip * 0.72), right]
    inner = [left, (-half * 0.5, drop), (0.0, drop + 0.03), (half * 0.5, drop), right]
    colour = person.features.lip_colour
    canvas.shape(_between(pose, above, below), shade(colour, 1.04))
    canvas.shape(_between(pose, above, seam), shade(colour, 0.9), alpha=0.9)
    if opened > 0.2:
        canvas.shape(_between(pose, seam, inner), (250, 246, 240))
    canvas.stroke(pose.curve(seam, BULGE), shade(colour, 0.55), 0.035 * pose.unit, alpha=0.85)
    shine = pose.place(ellipse(0.0, drop + lip * 0.5, half * 0.28, lip * 0.16), BULGE)
    canvas.shape(shine, (255, 240, 236), alpha=0.35, soft=0.015 * pose.unit)
    if person.moustache:
        hair = [(-half, 0.64), (-half * 0.5, 0.535), (0, 0.555), (half * 0.5, 0.535), (half, 0.64)]
        canvas.stroke(pose.curve(hair, BULGE), person.hair.tone, 0.12 * pose.unit, alpha=0.85)


def draw_glasses(canvas: Canvas, pose: Pose, person: Person) -> None:
    """Draw the person's glasses with a faint reflection."""
    if not person.glasses:
        return
    gap, unit = person.features.eye_gap + 0.02, pose.unit
    for side in SIDES:
        rim = pose.place(_rim(person.glasses, side * gap), BULGE * 1.15)
        canvas.shape(rim, (226, 236, 244), alpha=0.13)
        around = np.concatenate([rim, rim[:1]])
        canvas.stroke(around, person.glasses_colour, 0.055 * unit, alpha=0.95, taper=0.0)
        temple = pose.place([(side * (gap + 0.29), -0.08), (side * 1.0, -0.06)], 0.35)
        canvas.stroke(temple, person.glasses_colour, 0.05 * unit, alpha=0.9, taper=0.0)
    bridge = pose.curve([(-gap + 0.29, -0.06), (0.0, -0.11), (gap - 0.29, -0.06)], BULGE * 1.2)
    canvas.stroke(bridge, person.glasses_colour, 0.055 * unit, alpha=0.95, taper=0.0)


def _draw_eye(canvas: Canvas, pose: Pose, person: Person, side: int, gaze: float, openness: float) -> None:
    look, signs, unit = person.features, person.signs, pose.unit
    size, x, y = look.eye_size, side * look.eye_gap, -0.04
    height = size * 0.52 * openness * (1 - 0.28 * signs.droop)
    inner, outer = x - side * size, x + side * size
    tilt = look.eye_tilt * size
    lid = [
        (inner, y + 0.035),
        (x - side * size * 0.4, y - height * 0.85),
        (x + side * size * 0.25, y - height),
        (outer, y - tilt),
    ]
    lower = [
        (inner, y + 0.035),
        (x - side * size * 0.3, y + height * 0.62),
        (x + side * size * 0.4, y + height * 0.66),
        (outer, y - tilt),
    ]
    white = _between(pose, lid, lower)
    canvas.shape(white, mix((250, 248, 244), (236, 222, 202), signs.dull))
    centre = x + gaze * size * 0.28
    radius = size * 0.50
    iris_y = y - height * 0.12
    canvas.shape(pose.place(ellipse(centre, iris_y, radius, radius), BULGE), look.iris, inside=white)
    canvas.shape(pose.place(ellipse(centre, iris_y, radius * 0.5, radius * 0.5), BULGE), (14, 10, 10), inside=white)
    glint = pose.place(ellipse(centre - 0.035, iris_y - 0.045, 0.032, 0.032), BULGE)
    canvas.shape(glint, (255, 255, 255), alpha=0.95)
    lash = [*lid[:-1], (outer + side * 0.05 * look.lash, y - tilt - 0.05 * look.lash)]
    canvas.stroke(pose.curve(lash, BULGE), _INK, (0.045 + 0.045 * look.lash) * unit, alpha=0.92, taper=0.8)
    canvas.stroke(pose.curve(lower, BULGE), _INK, 0.025 * unit, alpha=0.35)
    if look.double_lid:
        crease = [(px, py - 0.065 + 0.02 * signs.droop) for px, py in lid]
        canvas.stroke(pose.curve(crease, BULGE), person.shadow, 0.032 * unit, alpha=0.8)
    if signs.droop > 0.3:
        hood = [(x, y - height - 0.07), (outer, y - tilt - 0.07), (outer + side * 0.06, y + 0.03)]
        canvas.stroke(pose.curve(hood, BULGE), person.shadow, 0.06 * unit, alpha=0.8 * signs.droop)


def _between(pose: Pose, upper: list[tuple[float, float]], lower: list[tuple[float, float]]) -> Points:
    """Return the outline that two curves with common ends enclose."""
    return np.concatenate([pose.curve(upper, BULGE), pose.curve(lower, BULGE)[::-1]])


def _rim(kind: str, x: float) -> Points:
    if kind == "round":
        return ellipse(x, -0.02, 0.29, 0.26)
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    # A superellipse: a rectangle with round corners.
    cos, sin = np.cos(angle), np.sin(angle)
    corner = 0.45
    return np.stack(
        [x + 0.30 * np.sign(cos) * np.abs(cos) ** corner, -0.01 + 0.20 * np.sign(sin) * np.abs(sin) ** corner], axis=1
    )
