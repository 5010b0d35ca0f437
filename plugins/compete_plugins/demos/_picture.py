"""Draw one planned picture and write it as the file that it is to be."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from ._canvas import Pixels
from ._looks import draw_person
from ._people import Picture
from ._portrait import choose_shot, draw_photograph


def write_picture(folder: Path, picture: Picture, *, size: tuple[int, int], seed: int) -> None:
    """Draw a picture below `folder`.

    What it shows depends on the seed and on its own numbers only, never on what was drawn before it.
    """
    subject = picture.subject
    looks = np.random.default_rng([seed, 2, picture.split, subject.identity])
    person = draw_person(subject.drawn_gender, subject.true_age, looks)
    rng = np.random.default_rng([seed, 3, picture.split, picture.number])
    shot = choose_shot(person, picture.state, rng)
    pixels = draw_photograph(person, shot, size, rng)
    (folder / picture.path).write_bytes(encode(pixels, picture.path.suffix, picture.alpha, shot.camera.quality))


def encode(pixels: Pixels, ending: str, alpha: bool, quality: int) -> bytes:
    """Return the picture as a PNG (with an opaque alpha channel if asked for) or as a JPEG."""
    from PIL import Image

    image, file = Image.fromarray(pixels), BytesIO()
    if ending == ".png":
        if alpha:
            image.putalpha(255)
        image.save(file, "PNG")
    else:
        image.save(file, "JPEG", quality=quality)
    return file.getvalue()
