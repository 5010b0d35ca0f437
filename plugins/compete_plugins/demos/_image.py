"""Draw one planned image and write it as the file that it is to be."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from ._canvas import Pixels
from ._looks import draw_person
from ._people import Image
from ._portrait import choose_shot, draw_images


def write_image(folder: Path, image: Image, *, size: tuple[int, int], seed: int) -> None:
    """Draw a image below `folder`.

    What it shows depends on the seed and on its own numbers only, never on what was drawn before it.
    """
    subject = image.subject
    looks = np.random.default_rng([seed, 2, image.split, subject.identity])
    person = draw_person(subject.drawn_gender, subject.true_age, looks)
    rng = np.random.default_rng([seed, 3, image.split, image.number])
    shot = choose_shot(person, image.state, rng)
    pixels = draw_images(person, shot, size, rng)
    (folder / image.path).write_bytes(encode(pixels, image.path.suffix, image.alpha, shot.camera.quality))


def encode(pixels: Pixels, ending: str, alpha: bool, quality: int) -> bytes:
    """Return the image as a PNG (with an opaque alpha channel if asked for) or as a JPEG."""
    from PIL import Image

    image, file = Image.fromarray(pixels), BytesIO()
    if ending == ".png":
        if alpha:
            image.putalpha(255)
        image.save(file, "PNG")
    else:
        image.save(file, "JPEG", quality=quality)
    return file.getvalue()
