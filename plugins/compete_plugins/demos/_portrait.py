"""One image of one person: choose how it is taken, then draw it from back to front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._canvas import SUPERSAMPLE, Canvas, Pixels, Pose
from ._clothes import draw_clothes
from ._covers import Cover, choose_cover, draw_cover
from ._face import draw_ears, draw_lines, draw_neck, draw_skin
from ._features import draw_brows, draw_eyes, draw_glasses, draw_mouth, draw_nose
from ._hair import draw_back_hair, draw_front_hair
from ._looks import Person
from ._scene import Camera, Light, Scene, choose_camera, choose_light, choose_scene, draw_background, expose

_AT_HOME = 0.7  # how often a person is photographed in the same place


@dataclass(frozen=True)
class Shot:
    """Everything that changes from one image of a person to the next; lengths are shares of the width."""

    head: tuple[float, float]
    unit: float
    roll: float
    yaw: float
    pitch: float
    gaze: float
    openness: float
    smile: float
    mouth_open: float
    brow_lift: float
    cover: Cover | None
    scene: Scene
    scene_shift: float
    light: Light
    camera: Camera


def choose_shot(person: Person, state: str, rng: np.random.Generator) -> Shot:
    """Choose how a person is photographed for a state: "wear", "incorrect" or "normal"."""
    home = choose_scene(np.random.default_rng([person.key, 41]))
    elsewhere = choose_scene(rng)
    smile = float(np.clip(rng.normal(0.6, 0.38), -0.3, 1.3))
    return Shot(
        head=(float(0.5 + rng.normal(0, 0.03)), float(0.63 + rng.normal(0, 0.03))),
        unit=float(np.clip(rng.normal(0.292, 0.016), 0.25, 0.33)),
        roll=float(np.clip(rng.normal(0, 0.07), -0.2, 0.2)),
        yaw=float(np.clip(rng.normal(0, 0.17), -0.42, 0.42)),
        pitch=float(np.clip(rng.normal(0, 0.08), -0.2, 0.2)),
        gaze=float(rng.normal(0, 0.35)),
        openness=float(np.clip(rng.normal(1.0, 0.10), 0.65, 1.2)),
        smile=smile,
        mouth_open=float(rng.uniform(0.35, 1.0)) if smile > 0.7 and rng.random() < 0.5 else 0.0,
        brow_lift=float(rng.normal(0.02, 0.022)),
        cover=choose_cover(state, person, rng),
        scene=home if rng.random() < _AT_HOME else elsewhere,
        scene_shift=float(rng.uniform(-0.12, 0.12)),
        light=choose_light(rng),
        camera=choose_camera(rng),
    )


def draw_images(person: Person, shot: Shot, size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Draw a image of `size` (width, height); `rng` makes the grain."""
    width, height = size
    span = min(width, height * 0.75)  # the competition's images are 3 wide and 4 high
    head_x, head_y = shot.head[0] * span + (width - span) / 2, shot.head[1] * span
    canvas = Canvas(width, height)
    head = Pose(
        head_x * SUPERSAMPLE, head_y * SUPERSAMPLE, shot.unit * span * SUPERSAMPLE,
        shot.roll, shot.yaw, shot.pitch,
    )  # fmt: skip
    # The body follows the head only half way, as when one tilts or turns the head.
    body = Pose(head.x - 0.5 * shot.roll * head.unit, head.y, head.unit, 0.25 * shot.roll)
    draw_background(canvas, shot.scene, shot.scene_shift)
    _draw_figure(canvas, head, body, person, shot)
    return expose(canvas.finished(), shot.light, shot.camera, (head_x, head_y), rng)


def _draw_figure(canvas: Canvas, head: Pose, body: Pose, person: Person, shot: Shot) -> None:
    draw_back_hair(canvas, head, body, person)
    draw_neck(canvas, body, person)
    draw_clothes(canvas, body, person)
    draw_ears(canvas, head, person)
    draw_skin(canvas, head, person)
    draw_eyes(canvas, head, person, shot.gaze, shot.openness)
    draw_nose(canvas, head, person)
    draw_mouth(canvas, head, person, shot.smile, shot.mouth_open)
    draw_lines(canvas, head, person)
    draw_brows(canvas, head, person, shot.brow_lift)
    if shot.cover is not None:
        draw_cover(canvas, head, body, person, shot.cover)
    draw_front_hair(canvas, head, person)
    draw_glasses(canvas, head, person)
