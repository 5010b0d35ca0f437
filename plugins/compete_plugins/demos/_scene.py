"""What surrounds a face in a image: the background, the light and the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._canvas import Canvas, Pixels, Pose, Rgb, blur, ellipse, mix, shade

_WALLS: tuple[Rgb, ...] = (
    (226, 222, 214), (204, 212, 216), (214, 204, 190), (186, 196, 186), (232, 216, 204), (166, 176, 190),
    (196, 182, 196), (222, 208, 168), (150, 160, 158), (206, 188, 176),
)  # fmt: skip
_ACCENTS: tuple[Rgb, ...] = (
    (120, 90, 66), (176, 140, 104), (88, 110, 128), (104, 132, 96), (190, 96, 82), (230, 226, 214), (66, 72, 84),
)  # fmt: skip
SCENES = ("wall", "shelves", "window", "street", "trees", "lights", "curtain")


@dataclass(frozen=True)
class Scene:
    """A place; `key` seeds the things standing in it."""

    kind: str
    colour: Rgb
    accent: Rgb
    key: int


@dataclass(frozen=True)
class Light:
    """`warmth` turns blue (-1) to orange (1); `side` is how strongly one side is lit, its sign says which."""

    brightness: float
    contrast: float
    warmth: float
    side: float


@dataclass(frozen=True)
class Camera:
    """Blur and noise in final pixels and grey levels, and the JPEG quality."""

    blur: float
    noise: float
    quality: int


def choose_scene(rng: np.random.Generator) -> Scene:
    """Choose a place."""
    colour = _WALLS[int(rng.integers(len(_WALLS)))]
    accent = _ACCENTS[int(rng.integers(len(_ACCENTS)))]
    return Scene(str(rng.choice(SCENES)), colour, accent, int(rng.integers(2**31)))


def choose_light(rng: np.random.Generator) -> Light:
    """Choose the light of one image."""
    return Light(
        brightness=float(np.clip(rng.normal(1.0, 0.10), 0.7, 1.22)),
        contrast=float(rng.normal(1.0, 0.08)),
        warmth=float(rng.normal(0.0, 0.4)),
        side=float(np.clip(rng.normal(0.0, 0.16), -0.35, 0.35)),
    )


def choose_camera(rng: np.random.Generator) -> Camera:
    """Choose how sharp and how noisy one image is."""
    return Camera(
        blur=float(rng.gamma(1.2, 0.28)), noise=float(rng.uniform(0.5, 3.5)), quality=int(rng.integers(80, 93))
    )


def draw_background(canvas: Canvas, scene: Scene, shift: float) -> None:
    """Paint the place out of focus; `shift` moves what stands in it sideways, as a share of the width."""
    import cv2

    height, width = canvas.pixels.shape[:2]
    small = Canvas(30, 40)  # out of focus: no detail is lost
    falls = np.linspace(1.08, 0.84, small.pixels.shape[0])[:, None, None]
    small.pixels[:] = np.clip(np.asarray(scene.colour) * falls, 0, 255).astype(np.uint8)
    view = Pose(30.0 + 60.0 * shift, 40.0, 30.0)
    _PLACES[scene.kind](small, view, scene, np.random.default_rng([scene.key, 31]))
    far = blur(small.pixels, 1.5)
    canvas.pixels[:] = cv2.resize(far, (width, height), interpolation=cv2.INTER_CUBIC)


def expose(
    pixels: Pixels, light: Light, camera: Camera, focus: tuple[float, float], rng: np.random.Generator
) -> Pixels:
    """Return the image as this light and this camera show it; `focus` is the head's place in pixels."""
    height, width = pixels.shape[:2]
    soft = blur(pixels, camera.blur) if camera.blur > 0.25 else pixels
    x = ((np.arange(width) - focus[0]) / width)[None, :, None]
    y = ((np.arange(height) - focus[1]) / height)[:, None, None]
    lit = 1 + light.side * np.tanh(3.2 * x) - 0.16 * (x**2 + y**2)
    tint = light.brightness * np.array([1 + 0.09 * light.warmth, 1.0, 1 - 0.11 * light.warmth])
    exposed = soft.astype(np.float32)
    exposed -= 128
    exposed *= light.contrast
    exposed += 128
    exposed *= (lit * tint).astype(np.float32)
    exposed += camera.noise * rng.standard_normal((height, width, 1), np.float32) + 0.5
    return np.clip(exposed, 0, 255).astype(np.uint8)


