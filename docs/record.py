"""Record the README's three pictures, folder.png, kaggle.png and plugin.png, with Chromium:

python docs/record.py

Each shows real commands and their output, in an empty folder. Long outputs are cut, and the cut is marked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))
from screenshots import FOLDER, picture, terminal

MOST_LINES, COLUMNS = 24, 124
PROMPT = "\x1b[1;32m$\x1b[0m "


def draw_photos(folder: Path) -> None:
    """Draw class folders and a test folder: coloured noise."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("train/maple", "train/oak", "train/birch")):
        for image in range(40):
            _draw(folder / "photos" / name / f"{number}{image:03d}.jpg", rng, number)
    for image in range(20):
        _draw(folder / "photos/test" / f"{image:03d}.jpg", rng, image % 3)


def _draw(path: Path, rng: np.random.Generator, channel: int) -> None:
    pixels = rng.integers(0, 120, (96, 128, 3), np.uint8)
    pixels[..., channel] += 90
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _nothing(_folder: Path) -> None:
    """Prepare nothing."""


PICTURES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "folder": (draw_photos, ["compete init photos", "compete validate photos.toml"]),
    "kaggle": (_nothing, ["compete competitions", "compete run leaf-classification"]),
    "plugin": (_nothing, ["compete new --plugin loss", "python -m pytest -q -p no:cacheprovider test_my_loss.py"]),
}


def recorded(commands: list[str], prepare: Callable[[Path], None]) -> str:
    """Return the commands and what they print, as in a terminal."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for command in commands:
            arguments = command.replace("compete", f"{sys.executable} -m compete", 1).split()
            arguments = [sys.executable if argument == "python" else argument for argument in arguments]
            done = subprocess.run(arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            printed = done.stdout.rstrip().splitlines()
            cut = len(printed) - MOST_LINES
            lines += [PROMPT + command, *printed[:MOST_LINES], *([f"... {cut} more lines"] if cut > 0 else []), ""]
    return "\n".join(lines).rstrip()


def main() -> None:
    """Record every picture."""
    for name, (prepare, commands) in PICTURES.items():
        picture(terminal(recorded(commands, prepare), "compete", COLUMNS), FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
