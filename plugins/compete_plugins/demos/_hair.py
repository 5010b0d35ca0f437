"""Draw hair in two layers: what hangs behind the head, and the cap around the face. Grey is drawn hair by hair."""

from __future__ import annotations

import numpy as np

from ._canvas import Canvas, Points, Pose, Rgb, ellipse, mirrored, mix, shade, smooth
from ._face import SIDES
from ._looks import SHORT_STYLES, Hair, Person

_STRANDS = 96
_LONG_STYLES = {"long": 2.35, "wavy": 2.15, "bob": 1.12}


def draw_back_hair(canvas: Canvas, pose: Pose, body: Pose, person: Person) -> None:
    """Draw the hair behind neck and shoulders, and that on the far side of a turned head."""
    hair = person.hair
    canvas.shape(pose.curve(_outer_edge(person)), shade(hair.tone, 0.75))
    if hair.style == "tied":
        _draw_bun(canvas, pose, hair)
    if hair.style not in _LONG_STYLES:
        return
    end, wide = _LONG_STYLES[hair.style], 1.12 + hair.volume * 0.7
    wave = 0.10 if hair.style == "wavy" else 0.0
    right = [(0.0, -1.45), (0.8, -1.2), (wide, -0.4), (wide + 0.06 + wave, 0.3), (wide + 0.06 - wave, 0.8)]
    right += [(wide + wave, end - 0.35), (wide - 0.18, end), (0.5, end + 0.05), (0.0, end)]
    placed = smooth(_hang(pose, body, mirrored(right)), closed=True)
    canvas.shape(placed, shade(hair.tone, 0.82))
    rng = np.random.default_rng([person.key, 21])
    strands = _hanging_strands(pose, body, wide, end, wave, rng)
    _paint_strands(canvas, strands, hair, pose.unit, rng)


def draw_front_hair(canvas: Canvas, pose: Pose, person: Person) -> None:
    """Draw the hair on top of the head, from the hairline up."""
    hair = person.hair
    outer, inner = _outer_edge(person), _hairline(person)
    top, line = smooth(pose.place(outer)), smooth(pose.place(inner, 0.45))
    cap = np.concatenate([top, line[::-1]])
    canvas.shape(cap, hair.tone)
    crown = pose.place(ellipse(0, -1.12, 0.6, 0.16))
    canvas.shape(crown, shade(hair.tone, 1.5), alpha=0.35, soft=0.10 * pose.unit, inside=cap)
    if hair.style == "perm":
        _draw_curls(canvas, pose, person)
        return
    rng = np.random.default_rng([person.key, 22])
    strands = _cap_strands(top, line, hair, rng)
    _paint_strands(canvas, strands, hair, pose.unit, rng)


def _paint_strands(canvas: Canvas, strands: Points, hair: Hair, unit: float, rng: np.random.Generator) -> None:
    """Paint strands (S, P, 2) in three tones; a share of them grey."""
    grey = rng.random(len(strands)) < hair.grey
    tones = rng.integers(0, 3, len(strands))
    width = 0.02 * unit
    own = mix(hair.tone, (90, 76, 70), 0.06)
    for tone, factor in enumerate((0.78, 1.18, 1.45)):
        canvas.lines(strands[~grey & (tones == tone)], shade(own, factor), width)
    for tone, factor in enumerate((0.84, 1.0, 1.14)):
        canvas.lines(strands[grey & (tones == tone)], shade(hair.grey_strand, factor), width * 1.25)


def _outer_edge(person: Person) -> list[tuple[float, float]]:
    """Return the outline of the hair from the left ear over the top to the right ear."""
    hair, side = person.hair, person.face.cheek
    flat = 0.06 if hair.style in ("crop", "tied") else 0.13
    spread = flat + hair.volume * (0.2 if hair.style in SHORT_STYLES else 0.5)
    top = -1.34 - hair.volume * (1.5 if hair.style == "upswept" else 1.0)
    down = {"crop": -0.05, "parted": 0.0, "upswept": -0.1, "tied": -0.1, "perm": 0.1}.get(hair.style, 0.62)
    right = [(side + 0.03 + spread * 0.4, down), (side + spread, -0.55), (0.76 + spread * 0.6, -1.14), (0.34, top)]
    left = [(-x, y) for x, y in right]
    return [*left, *right[::-1]]


