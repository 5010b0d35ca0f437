"""Archives read in place: an index of the members, and the bytes of one member at a time.

Zip and plain tar are read as they are. Compressed tar and 7z have no random access: they are unpacked once below a
cache folder, to a plain tar or to a folder. No file stays open between reads, so threads, forked and spawned workers
share only the index.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, NamedTuple, Protocol

from compete.errors import DataError
from compete.files.safety import ListedMember, clean_name, is_clutter, name_encoding, refuse_unsafe, zip_members
from compete.files.unpacking import decompress, extract_7z, unpacked_once
from compete.text import plural

Packing = Literal["zip", "tar", "7z", "gz", "bz2", "xz"]

EXTENSIONS = (".zip", ".tar", ".7z", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_PLAIN = -1  # the method of a member whose bytes are stored as they are, without a zip header
_LOCAL_HEADER_BYTES = 30
_BLOCK_BYTES = 1 << 22


class Readable(Protocol):
    """A file, or what unpacks one."""

    def read(self, n: int, /) -> bytes:
        """Return at most `n` bytes, none at the end."""


class Member(NamedTuple):
    """Position and size of a member in its archive, in bytes. A tuple, because an archive may have millions."""

    offset: int
    size: int
    packed_size: int = 0
    method: int = _PLAIN
    crc: int = 0


@dataclass(frozen=True)
class Archive:
    """An indexed archive: its members by their names in it.

    `base` is the folder that paths may leave out: the only one at the top, or the one named like the archive.
    """

    path: Path
    stamp: str
    members: Mapping[str, Member]
    base: str = ""
    unpacked: Path | None = None
    level: int = 1  # 2: it lies in another one
    _folders: dict[str, set[str]] = field(default_factory=dict, repr=False)

    def find(self, name: str) -> str | None:
        """Return the name of the member at a path with or without the base folder, or None."""
        return next((full for full in (self.base + name, name) if full in self.members), None)

    def has_folder(self, folder: str) -> bool:
        """Return whether there is a folder of this name, with or without the base folder."""
        return self._full(folder) in self._tree()

    def find_archive(self, name: str) -> str | None:
        """Return the name of the member that is an archive of this name, whose extension may be left out, or None."""
        names = [name] if name.lower().endswith(EXTENSIONS) else [name + extension for extension in EXTENSIONS]
        return next((found for found in map(self.find, names) if found is not None), None)

    def read(self, name: str, most_bytes: int) -> bytes:
        """Return a member's bytes. Raise `DataError` if it is too large, or damaged."""
        content = io.BytesIO()
        self.copy(name, content, most_bytes)
        return content.getvalue()

    def copy(self, name: str, to: IO[bytes], most_bytes: int) -> None:
        """Write a member's bytes to a file. Raise `DataError` if it is too large, or damaged."""
        member = self.members[name]
        if member.size > most_bytes:
            raise DataError(
                f"{self.path.name}: '{name}' unpacks to {member.size} bytes; more than {most_bytes} are refused."
            )
        with (self.path if self.unpacked is None else self.unpacked / name).open("rb") as file:
            file.seek(member.offset)
            written = _copy(file, to, member.size) if member.method == _PLAIN else _inflate(file, name, member, to)
        if written != member.size:
            raise DataError(f"{self.path.name}: the archive ends inside '{name}'. Download it again.")

    def stamp_of(self, name: str) -> str:
        """Return a text that changes with a member."""
        return f"{self.stamp}/{self.members[name].offset}+{self.members[name].size}"

    def mark_of(self, _name: str) -> str:
        """Return what identifies a member's content where that is known without reading it, or an empty string."""
        return ""

    def walk(self, folder: str) -> list[str]:
        """Return the paths of all members in a folder and below, relative to it, sorted."""
        prefix = f"{self._full(folder)}/" if folder else self.base
        # At the top, members outside the base folder keep their full names.
        return sorted(name.removeprefix(prefix) for name in self.members if not folder or name.startswith(prefix))

    def list(self, folder: str) -> list[str]:
        """Return the sorted names in a folder ("" is the archive itself), or none if there is no such folder."""
        folders = self._tree()
        if folder:
            return sorted(folders.get(self._full(folder), ()))
        top = self.base.rstrip("/")
        return sorted(folders.get(top, set()) | (folders.get("", set()) - {top}))

    def _full(self, folder: str) -> str:
        """Return a folder's name in the archive."""
        return self.base + folder if self.base + folder in self._tree() else folder

    def _tree(self) -> dict[str, set[str]]:
        """Return the names in every folder, computed at the first call."""
        if not self._folders:
            tree: dict[str, set[str]] = {}
            for name in self.members:
                child = name
                while child:
                    parent, _, last = child.rpartition("/")
                    known = tree.setdefault(parent, set())
                    if last in known:
                        break
                    known.add(last)
                    child = parent
            self._folders.update(tree)
        return self._folders


def packing(path: Path) -> Packing | None:
    """Return a file's packing by its first bytes (its extension may lie), or None if it is not an archive."""
    with path.open("rb") as file:
        head = file.read(262)
    return packing_of(head)


