"""Folders and files of a disk: walked through links, read whole or in part, or packed under the same name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from compete.errors import DataError
from compete.files.archives import EXTENSIONS, packing
from compete.files.safety import is_clutter
from compete.files.templates import IMAGE_EXTENSIONS
from compete.text import did_you_mean

_IMAGES = tuple(f".{extension}" for extension in IMAGE_EXTENSIONS)


def files_below(
    folder: Path, refuse_outside: Callable[[Path], None], above: tuple[Path, ...], prefix: str = ""
) -> Iterator[str]:
    """Yield the files below a folder; `above` are the real folders that the links on the way to it led to.

    `refuse_outside` raises for a link that may not be followed.
    """
    for entry in _entries(folder):
        if entry.is_dir():
            inside = above
            if entry.is_symlink():
                refuse_outside(Path(entry.path))
                inside = (*above, _link_target(Path(entry.path), above))
            yield from files_below(Path(entry.path), refuse_outside, inside, f"{prefix}{entry.name}/")
        elif entry.is_symlink() and not Path(entry.path).exists() and not entry.name.lower().endswith(_IMAGES):
            raise DataError(f"{entry.path} is a link to {Path(entry.path).readlink()}, where nothing is.")
        elif not is_clutter(entry.name):
            yield prefix + entry.name


def _link_target(link: Path, above: tuple[Path, ...]) -> Path:
    """Return the folder that a link leads to. Raise `DataError` if it holds the link."""
    real = link.resolve()
    if any(folder.is_relative_to(real) for folder in (*above, link.parent.resolve())):
        raise DataError(f"{link} is a link to {real}, which holds it: a circle without an end. Remove the link.")
    return real


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.") from error


def read_slice(file: Path, path: str, offset: int, length: int | None) -> bytes:
    """Return a file's bytes, or a slice of them; `path` names it in messages."""
    if length is None:
        return file.read_bytes()
    size = file.stat().st_size
    if offset + length > size:  # before reading, which would reserve memory for any length
        raise DataError(f"'{path}': the slice ends at byte {offset + length:,}, the file at {size:,}.")
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(length)


def archive_file(folder: Path, part: str) -> Path | None:
    """Return the archive to read as a folder: `train.zip` itself, or `train.zip` in place of a folder `train`."""
    exact = folder / part
    if exact.is_file():
        return exact if packing(exact) else None
    return next((file for extension in EXTENSIONS if (file := folder / (part + extension)).is_file()), None)


def nearest_sibling(root: Path) -> str:
    """Return which folder beside a missing one may be meant."""
    parent = root.absolute().parent
    if not parent.is_dir():
        return ""
    return did_you_mean(root.name, [path.name for path in parent.iterdir() if path.is_dir()])
