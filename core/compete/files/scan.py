"""Scan a competition folder: its tables, JSON and BSON files, and some of its images, packed or not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from compete.errors import DataError
from compete.files.archives import EXTENSIONS
from compete.files.encodings import foreign_names
from compete.files.extensions import PHOTOGRAPHS, READABLE, choose_family, extension_of, unread_files
from compete.files.root import Files
from compete.files.safety import is_clutter, left_behind
from compete.text import format_first

T = TypeVar("T")

MOST_FOLDERS, MOST_SUBFOLDERS, MOST_NAMES, MOST_DEPTH = 1500, 60, 400, 7
MOST_MEMBERS, MOST_NESTED = 20_000, 50
PACKED = (*EXTENSIONS, ".gz")
TABLES, RECORDS = (".csv", ".tsv", ".jsonl"), (".json", ".bson")


@dataclass(frozen=True)
class Scan:
    """What a folder holds: paths below its root, which `files` reads.

    `tables` and `records` (JSON, BSON) map the name that a TOML uses to the path it is read from. `images` are at most
    a few hundred paths of each folder, without the extension of an archive, since a path below `train` also leads
    into `train.zip`; `extensions` are those that count as images here. `unopened` says which archives
    cannot be read, and which file names.
    """

    files: Files
    tables: Mapping[str, str]
    records: Mapping[str, str]
    images: Sequence[str]
    extensions: tuple[str, ...]
    others: Sequence[str]
    unopened: Sequence[str]

    def is_image(self, path: str) -> bool:
        """Return whether a file counts as an image, by its extension."""
        return extension_of(path) in self.extensions


def scan_folder(folder: Path, cache: Path) -> Scan:
    """Scan a folder; archives are indexed, and only what must be is unpacked (7z, tar.gz), below `cache`.

    Raise `DataError` if the folder does not exist or is empty.
    """
    files = Files(folder, cache)
    if not files.list(""):
        raise DataError(f"{folder} is empty; put the competition's files there.")
    sorter = _Sorter(files)
    paths = list(_walk(files, sorter.unopened))
    sorter.unopened += filter(None, [foreign_names(paths, str(folder))])
    for path in paths:
        if not foreign_names([path], ""):
            sorter.sort(path)
    extensions = choose_family(Counter(map(extension_of, sorter.images)))
    images = [path for path in sorter.images if extension_of(path) in extensions]
    others = [*sorter.others, *(path for path in sorter.images if extension_of(path) not in extensions)]
    sorter.unopened += unread_files(
        others, PHOTOGRAPHS, "If they are images of this competition, convert them to .jpg."
    )
    return Scan(files, sorter.tables, sorter.records, images, extensions, others, sorter.unopened)


def without_packing(path: str) -> str:
    """Return a path without the extension of an archive."""
    extension = next((e for e in sorted(PACKED, key=len, reverse=True) if path.lower().endswith(e)), "")
    return path[: len(path) - len(extension)]


def spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most so many items, evenly spread."""
    step = max(1, -(-len(items) // most))
    return list(items[::step])


@dataclass
class _Sorter:
    """Sorts the files of a folder by their extensions while it is walked."""

    files: Files
    tables: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unopened: list[str] = field(default_factory=list)

    def sort(self, path: str) -> None:
        """Sort a file on disk in, or what an archive holds."""
        stem = without_packing(path)
        gzipped = path.lower().endswith(".gz") and not path.lower().endswith(EXTENSIONS)
        if stem == path or (gzipped and not _is_data(stem)):
            self._add(path, path)
        elif not (self.files.root / stem).exists():
            self._open(path, stem)

    def _add(self, path: str, place: str) -> None:
        extension = f".{extension_of(path)}"
        if extension in TABLES:
            self.tables[path] = place
        elif extension in RECORDS:
            self.records[path] = place
        elif extension[1:] in READABLE:
            self.images.append(path)
        else:
            self.others.append(path)

    def _open(self, path: str, stem: str) -> None:
        """Sort an archive's members in, or keep the reason why it cannot be opened."""
        try:
            members = self.files.walk(path)
        except DataError as error:
            self.unopened += error.problems
            return
        if len(members) == 1 and _is_data(stem):
            self._add(stem, f"{path}/{members[0]}")
            return
        members = [name for name in members if not left_behind(name)]
        inner = [name for name in members if name.lower().endswith(EXTENSIONS)]
        for name in inner[:MOST_NESTED]:
            nested = without_packing(name)
            taken = any(member.startswith(f"{nested}/") for member in members)
            self._open(f"{path}/{name}", f"{stem}/{name if taken else nested}")
        if inner[MOST_NESTED:]:
            rest = format_first(inner[MOST_NESTED:])
            self.unopened.append(f"{path} holds {len(inner)} archives; these are not opened: {rest}. Unpack {path}.")
        members = [name for name in members if name not in inner]
        data = [name for name in members if _is_data(name)]
        others = [name for name in members if not _is_data(name)]
        for member in [*data, *spread(others, MOST_MEMBERS)]:
            self._add(f"{stem}/{member}", f"{path}/{member}")


def _walk(files: Files, unopened: list[str]) -> Iterator[str]:
    """Yield files, folder by folder from the top, with a sample of what large folders hold."""
    folders, depth, seen = [""], 0, 0
    while folders and depth < MOST_DEPTH:
        below: list[str] = []
        for folder in folders[: MOST_FOLDERS - seen]:
            names, subfolders = _entries(files, folder, unopened)
            yield from (_join(folder, name) for name in names)
            below += [_join(folder, name) for name in spread(subfolders, MOST_SUBFOLDERS)]
        seen += len(folders)
        folders, depth = spread(below, MOST_FOLDERS), depth + 1


def _entries(files: Files, folder: str, unopened: list[str]) -> tuple[list[str], list[str]]:
    """Return the names of a folder's files, of images only a sample, and of its subfolders."""
    images, others, subfolders = [], [], []
    with os.scandir(files.root / folder) as entries:
        for entry in entries:
            if is_clutter(entry.name) or left_behind(entry.name):
                continue
            if entry.is_dir():
                if not entry.is_symlink() or _leads_below(files, _join(folder, entry.name), unopened):
                    subfolders.append(entry.name)
            elif extension_of(entry.name) in READABLE:
                images.append(entry.name)
            else:
                others.append(entry.name)
    return spread(sorted(images), MOST_NAMES) + spread(sorted(others), MOST_NAMES), sorted(subfolders)


def _leads_below(files: Files, link: str, unopened: list[str]) -> bool:
    """Return whether a link leads to a folder below the root that does not hold it, or keep why it does not."""
    try:
        files.list(link)
    except DataError as error:
        unopened += error.problems
        return False
    return not (files.root / link).parent.resolve().is_relative_to((files.root / link).resolve())


def _is_data(name: str) -> bool:
    return name.lower().endswith((*TABLES, *RECORDS))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