def _wall(canvas: Canvas, view: Pose, scene: Scene, rng: np.random.Generator) -> None:
    frame = _box(rng.uniform(-0.9, 0.5), rng.uniform(-1.2, -0.4), rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.6))
    if rng.random() < 0.5:
        canvas.shape(view.place(frame), scene.accent, alpha=0.8)
        canvas.shape(view.place(frame * 0.86 + 0.14 * frame.mean(axis=0)), (238, 234, 226), alpha=0.9)


def _shelves(canvas: Canvas, view: Pose, scene: Scene, rng: np.random.Generator) -> None:
    for y in (-0.95, -0.35, 0.25, 0.85):
        x = -1.6
        while x < 1.6:
            wide, tall = rng.uniform(0.06, 0.16), rng.uniform(0.28, 0.5)
            colour = mix(_ACCENTS[int(rng.integers(len(_ACCENTS)))], scene.colour, 0.3)
            canvas.shape(view.place(_box(x, y - tall, wide, tall)), colour)
            x += wide
        canvas.shape(view.place(_box(-1.8, y, 3.6, 0.07)), shade(scene.accent, 0.8))


def _window(canvas: Canvas, view: Pose, scene: Scene, rng: np.random.Generator) -> None:
    left, wide = rng.uniform(-1.1, 0.0), rng.uniform(0.9, 1.3)
    canvas.shape(view.place(_box(left - 0.06, -1.26, wide + 0.12, 1.82)), shade(scene.accent, 1.1))
    canvas.shape(view.place(_box(left, -1.2, wide, 1.7)), (214, 234, 248))
    canvas.shape(view.place(_box(left, -0.1, wide, 0.6)), (166, 194, 160))
    canvas.shape(view.place(_box(left + wide / 2 - 0.03, -1.2, 0.06, 1.7)), shade(scene.accent, 1.1))


def _street(canvas: Canvas, view: Pose, scene: Scene, rng: np.random.Generator) -> None:
    canvas.pixels[:] = (206, 222, 236)
    x = -1.7
    while x < 1.7:
        wide, top = rng.uniform(0.3, 0.7), rng.uniform(-1.1, -0.1)
        tone = mix(scene.colour, scene.accent, rng.uniform(0, 0.7))
        canvas.shape(view.place(_box(x, top, wide, 2.5)), tone)
        for y in np.arange(top + 0.12, 0.8, 0.24):
            canvas.shape(view.place(_box(x + 0.08, y, wide - 0.16, 0.08)), shade(tone, 0.75))
        x += wide
    canvas.shape(view.place(_box(-2, 0.85, 4, 1)), (150, 150, 152))


def _trees(canvas: Canvas, view: Pose, scene: Scene, rng: np.random.Generator) -> None:
    canvas.pixels[:] = (200, 222, 236)
    canvas.shape(view.place(_box(-2, 0.3, 4, 2)), (136, 164, 104))
    for _ in range(9):
        centre = view.place([(rng.uniform(-1.2, 1.2), rng.uniform(-0.9, 0.4))])[0]
        circle = ellipse(*centre, *[rng.uniform(7, 15)] * 2)
        canvas.shape(circle, mix((84, 128, 74), scene.accent, rng.uniform(0, 0.3)), alpha=0.9)


def _lights(canvas: Canvas, view: Pose, scene: Scene, rng: np.random.Generator) -> None:
    canvas.pixels[:] = np.asarray(shade(mix(scene.colour, scene.accent, 0.6), 0.55)).astype(np.uint8)
    for _ in range(16):
        centre = view.place([(rng.uniform(-1.2, 1.2), rng.uniform(-1.3, 1.0))])[0]
        circle = ellipse(*centre, *[rng.uniform(2.5, 6.5)] * 2)
        glow: Rgb = ((255, 226, 160), (250, 190, 150), (190, 220, 250))[int(rng.integers(3))]
        canvas.shape(circle, glow, alpha=rng.uniform(0.4, 0.9))


def _curtain(canvas: Canvas, view: Pose, scene: Scene, rng: np.random.Generator) -> None:
    wide = rng.uniform(0.16, 0.3)
    for number, x in enumerate(np.arange(-1.7, 1.7, wide)):
        if number % 2:
            canvas.shape(view.place(_box(x, -1.6, wide, 3.4)), mix(scene.colour, scene.accent, 0.28))


def _box(x: float, y: float, wide: float, tall: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([(x, y), (x + wide, y), (x + wide, y + tall), (x, y + tall)])


_PLACES = {
    "wall": _wall, "shelves": _shelves, "window": _window, "street": _street,
    "trees": _trees, "lights": _lights, "curtain": _curtain,
}  # fmt: skip
