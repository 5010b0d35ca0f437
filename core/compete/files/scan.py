"""Look at a competition folder: its tables, JSON and BSON files, and a sample of its images, packed or not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from compete.errors import DataError
from compete.files.archives import EXTENSIONS, is_clutter
from compete.files.root import IMAGE_EXTENSIONS, Files
from compete.init.extensions import READABLE, choose_family, ending_of, what_is_there_instead

T = TypeVar("T")

MOST_FOLDERS, MOST_SUBFOLDERS, MOST_NAMES, MOST_DEPTH = 1500, 60, 400, 7
MOST_MEMBERS = 20_000
PACKED = (*EXTENSIONS, ".gz")
TABLES, RECORDS = (".csv", ".tsv"), (".json", ".bson")


@dataclass
class Look:
    """What a folder holds. `tables` and `records` map the name that a TOML writes to the place it is read from.

    `images` are at most a few hundred paths of every folder; an archive's ending is left out of them, since a path
    below `train` also leads into `train.zip`. `endings` are theirs: of images, or of what other readers read.
    """

    files: Files
    tables: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    endings: tuple[str, ...] = IMAGE_EXTENSIONS
    others: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def add(self, path: str, place: str) -> None:
        """Sort a file in by its ending."""
        ending = f".{ending_of(path)}"
        if ending in TABLES:
            self.tables[path] = place
        elif ending in RECORDS:
            self.records[path] = place
        elif ending[1:] in READABLE:
            self.images.append(path)
        else:
            self.others.append(path)

    def is_image(self, path: str) -> bool:
        """Tell by its ending whether a file is one of the images."""
        return ending_of(path) in self.endings

    def settle(self) -> None:
        """Choose which of the files that readers read are the images."""
        self.endings = choose_family(Counter(map(ending_of, self.images)))
        self.others += [path for path in self.images if not self.is_image(path)]
        self.images = [path for path in self.images if self.is_image(path)]


def look_at(folder: Path, cache: Path) -> Look:
    """Look at a folder; archives are indexed, and only what must be is unpacked (7z, tar.gz), below `cache`.

    Raise `DataError` where there is no folder, or nothing in it.
    """
    look = Look(Files(folder, cache))
    if not look.files.list(""):
        raise DataError(f"{folder} is empty; put the competition's files there.")
    for path in _walk(look.files.root):
        stem = without_packing(path)
        if stem == path or (
            path.lower().endswith(".gz") and not path.lower().endswith(EXTENSIONS) and not _is_data(stem)
        ):
            look.add(path, path)
        elif not (look.files.root / stem).exists():
            _open(look, path, stem)
    look.settle()
    return look


def refuse_without_images(look: Look) -> None:
    """Raise `DataError` where no image was found, nor records that may hold some."""
    if look.images:
        return
    seen = what_is_there_instead(look.others)
    raise DataError(
        [f"{look.files.root} holds no image ({', '.join(READABLE)}) and no JSON or BSON.{seen}", *look.closed]
    )


def without_packing(path: str) -> str:
    """Return a path without the ending of an archive."""
    ending = next((e for e in sorted(PACKED, key=len, reverse=True) if path.lower().endswith(e)), "")
    return path[: len(path) - len(ending)]


def spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most so many items, evenly spread."""
    step = max(1, -(-len(items) // most))
    return list(items[::step])


def _walk(root: Path) -> Iterator[str]:
    """Yield files, folder by folder from the top, with a sample of what large folders hold."""
    folders, depth, seen = [""], 0, 0
    while folders and depth < MOST_DEPTH:
        below: list[str] = []
        for folder in folders[: MOST_FOLDERS - seen]:
            names, subfolders = _entries(root / folder)
            yield from (_join(folder, name) for name in names)
            below += [_join(folder, name) for name in spread(subfolders, MOST_SUBFOLDERS)]
        seen += len(folders)
        folders, depth = spread(below, MOST_FOLDERS), depth + 1


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of a folder's files, of images only a sample, and of its subfolders."""
    images, others, subfolders = [], [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_clutter(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                subfolders.append(entry.name)
            elif ending_of(entry.name) in READABLE:
                images.append(entry.name)
            else:
                others.append(entry.name)
    return spread(sorted(images), MOST_NAMES) + spread(sorted(others), MOST_NAMES), sorted(subfolders)


def _open(look: Look, path: str, stem: str) -> None:
    """Sort an archive's members in, or keep the reason why it cannot be opened."""
    try:
        members = look.files.walk(path)
    except DataError as error:
        look.closed += error.problems
        return
    if len(members) == 1 and _is_data(stem):
        look.add(stem, f"{path}/{members[0]}")
        return
    few = [name for name in members if _is_data(name)]
    for member in [*few, *spread(_rest(members, few), MOST_MEMBERS)]:
        look.add(f"{stem}/{member}", f"{path}/{member}")


def _is_data(name: str) -> bool:
    return name.lower().endswith((*TABLES, *RECORDS))


def _rest(members: Sequence[str], without: Iterable[str]) -> list[str]:
    left_out = set(without)
    return [name for name in members if name not in left_out]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
