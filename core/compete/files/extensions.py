"""Which files of a folder are the images: images and arrays, else DICOM, sounds, or numbers in Parquet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shlex import quote

from compete.files.archives import EXTENSIONS as ARCHIVES
from compete.files.templates import IMAGE_EXTENSIONS
from compete.text import format_first, plural

DICOM, SOUNDS, TABLES = ("dcm", "dicom"), ("aif", "aiff", "wav", "flac", "ogg"), ("parquet",)
FAMILIES: tuple[tuple[str, ...], ...] = (IMAGE_EXTENSIONS, DICOM, SOUNDS, TABLES)
READABLE = tuple(extension for family in FAMILIES for extension in family)
# Images often come with the sounds or scans that they were made of; sounds come with a few drawings at most.
MOST_TO_AN_IMAGE = 10
# A few of them are tables of rows.
FEWEST_TABLES = 10
EXTRAS = {"dicom": DICOM, "sound": SOUNDS}
PHOTOGRAPHS = ("heic", "heif", "jxl", "psd", "cr2", "cr3", "nef", "arw", "dng")
UNREAD = ("nii", "tfrec", "tfrecords", *PHOTOGRAPHS)
SPREADSHEETS = ("xlsx", "xls", "ods", "numbers")


def folder_instead(file: Path, command: str) -> str:
    """Return what to type for a file where a folder of files is wanted: the file's folder, or one for an archive."""
    if file.name.lower().endswith(ARCHIVES):
        folder = file.with_name(file.name.partition(".")[0])
        first = f"an archive, which is read as it is in a folder: mkdir {quote(str(folder))} && "
        return f"{first}mv {quote(str(file))} {quote(str(folder))}/ && compete {command} {quote(str(folder))}"
    return f"a file. Name the folder that holds all files: {from_above(file.resolve().parent, command)}"


def from_above(folder: Path, command: str) -> str:
    """Return the command line for a folder, from the folder above it where this is inside: `cd .. && compete ...`."""
    inside = Path.cwd().is_relative_to(folder.resolve())
    up = len(Path.cwd().relative_to(folder.resolve()).parts) + 1 if inside else 0
    name = folder.resolve().name if inside else os.path.relpath(folder)
    return f"{f'cd {Path(*[os.pardir] * up)} && ' if up else ''}compete {command} {quote(name)}"


def extension_of(path: str) -> str:
    """Return a file's extension in lower case, without its dot."""
    return path.rpartition(".")[2].lower()


def unread_files(paths: Iterable[str], kinds: Sequence[str], cure: str) -> list[str]:
    """Return one sentence on files of kinds that nothing reads, which may be missed; none if there are none."""
    found = [path for path in paths if extension_of(path) in kinds]
    return [f"{plural(len(found), 'file')} not read: {format_first(found, 3)}. {cure}"] if found else []


def choose_family(extensions: Mapping[str, int]) -> tuple[str, ...]:
    """Return the extensions that belong together and stand for the images, by the number of files with each."""
    counts = {family: sum(extensions.get(extension, 0) for extension in family) for family in FAMILIES}
    counts[IMAGE_EXTENSIONS] *= MOST_TO_AN_IMAGE
    if counts[TABLES] < FEWEST_TABLES:
        counts[TABLES] = 0
    return max(FAMILIES, key=lambda family: counts[family])


def files_instead_of_images(paths: Iterable[str]) -> str:
    """Say which files of a folder without images may hold some, and what to do with them."""
    counts = Counter(map(extension_of, paths))
    unread = [f".{extension}" for extension in UNREAD if counts[extension]]
    hint = ""
    if unread:
        hint += f" There are {', '.join(unread)} files, which no reader reads: convert them to .jpg or .npy."
    if counts["parquet"]:
        hint += (
            f' The {counts["parquet"]} .parquet files are too few for images: `[images] reader = "parquet"` reads '
            "a table of numbers as one image; a table of rows must be a .csv."
        )
    return hint
