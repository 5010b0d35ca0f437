"""A tar in a store: indexed in one pass over its bytes, then each member is read by its place."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO

from compete.errors import DataError
from compete.files.archives import Archive, Member, base_folder, index_tar
from compete.files.places.store import Store
from compete.store import file_lock, make_folder, write_atomic

BLOCK_BYTES = 8 << 20  # asked for at once, and held, while a tar is indexed
CHANGED = "does not hold what was indexed: the tar changed. Run the same command again."


@dataclass(frozen=True)
class StoredTar(Archive):
    """An indexed tar of a store; `digests` are the SHA-256 sums of its members, which every read is checked by."""

    store: Store = field(default_factory=lambda: Store(""))
    place: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    def copy(self, name: str, to: IO[bytes], most_bytes: int) -> None:
        """Write a member's bytes to a file. Raise `DataError` if it is too large, or not what was indexed."""
        member = self.members[name]
        if member.size > most_bytes:
            raise DataError(f"{self.path.name}: '{name}' has {member.size} bytes; more than {most_bytes} are refused.")
        data = self.store.read_range(self.place, member.offset, member.size)
        if sha256(data).hexdigest() != self.digests[name]:
            raise DataError(f"{self.path.name}: '{name}' {CHANGED}")
        to.write(data)

    def mark_of(self, name: str) -> str:
        """Return a member's checksum."""
        return f"sha256:{self.digests[name]}"


class _Ranges(io.RawIOBase):
    """A file of a store as a stream that can seek, made of requests for its parts."""

    def __init__(self, store: Store, path: str, size: int) -> None:
        self._store, self._file, self._size, self._at = store, path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._size - self._at))
        buffer[:count] = self._store.read_range(self._file, self._at, count)
        self._at += count
        return count


def open_stored_tar(store: Store, place: str, cache: Path) -> StoredTar:
    """Return a tar of a store with its index, which is kept below `cache` under the tar's URL and mark.

    Raise `DataError` for a damaged tar, for unsafe members, and where its server gives no parts of files.
    """
    entry = store.entry(place)
    assert entry is not None and entry.size is not None
    file = index_file(store, place, cache)
    make_folder(file.parent)
    with file_lock(file.with_suffix(".lock")):
        index = _load(file) or _build(store, place, entry.size, file)
    members = {name: member for name, (member, _) in index.items()}
    if not members:
        raise DataError(f"{place}: the archive is empty.")
    path, digests = Path(place), {name: digest for name, (_, digest) in index.items()}
    return StoredTar(
        path, store.stamp_of(place), members, base_folder(members, path), store=store, place=place, digests=digests
    )


def index_file(store: Store, place: str, cache: Path) -> Path:
    """Return where a tar's index is kept, under its URL and its mark."""
    return cache / "indexes" / f"{sha256(store.stamp_of(place).encode()).hexdigest()[:32]}.parquet"


Index = dict[str, tuple[Member, str]]


def _build(store: Store, place: str, size: int, file: Path) -> Index:
    """Read a tar once from start to end, keeping one block of it, and write its index."""
    if not store.gives_ranges(place):
        raise DataError(f"{store.name}/{place}: its server gives no parts of files (ranges), which a tar needs.")
    digests: dict[int, str] = {}

    def visit(info: tarfile.TarInfo) -> None:
        digests[info.offset_data] = _digest(stream, info)

    with io.BufferedReader(_Ranges(store, place, size), BLOCK_BYTES) as stream:
        try:
            members = index_tar(stream, Path(place), visit)
        except (tarfile.TarError, EOFError) as error:
            raise DataError(f"{place}: the archive cannot be read: {error}. Write it again.") from error
    index = {name: (member, digests[member.offset]) for name, member in members.items()}
    _save(file, index)
    return index


def _digest(stream: IO[bytes], info: tarfile.TarInfo) -> str:
    total, left = sha256(), info.size
    stream.seek(info.offset_data)
    while left and (block := stream.read(min(left, BLOCK_BYTES))):
        total.update(block)
        left -= len(block)
    return total.hexdigest()


def _load(file: Path) -> Index:
    """Return an index, or nothing where it is missing or damaged: it is built again."""
    import pyarrow.parquet as pq

    try:
        columns = pq.read_table(file).to_pydict()
        places = zip(columns["name"], columns["offset"], columns["size"], columns["sha256"], strict=True)
        return {name: (Member(offset, size), digest) for name, offset, size, digest in places}
    except Exception:  # damaged in any way
        return {}


def _save(file: Path, index: Index) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "name": list(index),
        "offset": [member.offset for member, _ in index.values()],
        "size": [member.size for member, _ in index.values()],
        "sha256": [digest for _, digest in index.values()],
    }
    write_atomic(file, lambda opened: pq.write_table(pa.table(columns), opened))
