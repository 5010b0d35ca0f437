"""What the TOML names on the machine where a run was started, for machines that lack it: checked there, or shipped.

Shipped are the root, and files that the TOML names by paths relative to the working folder. They keep their places
below a folder of the machine's own, so that settings, on which results depend, stay as they are.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from compete.config.code import local_modules
from compete.errors import CompeteError
from compete.files.root import Files
from compete.files.safety import left_behind
from compete.identity import digest, digest_file
from compete.store import cannot_write, file_lock, is_private
from compete.text import format_list
from compete.toml.slots import SLOTS
from compete.urls.stores import place_of

if TYPE_CHECKING:
    from compete.config.load import Config

PIECE = 2**25  # bytes that travel at a time
ROOT, WORK = "root", "work"
Piece = tuple[int, int, int]  # a file's number, where the piece begins, its length


def named_paths(config: Config) -> dict[str, str]:
    """Return the paths that a TOML names on this machine, and where it does."""
    root = place_of(config.competition.root)
    found = {str(root): "[competition] root"} if isinstance(root, Path) else {}
    found |= {str(file): "plugins" for file in config.plugin_files}
    for kind, bounds in config.components.items():
        for bound in bounds:
            data = [Path(value.partition("#")[0]) for _, value in bound.data_files]
            files = [*bound.files, *(file for file in data if file.is_file())]
            found |= {str(file): f"a file of [{SLOTS[kind].table}]" for file in files}
    return found


def _is_inside(path: str) -> bool:
    """Return whether a path as it is written leads to the working folder or below it."""
    return not Path(path).is_absolute() and not os.path.normpath(path).startswith("..")


@dataclass(frozen=True)
class ShippedFile:
    """A file, its place in the folder that it is unpacked into, its size and its SHA-256."""

    place: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Shipment:
    """The files of a run, and of what it names those that cannot be shipped."""

    files: tuple[ShippedFile, ...]
    moves_root: bool
    left: dict[str, str]

    @cached_property
    def key(self) -> str:
        """What the content of all files is known by."""
        return digest([(file.place, file.sha256) for file in self.files])

    @cached_property
    def batches(self) -> list[list[Piece]]:
        """The pieces of all files in order, by what travels at a time."""
        batches: list[list[Piece]] = []
        room = 0
        for number, file in enumerate(self.files):
            for start in range(0, file.size or 1, PIECE):
                length = min(PIECE, file.size - start)
                if room <= 0:
                    batches.append([])
                    room = PIECE
                batches[-1].append((number, start, length))
                room -= length or 1
        return batches

    def read(self, batch: int) -> list[bytes]:
        """Return the pieces of a batch, on the machine that has the files."""
        pieces = []
        for number, start, length in self.batches[batch]:
            path = self.files[number].path
            try:
                with Path(path).open("rb") as file:
                    file.seek(start)
                    pieces.append(file.read(length))
            except OSError as error:
                raise CompeteError(f"cannot ship {path}: {error.strerror or error}") from error
        return pieces

    def unpack(self, read: Callable[[int], Sequence[bytes]]) -> Path:
        """Return the folder of the files on this machine, which `read(batch)` fills once: complete, or not at all.

        Raise `CompeteError` for a file that is not the one that was counted, and where the disk refuses.
        """
        folder = Path(tempfile.gettempdir()) / f"compete-shipped-{getpass.getuser()}" / self.key
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_private(folder.parent):  # code is among the files
            raise CompeteError(f"{folder.parent} on {socket.gethostname()} can be changed by others. Remove it.")
        with file_lock(folder.with_name(f"{self.key}.lock")):
            if not folder.is_dir():
                part = folder.with_name(f"{self.key}.part")
                shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
                try:
                    self._fill(part, read)
                    part.rename(folder)
                except OSError as error:
                    where = f" On {socket.gethostname()}, TMPDIR chooses the disk."
                    raise cannot_write(part, error, where) from error
                finally:
                    shutil.rmtree(part, ignore_errors=True)
        return folder

    def _fill(self, part: Path, read: Callable[[int], Sequence[bytes]]) -> None:
        (part / WORK).mkdir(parents=True)
        for batch, pieces in enumerate(self.batches):
            for (number, start, _), content in zip(pieces, read(batch), strict=True):
                target = part / self.files[number].place
                if not start:
                    target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("ab") as file:
                    file.write(content)
        sums = _digests([part / file.place for file in self.files])
        changed = [file.path for file, found in zip(self.files, sums, strict=True) if found != file.sha256]
        if changed:
            raise CompeteError(f"changed while they were shipped: {format_list(changed)}. Run the same command again.")
        if hasattr(os, "sync"):
            os.sync()  # before the name that says that all is there


def pack(config: Config) -> Shipment:
    """Return what a run of this configuration needs of this machine, with the content of each file counted."""
    named, root = named_paths(config), place_of(config.competition.root)
    moves_root = isinstance(root, Path) and not _is_inside(str(root))
    others = {path: what for path, what in named.items() if path != str(root)}
    inside = {path for path in others if _is_inside(path)} | set(_modules(config))
    found = {os.path.normpath(f"{WORK}/{path}"): Path(path) for path in sorted(inside)}
    if isinstance(root, Path):
        top = ROOT if moves_root else f"{WORK}/{root}"
        found |= {os.path.normpath(f"{top}/{name}"): root / name for name in _files_of(root)}
    files = [
        ShippedFile(place, str(file.absolute()), file.stat().st_size, sha256)
        for (place, file), sha256 in zip(found.items(), _digests([*found.values()]), strict=True)
    ]
    left = {path: what for path, what in others.items() if path not in inside}
    return Shipment(tuple(files), moves_root, left)


def _digests(files: Sequence[Path]) -> list[str]:
    with ThreadPoolExecutor() as threads:
        return list(threads.map(digest_file, files))


def _files_of(root: Path) -> Iterator[str]:
    """Yield the files of a root, without runs and what programs left behind."""
    runs = Path("submissions").resolve()
    for name in Files(root).walk(""):
        if not left_behind(name) and not (root / name).resolve().is_relative_to(runs):
            yield name


def _modules(config: Config) -> Iterator[str]:
    """Yield the modules below the working folder that plugins use, by their paths from there."""
    here = Path.cwd()
    for _, plugin in config.plugins.manager.list_name_plugin():
        for module in local_modules(plugin).values() if isinstance(plugin, ModuleType) else ():
            file = Path(module.__file__ or "").absolute()
            if file.is_file() and file.is_relative_to(here):
                yield str(file.relative_to(here))
