"""What a drawn person looks like: fixed for all of their images, and drawn from their gender and age.

No trait decides gender or age alone: each is drawn from distributions that overlap, as with real people, and
each sign of age has noise of its own on top of a shared "age they look".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._canvas import Rgb, mix, shade

SHORT_STYLES = ("crop", "parted", "upswept")
HAIR_STYLES = (*SHORT_STYLES, "long", "wavy", "bob", "tied", "perm")
CLOTHES = ("tee", "shirt", "hoodie", "v-neck", "suit", "turtleneck")

_HAIR_SHARES = {  # by gender and whether the person looks older than 45, in the order of HAIR_STYLES
    ("male", False): (0.32, 0.36, 0.24, 0.03, 0.01, 0.02, 0.01, 0.01),
    ("male", True): (0.38, 0.42, 0.16, 0.01, 0.00, 0.01, 0.01, 0.01),
    ("female", False): (0.02, 0.03, 0.01, 0.35, 0.22, 0.20, 0.16, 0.01),
    ("female", True): (0.05, 0.05, 0.02, 0.10, 0.10, 0.23, 0.17, 0.28),
}
_CLOTHES_SHARES = {
    ("male", False): (0.34, 0.24, 0.28, 0.02, 0.06, 0.06),
    ("male", True): (0.22, 0.34, 0.08, 0.02, 0.27, 0.07),
    ("female", False): (0.28, 0.15, 0.20, 0.24, 0.02, 0.11),
    ("female", True): (0.20, 0.16, 0.04, 0.40, 0.05, 0.15),
}
_HAIR_COLOURS: tuple[Rgb, ...] = ((26, 22, 24), (36, 28, 26), (52, 38, 30), (74, 52, 38))
_DYED: tuple[Rgb, ...] = ((112, 74, 46), (138, 98, 62), (92, 44, 40), (84, 62, 54), (58, 48, 74))
_GREY: Rgb = (198, 197, 196)
_CLOTH_COLOURS: tuple[Rgb, ...] = (
    (238, 236, 230), (44, 48, 58), (92, 112, 142), (150, 176, 190), (186, 88, 80), (214, 158, 148),
    (104, 128, 96), (214, 190, 130), (128, 104, 138), (124, 126, 130), (66, 84, 120), (188, 164, 142),
)  # fmt: skip
_LIPS: tuple[Rgb, ...] = ((206, 98, 100), (196, 82, 92), (214, 122, 112), (178, 74, 80))


@dataclass(frozen=True)
class Face:
    """Widths at four heights and the length below the eyes, in head units; jowls widen the lower cheek."""

    forehead: float
    cheek: float
    jaw: float
    chin: float
    length: float
    jowl: float


@dataclass(frozen=True)
class Hair:
    """`grey` is the share of grey strands, `recession` how far the hairline has gone back (0 to 1)."""

    style: str
    colour: Rgb
    grey: float
    recession: float
    volume: float
    part: float
    fringe: bool

    @property
    def tone(self) -> Rgb:
        """The colour seen from afar."""
        return mix(self.colour, _GREY, 0.55 * self.grey)

    @property
    def grey_strand(self) -> Rgb:
        """The colour of one grey hair."""
        return _GREY


@dataclass(frozen=True)
class Features:
    """Eyes, brows, nose and mouth."""

    eye_size: float
    eye_gap: float
    eye_tilt: float
    iris: Rgb
    lash: float
    double_lid: bool
    brow: float
    brow_arch: float
    nose: float
    lip: float
    lip_colour: Rgb
    mouth: float


@dataclass(frozen=True)
class Signs:
    """Signs of age, each 0 (none) to 1 (deep)."""

    forehead: float
    crow: float
    bags: float
    folds: float
    droop: float
    dull: float
    spots: int


@dataclass(frozen=True)
class Person:
    """One identity; `key` seeds whatever else is drawn of it, such as the place of a mole."""

    key: int
    skin: Rgb
    blush: float
    face: Face
    hair: Hair
    features: Features
    signs: Signs
    stubble: float
    moustache: bool
    glasses: str
    glasses_colour: Rgb
    earring: bool
    mole: bool
    clothes: str
    cloth: Rgb
    cloth_accent: Rgb
    shoulders: float
    neck: float

    @property
    def shadow(self) -> Rgb:
        """The skin's colour in shadow."""
        return mix(shade(self.skin, 0.78), (150, 84, 62), 0.22)


def draw_person(gender: str, age: int, rng: np.random.Generator) -> Person:
    """Draw the looks of a person of this gender and true age (which may lie beyond the listed 18 to 60)."""
    key = int(rng.integers(2**31))
    looks_aged = age + rng.normal(0, 2.5)
    femininity = float(rng.normal(1.0 if gender == "female" else -1.0, 0.35))
    skin = _skin(looks_aged, rng)
    glasses_share = 0.16 + 0.20 * _ramp(looks_aged, 35, 65)
    return Person(
        key=key,
        skin=skin,
        blush=float(np.clip(0.25 + 0.10 * femininity + rng.normal(0, 0.08), 0.05, 0.5)),
        face=_face(femininity, looks_aged, rng),
        hair=_hair(gender, looks_aged, rng),
        features=_features(femininity, looks_aged, skin, rng),
        signs=_signs(looks_aged, rng),
        stubble=float(rng.uniform(0.12, 0.4)) if gender == "male" and rng.random() < 0.5 else 0.0,
        moustache=gender == "male" and rng.random() < 0.07,
        glasses=str(rng.choice(["round", "square"])) if rng.random() < glasses_share else "",
        glasses_colour=_pick(((34, 34, 38), (92, 60, 42), (150, 128, 96), (96, 100, 110)), rng),
        earring=rng.random() < (0.35 if gender == "female" else 0.04),
        mole=rng.random() < 0.2,
        clothes=_choose(CLOTHES, _CLOTHES_SHARES[gender, looks_aged > 38], rng),
        cloth=_pick(_CLOTH_COLOURS, rng),
        cloth_accent=_pick(_CLOTH_COLOURS, rng),
        shoulders=float(1.86 - 0.17 * femininity + rng.normal(0, 0.10)),
        neck=float(0.54 - 0.055 * femininity + rng.normal(0, 0.03)),
    )