def _hairline(person: Person) -> list[tuple[float, float]]:
    """Return the hair's lower edge from the left ear over the forehead to the right ear."""
    hair, side = person.hair, person.face.cheek
    high, receded = -0.80 - 0.34 * hair.recession, 0.11 * hair.recession
    down = {"crop": 0.0, "parted": 0.06, "upswept": -0.02, "tied": -0.05, "perm": 0.12}.get(hair.style, 0.66)
    right = [(side - 0.02, down), (side - 0.10, -0.46 - receded)]
    middle: list[tuple[float, float]] = []
    if hair.fringe and hair.style != "upswept" and hair.recession < 0.45:
        low = -0.50 if hair.style in SHORT_STYLES else -0.42
        right += [(0.62, low - 0.04), (0.3, low)]
        middle = [(0.0, low - 0.03)]
    elif hair.style in ("upswept", "tied", "perm"):
        right += [(0.56, high - 0.02 - receded), (0.22, high - 0.03 + 0.7 * receded)]  # it recedes at the temples first
    else:
        right += [(0.74, high + 0.17 - receded)]
        middle = [(hair.part - 0.27, high - 0.01), (hair.part, high - 0.14), (hair.part + 0.27, high - 0.01)]
    left = [(-x, y) for x, y in right]
    return [*left, *middle, *right[::-1]]


def _cap_strands(top: Points, line: Points, hair: Hair, rng: np.random.Generator) -> Points:
    """Return strands (S, 6, 2) between the hairline and the outer edge."""
    end = rng.uniform(0.04, 0.96, (_STRANDS, 1))
    step = np.linspace(0, 1, 6)
    if hair.fringe or hair.style in ("upswept", "tied"):
        lean = rng.normal(0, 0.02, (_STRANDS, 1))
        return _between(top, line, end + lean * step, np.broadcast_to(0.02 + 0.95 * step, (_STRANDS, 6)))
    # Parted hair falls from the part to the nearer side.
    part = 0.5 + 0.25 * hair.part
    depth = rng.uniform(0.06, 0.94, (_STRANDS, 1)) + 0.1 * np.sin(np.pi * step)
    return _between(top, line, part + (end - part) * step, depth)


def _between(top: Points, line: Points, along: Points, across: Points) -> Points:
    """Return points at shares `along` both edges, `across` from the outer one (0) to the hairline (1)."""
    upper, lower = _at(top, along), _at(line, along)
    return np.asarray(upper + (lower - upper) * np.clip(across, 0, 1)[..., None])


def _at(curve: Points, share: Points) -> Points:
    """Return the points at these shares (0 to 1) of a curve's length, as its knots count it."""
    place = np.clip(share, 0, 1) * (len(curve) - 1)
    before = np.minimum(place.astype(int), len(curve) - 2)
    return np.asarray(curve[before] + (curve[before + 1] - curve[before]) * (place - before)[..., None])


def _hanging_strands(pose: Pose, body: Pose, wide: float, end: float, wave: float, rng: np.random.Generator) -> Points:
    """Return strands (34, 9, 2) that hang beside the face."""
    x = rng.uniform(0.75, wide + 0.02, (34, 1)) * rng.choice(SIDES, (34, 1))
    y = np.linspace(0, 1, 9) * (end - rng.uniform(0.02, 0.4, (34, 1)))
    sway = wave * np.sin(y * 5 + rng.uniform(0, 1, (34, 1)))
    flat = np.stack([x + np.sign(x) * sway, y], axis=2).reshape(-1, 2)
    return _hang(pose, body, flat).reshape(34, 9, 2)


def _hang(pose: Pose, body: Pose, points: Points) -> Points:
    """Place points so that the top turns with the head while the ends rest on the shoulders."""
    share = np.clip((points[:, 1:] - 0.2) / 1.6, 0, 1)
    return pose.place(points) * (1 - share) + body.place(points) * share


def _draw_bun(canvas: Canvas, pose: Pose, hair: Hair) -> None:
    canvas.shape(pose.place(ellipse(0.05, -1.62, 0.36, 0.30)), hair.tone)
    canvas.shape(pose.place(ellipse(0.0, -1.70, 0.18, 0.10)), shade(hair.tone, 1.4), alpha=0.4, soft=0.05 * pose.unit)


def _draw_curls(canvas: Canvas, pose: Pose, person: Person) -> None:
    """Cover the cap with curls, some of them grey."""
    hair, rng = person.hair, np.random.default_rng([person.key, 23])
    wide = person.face.cheek + 0.10 + hair.volume * 0.4
    for angle in np.linspace(np.pi * 0.98, np.pi * 2.02, 16):
        for ring in (1.0, 0.80):
            x, y = wide * ring * np.cos(angle), 0.02 + (1.36 + hair.volume * 0.7) * ring * np.sin(angle)
            size = rng.uniform(0.15, 0.20)
            tone: Rgb = hair.grey_strand if rng.random() < hair.grey * 0.8 else hair.tone
            canvas.shape(
                pose.place(ellipse(x, y, size, size)), shade(mix(tone, hair.tone, 0.35), rng.uniform(0.85, 1.25))
            )
            curl = pose.place(ellipse(x, y, size * 0.55, size * 0.55))
            canvas.lines(curl[None], shade(tone, 0.7), 0.03 * pose.unit)
