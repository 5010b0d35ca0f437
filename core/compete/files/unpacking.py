"""Unpack archives without random access (7z and compressed files), once, below a cache folder."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from compete.errors import DataError
from compete.files.safety import LOCKED, ListedMember, bomb_text, clean_name, refuse_unsafe, unpacked_limit

_OPENERS: Mapping[str, Callable[[Path], Any]] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}


def decompress(path: Path, kind: str, to: Path, most_bytes: int) -> None:
    """Write the content of a compressed file to `to`. Raise `DataError` for a decompression bomb."""
    most = unpacked_limit(path, most_bytes)
    written = 0
    with _OPENERS[kind](path) as packed, to.open("wb") as plain:
        while block := packed.read(1 << 20):
            written += len(block)
            if written > most:
                raise DataError(f"{path.name}: {bomb_text(most)}")
            plain.write(block)


def extract_7z(path: Path, to: Path, most_bytes: int) -> None:
    """Unpack a 7z archive into the empty folder `to`. Raise `DataError` for an unsafe one, or without py7zr."""
    try:
        py7zr = importlib.import_module("py7zr")
    except ImportError as error:
        raise DataError(
            f"{path.name}: reading 7z needs py7zr: pip install py7zr. Or unpack the archive yourself."
        ) from error
    try:
        with py7zr.SevenZipFile(path) as archive:
            if archive.needs_password():
                raise DataError(f"{path.name}: {LOCKED}")
            members = [
                ListedMember(clean_name(info.filename), info.uncompressed, content=getattr(info, "crc32", None))
                for info in archive.list()
                if not getattr(info, "is_directory", False)
            ]
            refuse_unsafe(path, members, unpacked_limit(path, most_bytes))
            archive.extractall(to)
    except (py7zr.exceptions.ArchiveError, lzma.LZMAError) as error:
        raise DataError(f"{path.name}: the archive cannot be read: {error}.") from error


def unpacked_once(path: Path, stamp: str, cache: Path, unpack: Callable[[Path], None]) -> Path:
    """Return the folder with an archive's content, which `unpack` fills the first time."""
    key = sha256(f"{path.resolve()} {stamp}".encode()).hexdigest()[:16]
    return built_once(cache / "archives" / key, unpack)


def built_once(folder: Path, build: Callable[[Path], object]) -> Path:
    """Return a folder that `build` fills if it does not exist; it appears complete or not at all."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        build(work)
        with suppress(OSError):  # another process may have been faster
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder
