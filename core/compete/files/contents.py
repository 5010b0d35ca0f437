"""The contents of files as digests: read once, remembered by stamp, and read again when the stamp changes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compete.errors import DataError
from compete.store import write_atomic

if TYPE_CHECKING:
    from compete.files.root import Files

# A file that changes twice within a tick of the file system's clock keeps its stamp: young stamps are not remembered.
SETTLED_SECONDS = 2.0
CHUNK = 1024
UNREADABLE = ""
_TIMES = re.compile(r"\d+-(-?\d+)-(-?\d+)-")  # times before 1970 are negative


@dataclass(frozen=True)
class Contents:
    """Digests of files, remembered by stamp in the Parquet file `memory`.

    `digest` maps bytes to a digest, `digest_of_mark` what a store says of an object, which then is not read. The memory
    only saves reading: if it is lost or damaged, all files are read again.
    """

    memory: Path
    digest: Callable[[bytes], str]
    digest_of_mark: Callable[[str], str] = str

    def digests(self, files: Files, paths: Sequence[str], progress: Callable[[int, int], None]) -> list[str]:
        """Return the digest of each path's bytes, an empty string for an unreadable one."""
        marks = files.marks(paths)
        if all(marks):
            return [self.digest_of_mark(mark) for mark in marks]
        known = self._load()
        started = time.time_ns()
        stamps = [UNREADABLE if mark else _stamp(files, path) for mark, path in zip(marks, paths, strict=True)]
        found = [
            self.digest_of_mark(mark) if mark else known.get(stamp, UNREADABLE)
            for mark, stamp in zip(marks, stamps, strict=True)
        ]
        unknown = [number for number, digest in enumerate(found) if digest == UNREADABLE]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # reading and hashing release the interpreter lock
            read = pool.map(lambda number: self._read(files, paths[number]), unknown)
            for done, (number, digest) in enumerate(zip(unknown, read, strict=True), 1):
                found[number] = digest
                if done % CHUNK == 0 or done == len(unknown):
                    progress(done, len(unknown))
        if unknown:
            oldest = started - int(SETTLED_SECONDS * 1e9)
            readable = [n for n in unknown if UNREADABLE not in (stamps[n], found[n])]
            settled = {stamps[n]: found[n] for n in readable if _changed_ns(stamps[n]) < oldest}
            self._save({**_without_stale(known, stamps), **settled})
        return found

    def _read(self, files: Files, path: str) -> str:
        try:
            return self.digest(files.read(path))
        except (OSError, ValueError, DataError):  # reported when the image is decoded
            return UNREADABLE

    def _load(self) -> dict[str, str]:
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(self.memory)
            return dict(zip(table["stamp"].to_pylist(), table["digest"].to_pylist(), strict=True))
        except Exception:  # missing, or damaged in any way: all files are read again
            return {}

    def _save(self, known: dict[str, str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({"stamp": list(known.keys()), "digest": list(known.values())})
        write_atomic(self.memory, lambda file: pq.write_table(table, file))


def _stamp(files: Files, path: str) -> str:
    try:
        return files.stamp(path)
    except (OSError, DataError):
        return UNREADABLE


def _without_stale(known: dict[str, str], stamps: Sequence[str]) -> dict[str, str]:
    """Leave out the older stamps of files with a current stamp."""
    current, paths = set(stamps), {_path(stamp) for stamp in stamps}
    return {stamp: digest for stamp, digest in known.items() if stamp in current or _path(stamp) not in paths}


def _path(stamp: str) -> str:
    return stamp.partition(" ")[2]


def _changed_ns(stamp: str) -> int:
    """Return the latest time in a stamp, "size-mtime-ctime-inode path"."""
    times = _TIMES.match(stamp)
    assert times is not None, stamp
    return max(map(int, times.groups()))
