"""One check of an archive's members, before any of them is read or written."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from compete.errors import DataError

MOST_RATIO = 200  # unpacked bytes per packed byte; images and tables stay far below
MOST_PROBLEMS = 5
LOCKED = "the archive is locked with a password. Unpack it first."


class ListedMember(NamedTuple):
    """A member as its archive lists it: sizes in bytes, `packed_size` 0 where the archive does not tell."""

    name: str
    size: int
    packed_size: int = 0
    is_link: bool = False
    is_locked: bool = False


def unsafe_members(archive: Path, members: Iterable[ListedMember], most_bytes: int | None = None) -> Iterator[str]:
    """Yield why an archive is refused: a password, names that lead outside, links, and decompression bombs.

    Members that overlap, and more than `most_bytes` in all, are bombs.
    """
    size = packed_size = 0
    for member in members:
        if member.is_locked:
            yield LOCKED
            return
        if _leads_outside(member.name):
            yield f"the member '{member.name}' leads outside the archive; such an archive is refused."
        elif member.is_link:
            yield f"the member '{member.name}' is a link; such an archive is refused."
        size += member.size
        packed_size += member.packed_size
    if packed_size > archive.stat().st_size:
        yield "its members overlap; refused as a decompression bomb."
    if most_bytes is not None and size > most_bytes:
        yield bomb_text(most_bytes)


def refuse_unsafe(archive: Path, members: Iterable[ListedMember], most_bytes: int | None = None) -> None:
    """Raise `DataError` with the first reasons of `unsafe_members`, if there are any."""
    problems = list(unsafe_members(archive, members, most_bytes))
    if problems:
        raise DataError(f"{archive.name}: {problem}" for problem in problems[:MOST_PROBLEMS])


def zip_member(info: zipfile.ZipInfo) -> ListedMember:
    """Return a zip's entry for `unsafe_members`."""
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    return ListedMember(
        clean_name(info.filename), info.file_size, info.compress_size, is_link, is_locked=bool(info.flag_bits & 1)
    )


def clean_name(name: str) -> str:
    """Return a member's name with forward slashes and without a leading `./`."""
    return name.replace("\\", "/").removeprefix("./")


def unpacked_limit(archive: Path, most_bytes: int) -> int:
    """Return how many bytes an archive may unpack to: `most_bytes`, or more for a large archive."""
    return max(most_bytes, MOST_RATIO * archive.stat().st_size)


def bomb_text(most_bytes: int) -> str:
    """Explain that an archive unpacks to too much."""
    return f"unpacks to more than {most_bytes} bytes; refused as a decompression bomb."


def _leads_outside(name: str) -> bool:
    return name.startswith("/") or name[1:2] == ":" or "\0" in name or ".." in name.split("/")
