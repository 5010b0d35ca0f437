"""Draw shoulders and what covers them."""

from __future__ import annotations

from ._canvas import Canvas, Points, Pose, Rgb, ellipse, shade
from ._looks import Person

_FLOOR = 6.0  # below every image, in head units


def draw_clothes(canvas: Canvas, body: Pose, person: Person) -> None:
    """Draw the person's shoulders in their clothes."""
    torso = _torso(body, person)
    canvas.shape(torso, person.cloth)
    for side in (-1, 1):
        fold = body.curve([(side * 1.25, 2.5), (side * 1.15, 3.0), (side * 1.2, 4.0)])
        canvas.stroke(fold, shade(person.cloth, 0.75), 0.10 * body.unit, alpha=0.6, soft=0.04 * body.unit)
    _DETAILS[person.clothes](canvas, body, person)


def _torso(body: Pose, person: Person) -> Points:
    wide, neck = person.shoulders, person.neck
    right = [(neck + 0.02, 1.52), (neck + 0.30, 1.72), (wide - 0.22, 1.95), (wide, 2.35), (wide + 0.12, 3.4)]
    left = [(-x, y) for x, y in right]
    return body.curve([(-wide - 0.1, _FLOOR), *left[::-1], *right, (wide + 0.1, _FLOOR)], closed=True)


def _tee(canvas: Canvas, body: Pose, person: Person) -> None:
    wide = person.neck + 0.22
    collar = body.place(ellipse(0, 1.58, wide, 0.46))
    canvas.shape(collar, shade(person.cloth, 0.84))
    _neckline(canvas, body, person, body.place(ellipse(0, 1.52, wide - 0.05, 0.44)))


def _v_neck(canvas: Canvas, body: Pose, person: Person) -> None:
    wide = person.neck + 0.12
    opening = body.place([(-wide, 1.45), (wide, 1.45), (0.35, 2.0), (0.0, 2.42), (-0.35, 2.0)])
    _neckline(canvas, body, person, opening)
    for side in (-1, 1):
        edge = body.place([(side * wide, 1.5), (side * 0.35, 2.0), (0.0, 2.44)])
        canvas.stroke(edge, shade(person.cloth, 0.8), 0.09 * body.unit, taper=0.3)


def _shirt(canvas: Canvas, body: Pose, person: Person) -> None:
    _collar(canvas, body, person, shade(person.cloth, 1.08))
    canvas.stroke(body.place([(0, 2.1), (0, 3.0), (0, 4.5)]), shade(person.cloth, 0.75), 0.05 * body.unit)
    for y in (2.35, 2.85):
        canvas.shape(body.place(ellipse(0.0, y, 0.05, 0.05)), shade(person.cloth, 0.6))


def _suit(canvas: Canvas, body: Pose, person: Person) -> None:
    white: Rgb = (240, 240, 238)
    canvas.shape(body.place([(-0.62, 1.62), (0.62, 1.62), (0.0, 3.3)]), white)
    canvas.shape(body.place([(-0.11, 2.0), (0.11, 2.0), (0.17, 3.2), (-0.17, 3.2)]), person.cloth_accent)
    _collar(canvas, body, person, white)
    for side in (-1, 1):
        lapel = body.place(
            [(side * 0.66, 1.62), (side * 0.95, 1.95), (side * 0.78, 2.25), (side * 0.05, 3.3), (side * 0.5, 2.2)]
        )
        canvas.shape(lapel, shade(person.cloth, 0.8))


def _hoodie(canvas: Canvas, body: Pose, person: Person) -> None:
    hood = body.curve(
        [(-1.0, 1.75), (-0.62, 1.30), (0, 1.2), (0.62, 1.30), (1.0, 1.75), (0.45, 2.2), (0, 2.3), (-0.45, 2.2)],
        closed=True,
    )
    canvas.shape(hood, shade(person.cloth, 0.86))
    _neckline(canvas, body, person, body.place(ellipse(0, 1.50, person.neck + 0.06, 0.42)))
    for side in (-1, 1):
        cord = body.curve([(side * 0.32, 2.0), (side * 0.36, 2.4), (side * 0.31, 2.85)])
        canvas.stroke(cord, person.cloth_accent, 0.06 * body.unit, taper=0.2)


def _turtleneck(canvas: Canvas, body: Pose, person: Person) -> None:
    wide = person.neck + 0.06
    tube = body.place([(-wide, 1.22), (wide, 1.22), (wide + 0.12, 1.85), (-wide - 0.12, 1.85)])
    canvas.shape(tube, shade(person.cloth, 0.93))
    for y in (1.38, 1.55):
        canvas.stroke(body.place([(-wide, y), (0, y + 0.05), (wide, y)]), shade(person.cloth, 0.78), 0.04 * body.unit)


def _neckline(canvas: Canvas, body: Pose, person: Person, opening: Points) -> None:
    canvas.shape(opening, shade(person.skin, 0.94))
    throat = body.place(ellipse(0, 1.16, person.neck * 1.05, 0.36))
    canvas.shape(throat, person.shadow, alpha=0.65, soft=0.09 * body.unit, inside=opening)


def _collar(canvas: Canvas, body: Pose, person: Person, colour: Rgb) -> None:
    opening = body.place([(-person.neck, 1.45), (person.neck, 1.45), (0.0, 2.12)])
    _neckline(canvas, body, person, opening)
    for side in (-1, 1):
        wing = body.place(
            [(side * (person.neck + 0.03), 1.38), (side * (person.neck + 0.2), 1.66), (side * 0.42, 2.22), (0.0, 2.06)]
        )
        canvas.shape(wing, colour)
        canvas.stroke(wing[1:], shade(colour, 0.72), 0.035 * body.unit)


_DETAILS = {
    "tee": _tee, "shirt": _shirt, "hoodie": _hoodie, "v-neck": _v_neck, "suit": _suit, "turtleneck": _turtleneck,
}  # fmt: skip