def _skin(age: float, rng: np.random.Generator) -> Rgb:
    light, dark = (248.0, 219.0, 194.0), (206.0, 162.0, 126.0)
    tone = mix(light, dark, float(np.clip(rng.beta(2, 2.6) + 0.12 * _ramp(age, 30, 70), 0, 1)))
    return mix(tone, (196, 172, 148), 0.35 * _ramp(age, 28, 70))


def _face(femininity: float, age: float, rng: np.random.Generator) -> Face:
    return Face(
        forehead=float(0.84 + rng.normal(0, 0.025)),
        cheek=float(0.97 + rng.normal(0, 0.025)),
        jaw=float(0.77 - 0.05 * femininity + rng.normal(0, 0.035)),
        chin=float(0.37 - 0.045 * femininity + rng.normal(0, 0.03)),
        length=float(1.30 - 0.025 * femininity + rng.normal(0, 0.045)),
        jowl=float(np.clip(0.09 * _ramp(age, 35, 65) + rng.normal(0, 0.015), 0, 0.14)),
    )


def _hair(gender: str, age: float, rng: np.random.Generator) -> Hair:
    style = _choose(HAIR_STYLES, _HAIR_SHARES[gender, age > 45], rng)
    dyed_young = age < 40 and rng.random() < (0.28 if gender == "female" else 0.14)
    hides_grey = rng.random() < (0.26 if gender == "female" else 0.18)
    grey = float(np.clip((age - 44) / 23 + rng.normal(0, 0.10), 0, 1))
    thinning = (age - 26) / 58 if gender == "male" else (age - 45) / 110
    fringe_share = 0.5 - 0.35 * _ramp(age, 25, 55)
    return Hair(
        style=style,
        colour=_pick(_DYED if dyed_young else _HAIR_COLOURS, rng),
        grey=0.12 * grey if hides_grey else grey,
        recession=float(np.clip(thinning + rng.normal(0, 0.13), 0, 1)),
        volume=float(np.clip(0.17 - 0.06 * _ramp(age, 40, 75) + rng.normal(0, 0.035), 0.05, 0.3)),
        part=float(rng.uniform(0.1, 0.32) * rng.choice([-1, 1])),
        fringe=bool(rng.random() < fringe_share),
    )


def _features(femininity: float, age: float, skin: Rgb, rng: np.random.Generator) -> Features:
    old = _ramp(age, 25, 70)
    made_up = rng.random() < 0.5 + 0.36 * np.clip(femininity, -1.4, 1.2)
    bare_lip = mix(skin, (188, 96, 88), 0.5)
    return Features(
        eye_size=float(0.215 + 0.012 * femininity - 0.025 * old + rng.normal(0, 0.014)),
        eye_gap=float(0.415 + rng.normal(0, 0.018)),
        eye_tilt=float(rng.normal(0.06, 0.06) - 0.08 * old),
        iris=_pick(((48, 32, 24), (66, 42, 28), (34, 26, 24), (84, 56, 36)), rng),
        lash=float(np.clip(0.5 + 0.32 * femininity + rng.normal(0, 0.14), 0.1, 1)),
        double_lid=bool(rng.random() < 0.5),
        brow=float(np.clip(0.085 - 0.022 * femininity - 0.012 * old + rng.normal(0, 0.012), 0.04, 0.14)),
        brow_arch=float(0.05 + 0.022 * femininity + rng.normal(0, 0.018)),
        nose=float(0.215 - 0.014 * femininity + 0.022 * old + rng.normal(0, 0.016)),
        lip=float(np.clip(0.115 + 0.014 * femininity - 0.035 * old + rng.normal(0, 0.014), 0.05, 0.17)),
        lip_colour=_pick(_LIPS, rng) if made_up else bare_lip,
        mouth=float(0.345 - 0.012 * femininity + rng.normal(0, 0.022)),
    )


def _signs(age: float, rng: np.random.Generator) -> Signs:
    def sign(start: float, full: float, noise: float) -> float:
        depth = (age - start) / (full - start)
        # A smooth young face stays smooth: lines differ more among the old than among the young.
        return float(np.clip(depth + rng.normal(0, noise) * (0.4 + 0.6 * min(max(depth, 0.0) * 3, 1.0)), 0, 1))

    return Signs(
        forehead=sign(27, 70, 0.12),
        crow=sign(28, 68, 0.11),
        bags=sign(24, 70, 0.13),
        folds=sign(22, 70, 0.11),
        droop=sign(32, 72, 0.11),
        dull=sign(24, 70, 0.12),
        spots=int(rng.poisson(max(0.0, (age - 44) / 5))),
    )


def _ramp(value: float, start: float, end: float) -> float:
    """Return 0 up to `start`, 1 from `end` on, straight between."""
    return float(np.clip((value - start) / (end - start), 0, 1))


def _choose(names: tuple[str, ...], shares: tuple[float, ...], rng: np.random.Generator) -> str:
    return names[int(rng.choice(len(names), p=shares))]


def _pick(colours: tuple[Rgb, ...], rng: np.random.Generator) -> Rgb:
    return colours[int(rng.integers(len(colours)))]