def packing_of(head: bytes) -> Packing | None:
    """Return the packing by a file's first 262 bytes, or None if it is not an archive."""
    signatures: tuple[tuple[bytes, Packing], ...] = (
        (b"PK\x03\x04", "zip"),
        (b"PK\x05\x06", "zip"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x1f\x8b\x08", "gz"),
        (b"BZh", "bz2"),
        (b"\xfd7zXZ\x00", "xz"),
    )
    if head[257:262] == b"ustar":
        return "tar"
    return next((kind for signature, kind in signatures if head.startswith(signature)), None)


def open_archive(path: Path, cache: Path, most_bytes: int) -> Archive:
    """Index an archive; unpack it below `cache` first if it cannot be read in place.

    Raise `DataError` for a damaged archive, and for what `refuse_unsafe` refuses.
    """
    if not path.stat().st_size:
        raise DataError(f"{path.name}: the file is empty. Download it again.")
    kind = packing(path)
    stamp = file_stamp(path)
    unpacked = None
    try:
        if kind == "zip":
            members = _index_zip(path)
        elif kind == "tar":
            members = _index_tar(path)
        elif kind == "7z":
            unpacked = unpacked_once(path, stamp, cache, lambda to: extract_7z(path, to, most_bytes))
            members = _index_folder(unpacked)
        elif kind is not None:
            return _open_compressed(path, kind, stamp, cache, most_bytes)
        else:
            raise DataError(f"{path.name}: not a zip, tar or 7z archive.")
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path.name}: the archive cannot be read: {error}. Download it again.") from error
    if not members:
        raise DataError(f"{path.name}: the archive is empty.")
    return Archive(path, stamp, members, base_folder(members, path), unpacked)


def file_stamp(path: Path) -> str:
    """Return a text that changes whenever the file may have, without reading it: size, times, inode and absolute path.

    A program can set the modification time of a file, but not the time of its last change (ctime).
    """
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino} {path.absolute()}"


def _index_zip(path: Path) -> dict[str, Member]:
    with zipfile.ZipFile(path) as archive:
        files = [(member, info) for member, info in zip_members(archive.infolist()) if not member.is_link]
    refuse_unsafe(path, [member for member, _ in files])
    return {
        member.name: Member(info.header_offset, info.file_size, info.compress_size, info.compress_type, info.CRC)
        for member, info in files
        if not is_clutter(member.name)
    }


def _index_tar(path: Path) -> dict[str, Member]:
    with path.open("rb") as file:
        return index_tar(file, path)


def index_tar(
    file: IO[bytes], path: Path, visit: Callable[[tarfile.TarInfo], object] = lambda _: None
) -> dict[str, Member]:
    """Index an opened tar, whose `path` names it in messages; `visit` sees each file's header while it is there."""
    infos = []
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for info in archive:
            if info.isreg() and not info.issparse():
                visit(info)
                infos.append(info)
        end = archive.offset
    raw = [os.fsencode(info.name) for info in infos]
    encoding = name_encoding([name for name in raw if not name.isascii()])
    members = [(clean_name(name.decode(encoding)), info) for name, info in zip(raw, infos, strict=True)]
    refuse_unsafe(path, [ListedMember(name, info.size) for name, info in members])
    file.seek(end)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile stops in silence at a cut-off header
        raise DataError(
            f"{path.name}: the archive ends after {plural(len(members), 'file')} without a tar's end mark: it was "
            "cut off. Download it again."
        )
    return {name: Member(info.offset_data, info.size) for name, info in members if not is_clutter(name)}


def _index_folder(folder: Path) -> dict[str, Member]:
    """Index an unpacked archive, without its links."""
    return {
        file.relative_to(folder).as_posix(): Member(0, file.stat().st_size)
        for file in sorted(folder.rglob("*"))
        if stat.S_ISREG(file.lstat().st_mode) and not is_clutter(file.name)
    }


def base_folder(members: Mapping[str, Member], path: Path) -> str:
    """Return the folder that paths may leave out, with its slash, or an empty string."""
    tops = {name.partition("/")[0] if "/" in name else "" for name in members}
    stem = path.name
    for extension in sorted(EXTENSIONS, key=len, reverse=True):
        stem = stem.removesuffix(extension)
    if len(tops) == 1 and "" not in tops:
        return f"{tops.pop()}/"
    return f"{stem}/" if stem in tops else ""


def _copy(file: Readable, to: IO[bytes], size: int) -> int:
    """Copy at most so many bytes, and return how many there were."""
    left = size
    while left and (block := file.read(min(left, _BLOCK_BYTES))):
        left -= to.write(block)
    return size - left


def _inflate(file: IO[bytes], name: str, member: Member, to: IO[bytes]) -> int:
    """Unpack a zip member and return its size; `file` is at the start of its header."""
    header = file.read(_LOCAL_HEADER_BYTES)
    if not header.startswith(b"PK\x03\x04"):
        raise DataError(f"'{name}' is damaged inside its zip. Download the archive again.")
    # The local header's name and extra field may be longer than the index says: read both lengths here.
    file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), os.SEEK_CUR)
    info = zipfile.ZipInfo("member")
    info.compress_type, info.compress_size = member.method, member.packed_size
    info.file_size, info.CRC = member.size, member.crc
    try:
        with zipfile.ZipExtFile(file, "r", info) as unpacker:
            return _copy(unpacker, to, member.size + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(f"'{name}' is damaged inside its zip: {error}.") from error


def _open_compressed(path: Path, kind: Packing, stamp: str, cache: Path, most_bytes: int) -> Archive:
    """Unpack a compressed file once: a tar is indexed, any other file is the only member."""
    folder = unpacked_once(path, stamp, cache, lambda to: decompress(path, kind, to / "content", most_bytes))
    content = folder / "content"
    if packing(content) == "tar":
        members = _index_tar(content)
        return Archive(content, stamp, members, base_folder(members, path))
    name = path.name.removesuffix(f".{kind}")
    return Archive(content, stamp, {name: Member(0, content.stat().st_size)})
