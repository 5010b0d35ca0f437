"""Archives inside archives: each is unpacked once below the cache, within the limits of the one that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from compete.errors import DataError
from compete.files.archives import EXTENSIONS, Archive, open_archive
from compete.files.safety import bomb_text, unpacked_limit
from compete.files.unpacking import unpacked_once
from compete.text import echo

MOST_LEVELS = 3


def find_nested(archive: Archive, parts: Sequence[str]) -> tuple[str, Sequence[str]] | None:
    """Return the member of an archive that a path leads into, itself an archive, and the rest of the path; or None.

    A folder comes before an archive of the same name without its extension, as on a disk.
    """
    for number in range(1, len(parts) + 1):
        folder = "/".join(parts[:number])
        if not archive.has_folder(folder):
            found = archive.find_archive(folder)
            return None if found is None else (found, parts[number:])
    return None


def open_nested(outer: Archive, name: str, cache: Path, most_bytes: int) -> Archive:
    """Index an archive that is a member of another one, which is unpacked the first time and said.

    Raise `DataError` for too many levels, for more bytes than the outer one may unpack to, and as `open_archive`.
    """
    if outer.level == MOST_LEVELS:
        raise DataError(
            f"{outer.path.name}: '{name}' is an archive inside {MOST_LEVELS} others; at most {MOST_LEVELS} levels are "
            "read. Unpack the outermost one."
        )
    most = unpacked_limit(outer.path, most_bytes)
    if sum(m.size for other, m in outer.members.items() if other.lower().endswith(EXTENSIONS)) > most:
        raise DataError(f"{outer.path.name}: the archives in it {bomb_text(most).replace('unpacks', 'unpack')}")
    file_name = name.rpartition("/")[2]

    def unpack(folder: Path) -> None:
        size = outer.members[name].size
        echo(f"{outer.path.name}: unpacking '{name}' once, {size / 1e6:,.1f} MB below {cache}", err=True)
        with (folder / file_name).open("wb") as file:
            outer.copy(name, file, most)

    folder = unpacked_once(outer.path, f"{outer.stamp} {name}", cache, unpack)
    return replace(open_archive(folder / file_name, cache, most_bytes), level=outer.level + 1)
