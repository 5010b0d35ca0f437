"""Unpack what cannot be read in the middle: 7z and compressed files, once, below a cache folder."""

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

MOST_RATIO = 200  # unpacked bytes for each packed one; images and tables stay far below
_OPENERS: Mapping[str, Callable[[Path], Any]] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}


def refuse_outside(path: Path, name: str) -> None:
    """Refuse an archive with a member whose name leads outside."""
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        raise DataError(f"{path.name}: the member '{name}' leads outside the archive; such an archive is refused.")


def decompress(path: Path, kind: str, to: Path, most_bytes: int) -> None:
    """Write a compressed file's content to `to`; refuse a bomb."""
    most = max(most_bytes, MOST_RATIO * path.stat().st_size)
    written = 0
    with _OPENERS[kind](path) as packed, to.open("wb") as plain:
        while block := packed.read(1 << 20):
            written += len(block)
            if written > most:
                raise DataError(_bomb(path, most))
            plain.write(block)


def extract_7z(path: Path, to: Path, most_bytes: int) -> None:
    """Unpack a 7z archive into the empty folder `to`; refuse a bomb. Needs the package py7zr."""
    try:
        py7zr = importlib.import_module("py7zr")
    except ImportError as error:
        raise DataError(
            f"{path.name}: reading 7z needs the package py7zr: pip install py7zr. Or unpack the archive."
        ) from error
    most = max(most_bytes, MOST_RATIO * path.stat().st_size)
    try:
        with py7zr.SevenZipFile(path) as archive:
            if archive.needs_password():
                raise DataError(f"{path.name}: the archive is locked with a password. Unpack it first.")
            infos = archive.list()
            for info in infos:
                refuse_outside(path, info.filename)
            if sum(info.uncompressed for info in infos) > most:
                raise DataError(_bomb(path, most))
            archive.extractall(to)
    except (py7zr.exceptions.ArchiveError, lzma.LZMAError) as error:
        raise DataError(f"{path.name}: the archive cannot be read: {error}.") from error


def _bomb(path: Path, most: int) -> str:
    return f"{path.name}: unpacks to more than {most} bytes; refused as a decompression bomb."


def unpacked_once(path: Path, stamp: str, cache: Path, unpack: Callable[[Path], None]) -> Path:
    """Return the folder with an archive's content."""
    key = sha256(f"{path.resolve()} {stamp}".encode()).hexdigest()[:16]
    return built_once(cache / "archives" / key, unpack)


def built_once(folder: Path, build: Callable[[Path], object]) -> Path:
    """Return a folder that `build` fills unless it is there; it appears whole or not at all."""
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
