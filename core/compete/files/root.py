"""Read the bytes at an image path: a file, an archive's member or a file's slice; never outside the root."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compete.errors import DataError
from compete.files.archives import EXTENSIONS, Archive, file_stamp, is_clutter, open_archive, packing
from compete.files.nested import find_nested, open_nested
from compete.files.safety import MOST_BYTES, unusable_file
from compete.files.templates import IMAGE_EXTENSIONS, PathTemplate, path_template
from compete.files.unpacking import built_once
from compete.text import did_you_mean

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CACHE", "IMAGE_EXTENSIONS", "Files", "PathTemplate", "path_template"]

CACHE = Path(".compete")
CACHE_PREFIX = "cache:"
_IMAGES = tuple(f".{extension}" for extension in IMAGE_EXTENSIONS)
MOST_NAME_BYTES = 255  # of any file system
Parts = Sequence[str]  # of a path
_SLICE = re.compile(r"(.+)#(\d{1,18})\+(\d{1,18})")

FOLLOW_LINKS = "COMPETE_FOLLOW_LINKS"  # of the user's shell: no TOML may ask for it


class Files:
    """Reads paths below one root, written with forward slashes as in a table's column `image`.

    A path may lead into an archive (`train.zip/1.jpg`, or `train/1.jpg` if there is only a `train.zip`), also into one
    inside another (`all.zip/train.zip/1.jpg`, `all/train/1.jpg`), name a slice of a file (`train.bson#OFFSET+LENGTH`),
    or, after the prefix `cache:`, a file below the cache folder. Threads, forked and spawned processes may share one.
    Every method raises `DataError` for a path that leads outside.
    """

    def __init__(self, root: Path, cache: Path = CACHE, most_bytes: int = MOST_BYTES) -> None:
        if not root.is_dir():
            raise DataError(f"no such folder: {root}.{_nearest_sibling(root)}")
        self.root = root.resolve()
        self.cache = cache.absolute()
        self.most_bytes = most_bytes
        self._archives: dict[Path, Archive] = {}
        self._places: dict[str, tuple[Path | Archive, str]] = {}
        self._lock = os.getpid(), threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._lock = os.getpid(), threading.Lock()

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        found, offset, length = self._locate(path)
        if isinstance(found, Path):
            if (found.stat().st_size if length is None else length) > self.most_bytes:
                raise DataError(f"'{path}': more than {self.most_bytes:,} bytes are not read at once.")
            return _read(found, path, offset, length)
        if length is not None:
            raise DataError(f"'{path}': only an unpacked file can be sliced. Unpack the archive.")
        archive, member = found
        return archive.read(member, self.most_bytes)

    def exists(self, path: str) -> bool:
        """Return whether the file exists."""
        return self._find(_split_slice(path)[0]) is not None

    def present(self, paths: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return whether each of many paths exists (N,), listing each folder once."""
        import numpy as np

        listed: dict[str, set[str]] = {}
        there = np.zeros(len(paths), dtype=bool)
        for number, path in enumerate(paths):  # millions a second, ten times as fast as pandas' string methods
            folder, _, name = (_split_slice(path)[0] if "#" in path else path).rpartition("/")
            if folder not in listed:
                listed[folder] = set(self.list(folder))
            there[number] = name in listed[folder]
        return there

    def stamp(self, path: str) -> str:
        """Return a string that changes with the file's size and modification time, without reading the file."""
        found, offset, length = self._locate(path)
        if isinstance(found, Path):
            return file_stamp(found) if length is None else f"{file_stamp(found)}#{offset}+{length}"
        archive, member = found
        return f"{archive.stamp}/{archive.members[member].offset}+{archive.members[member].size}"

    def walk(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder or archive, relative to it, sorted.

        Links to folders below the root are followed; others, broken ones and circles raise `DataError`.
        """
        place = self._place(_clean(folder))
        if place is None:
            return []
        where, inside = place
        if isinstance(where, Archive):
            return where.walk(inside)
        return sorted(self._files_below(where, (where.resolve(),)))

    def list(self, folder: str) -> list[str]:
        """Return the sorted names in a folder or archive, or none if there is no such folder."""
        place = self._place(_clean(folder))
        if place is None:
            return []
        where, inside = place
        if isinstance(where, Archive):
            return where.list(inside)
        return sorted(path.name for path in where.iterdir() if not is_clutter(path.name))

    def build_once(self, name: str, build: Callable[[Path], object]) -> str:
        """Let `build` fill a folder below the cache if it does not exist; return its path, `cache:<name>`.

        The folder appears complete or not at all. Its name must hold everything that its content depends on.
        """
        built_once(self.cache / name, build)
        return CACHE_PREFIX + name

    def _locate(self, path: str) -> tuple[Path | tuple[Archive, str], int, int | None]:
        """Return where a path is, and the slice of the file that it names. Raise `DataError` if there is no file."""
        name, offset, length = _split_slice(path)
        found = self._find(name)
        if found is None:
            raise DataError(f"no file '{path}' below {self.root}.{self._nearest(name)}")
        return found, offset, length

    def _find(self, path: str) -> Path | tuple[Archive, str] | None:
        folder, _, name = _clean(path).rpartition("/")
        place = self._place(folder)
        if place is None or not name:
            return None
        where, inside = place
        if isinstance(where, Archive):
            member = where.find(f"{inside}/{name}" if inside else name)
            return None if member is None else (where, member)
        file = where / name
        if not file.is_file():
            return None
        if file.is_symlink():
            self._refuse_link_outside(file)
        return file

    def _place(self, folder: str) -> tuple[Path | Archive, str] | None:
        """Return the folder on disk, or the archive and the folder inside it; found ones are cached."""
        known = self._places.get(folder)
        if known is None:
            known = self._look_up(folder)
            if known is not None:
                self._places[folder] = known
        return known

    def _look_up(self, folder: str) -> tuple[Path | Archive, str] | None:
        at, rest = self.root, folder
        if folder.startswith(CACHE_PREFIX):
            at, rest = self.cache, folder.removeprefix(CACHE_PREFIX)
        parts = rest.split("/") if rest else []
        for number, part in enumerate(parts):
            if not (at / part).is_dir():
                file = _archive_file(at, part)
                if file is None:
                    return None
                self._refuse_link_outside(file)
                return self._inside(file, parts[number + 1 :])
            at = at / part
        self._refuse_link_outside(at)
        return at, ""

    def _inside(self, file: Path, parts: Parts) -> tuple[Archive, str]:
        """Return the innermost archive that a path below an archive leads into, and the folder inside it."""
        archive = self._archive(file, partial(open_archive, file))
        while (nested := find_nested(archive, parts)) is not None:
            name, parts = nested
            archive = self._archive(archive.path / name, partial(open_nested, archive, name))
        return archive, "/".join(parts)

    def _archive(self, key: Path, open_it: Callable[[Path, int], Archive]) -> Archive:
        """Open an archive once, even if several threads ask for it."""
        if self._lock[0] != os.getpid():  # a fork may have copied a lock while another thread held it
            self._lock = os.getpid(), threading.Lock()
        with self._lock[1]:
            if key not in self._archives:
                self._archives[key] = open_it(self.cache, self.most_bytes)
        return self._archives[key]

    def _refuse_link_outside(self, path: Path) -> None:
        real = path.resolve()
        if not (real.is_relative_to(self.root) or real.is_relative_to(self.cache.resolve())):
            if os.environ.get(FOLLOW_LINKS) == "1":
                return
            raise DataError(
                f"{path} is a link to {real}, outside the root {self.root}; such links are refused, as data of others "
                f"may hold them. If it is yours, run the same command after: export {FOLLOW_LINKS}=1"
            )

    def _files_below(self, folder: Path, above: tuple[Path, ...], prefix: str = "") -> Iterator[str]:
        """Yield the files below a folder; `above` are the real folders that the links on the way to it led to."""
        for entry in _entries(folder):
            if entry.is_dir():
                inside = above
                if entry.is_symlink():
                    inside = (*above, self._link_target(Path(entry.path), above))
                yield from self._files_below(Path(entry.path), inside, f"{prefix}{entry.name}/")
            elif entry.is_symlink() and not Path(entry.path).exists() and not entry.name.lower().endswith(_IMAGES):
                raise DataError(f"{entry.path} is a link to {Path(entry.path).readlink()}, where nothing is.")
            elif not is_clutter(entry.name):
                yield prefix + entry.name

    def _link_target(self, link: Path, above: tuple[Path, ...]) -> Path:
        """Return the folder that a link leads to. Raise `DataError` if it is outside the root, or holds the link."""
        self._refuse_link_outside(link)
        real = link.resolve()
        if any(folder.is_relative_to(real) for folder in (*above, link.parent.resolve())):
            raise DataError(f"{link} is a link to {real}, which holds it: a circle without an end. Remove the link.")
        return real

    def _nearest(self, path: str) -> str:
        folder, _, name = _clean(path).rpartition("/")
        names = self.list(folder)
        if name in names:
            place = self._place(folder)
            on_disk = place is not None and isinstance(place[0], Path)
            return f" It is {unusable_file(self.root / folder / name) if on_disk else 'a folder'}."
        if not names and folder:
            return f" There is no folder or archive '{folder}'.{did_you_mean(folder, self.list(''))}"
        return did_you_mean(name, names[:1000])  # the comparison is slow


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.") from error


def _clean(path: str) -> str:
    """Return a path without `.` and empty parts. Raise `DataError` if it leads outside the root."""
    prefix = CACHE_PREFIX if path.startswith(CACHE_PREFIX) else ""
    rest = path.removeprefix(prefix)
    if "\\" in rest or "\0" in rest:
        raise DataError(f"'{path}': paths need forward slashes.")
    parts = [part for part in rest.split("/") if part not in ("", ".")]
    if rest.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", rest):
        raise DataError(f"'{path}' leads outside the root. Paths are relative to the root, without '..'.")
    if any(len(part.encode(errors="surrogatepass")) > MOST_NAME_BYTES for part in parts):
        raise DataError(f"'{path}': no file has a name of more than {MOST_NAME_BYTES} bytes. Check [dataset].")
    return prefix + "/".join(parts)


def _split_slice(path: str) -> tuple[str, int, int | None]:
    match = _SLICE.fullmatch(path)
    return (match[1], int(match[2]), int(match[3])) if match else (path, 0, None)


def _read(file: Path, path: str, offset: int, length: int | None) -> bytes:
    if length is None:
        return file.read_bytes()
    size = file.stat().st_size
    if offset + length > size:  # before reading, which would reserve memory for any length
        raise DataError(f"'{path}': the slice ends at byte {offset + length:,}, the file at {size:,}.")
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(length)


def _archive_file(folder: Path, part: str) -> Path | None:
    """Return the archive to read as a folder: `train.zip` itself, or `train.zip` in place of a folder `train`."""
    exact = folder / part
    if exact.is_file():
        return exact if packing(exact) else None
    return next((file for extension in EXTENSIONS if (file := folder / (part + extension)).is_file()), None)


def _nearest_sibling(root: Path) -> str:
    parent = root.absolute().parent
    if not parent.is_dir():
        return ""
    return did_you_mean(root.name, [path.name for path in parent.iterdir() if path.is_dir()])
