"""Parts of the data by the names of folders and files: to train on, to validate on, to predict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from compete import left_behind, name_words

TRAIN = ("train", "training")
VALID = ("valid", "validation", "val", "eval", "evaluation", "dev")
# A folder of test images is called so as a whole: `Test`, `test_images`, `images-test 2`; "pregnancy test" is a class.
_THINGS = r"(?:images?|imgs?|pics?|pictures?|photos?|data|set|files?|jpe?g|png)"
_TEST = re.compile(rf"(?:{_THINGS}[ ._-]*)?test(?:s|ing)?[ ._-]*{_THINGS}?[ ._-]*\d{{0,2}}", re.IGNORECASE)


def made_sample(rows: int) -> pd.DataFrame:
    """Return what stands for the sample submission where there is none: its columns, all cells empty."""
    return pd.DataFrame({"id": [""] * rows, "label": [""] * rows}, dtype=str)


def is_test_folder(name: str) -> bool:
    """Return whether a folder is called like one of test images."""
    return _TEST.fullmatch(name) is not None


def part_of(path: str) -> str:
    """Return which part a file is, "train", "valid" or "test", by the words in its path, the last first; or ""."""
    for part in reversed(path.split("/")):
        words = name_words(part)
        for name, known in (("test", ("test", "testing")), ("valid", VALID), ("train", TRAIN)):
            if not words.isdisjoint(known):
                return name
    return ""


def test_folder(images: Sequence[str], apart_from: Iterable[str] = ()) -> str:
    """Return the highest folder of images that is called test and holds none of the images `apart_from`, or ""."""
    found: dict[str, None] = {}
    for path in images:
        parts = path.split("/")[:-1]
        depth = next((at for at, part in enumerate(parts, 1) if is_test_folder(part)), 0)
        if depth and not left_behind(path):
            found["/".join(parts[:depth])] = None
    taken = list(apart_from)
    free = [folder for folder in found if not any(path.startswith(f"{folder}/") for path in taken)]
    return min(free, key=lambda folder: (folder.count("/"), folder), default="")
