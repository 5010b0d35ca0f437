"""Which files of a folder are the images: images and arrays, else DICOM, sounds, or numbers in Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from compete.files.root import IMAGE_EXTENSIONS

DICOM, SOUNDS, TABLES = ("dcm", "dicom"), ("aif", "aiff", "wav", "flac", "ogg"), ("parquet",)
FAMILIES: tuple[tuple[str, ...], ...] = (IMAGE_EXTENSIONS, DICOM, SOUNDS, TABLES)
READABLE = tuple(ending for family in FAMILIES for ending in family)
# Beside images lie the sounds or scans that they were made of; beside sounds lie a few drawings.
MOST_TO_A_PHOTOGRAPH = 10
# A few of them are tables of rows.
FEWEST_TABLES = 10
EXTRAS = {"dicom": DICOM, "sound": SOUNDS}
UNREAD = ("nii", "tfrec", "tfrecords")


def ending_of(path: str) -> str:
    """Return a file's ending in lower case, without its dot."""
    return path.rpartition(".")[2].lower()


def choose_family(endings: Mapping[str, int]) -> tuple[str, ...]:
    """Return the endings that belong together and stand for the images, by the files that there are of each."""
    counts = {family: sum(endings.get(ending, 0) for ending in family) for family in FAMILIES}
    counts[IMAGE_EXTENSIONS] *= MOST_TO_A_PHOTOGRAPH
    if counts[TABLES] < FEWEST_TABLES:
        counts[TABLES] = 0
    return max(FAMILIES, key=lambda family: counts[family])


def what_is_there_instead(paths: Iterable[str]) -> str:
    """Say which files of a folder without images may hold some, and what to do with them."""
    counts = Counter(map(ending_of, paths))
    unread = [f".{ending}" for ending in UNREAD if counts[ending]]
    said = ""
    if unread:
        said += f" There are {', '.join(unread)} files, which no reader reads: write one, or convert them."
    if counts["parquet"]:
        said += (
            f' The {counts["parquet"]} .parquet files are too few for images: `[images] reader = "parquet"` reads '
            "a table of numbers as one image; a table of rows must be a .csv."
        )
    return said
