"""A folder of a store behind a URL: listed, looked for and read by path; nothing is copied to this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from compete.errors import DataError, StoreError
from compete.files.places.marks import mark_of
from compete.files.safety import is_clutter
from compete.urls.stores import at_first, is_web, masked, open_store, retried

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

PARALLEL = 16  # requests at once of a process: they wait, they do not compute
_NO_MARK = (
    "the store tells no checksum, entity tag or time of it, so a change could not be noticed. Copy the files to a disk."
)


class Entry(NamedTuple):
    """An object: its size in bytes, None where nobody tells, and what changes with its content."""

    size: int | None
    mark: str


NO_ENTRY = Entry(None, "")
Listing = dict[str, Entry | None]  # None: a folder
Names = list[str]  # inside the class, `list` is a method


class Store:
    """Reads what lies below a URL. Threads and forked processes may share one; each process opens its own connection.

    Folders are listed once, and what changes later is noticed by its size or by the next run. A web server lists no
    folders: it is asked for each path, many at a time.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = masked(url)
        self.is_web = is_web(url)
        self._opened: tuple[int, AbstractFileSystem, str] | None = None
        self._listings: dict[str, Listing] = {}
        self._asked: set[str] = set()  # of a web server

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None}

    def check(self) -> None:
        """Raise `DataError` if the store cannot be opened, or the folder is not there; a server need only answer."""
        filesystem, root = self._open()
        if not self.is_web:
            self._listing("")
            return
        try:
            retried(lambda: filesystem.info(root), self.name, tries=2)
        except StoreError as error:
            raise DataError(str(error)) from error
        except (DataError, FileNotFoundError):  # its files may be there all the same
            pass

    def list(self, folder: str) -> list[str]:
        """Return the sorted names in a folder; of a web server those that were looked for and found."""
        return sorted(name for name in self._listing(folder) if not is_clutter(name))

    def walk(self, folder: str) -> Names:
        """Return the sorted paths of all files in a folder and below, relative to it."""
        if self.is_web:
            raise DataError(
                f"{self._shown(folder)}: a web server lists no folders. Name the images in a table "
                '([dataset] name = "csv"), or put them into tar shards: train-{000..099}.tar'
            )
        filesystem, root = self._open()
        top = self._path(root, folder)
        found = at_first(lambda: filesystem.find(top, detail=True), self._shown(folder))
        listings: dict[str, Listing] = {folder: {}}
        inside = sorted((str(full).removeprefix(top).lstrip("/"), info) for full, info in found.items())
        for name, info in inside:
            path = f"{folder}/{name}".lstrip("/")
            _add(listings, folder, path, _entry(info, path, web=False))
        self._listings |= listings
        return [path for path, _ in inside if path and not is_clutter(path)]

    def find(self, path: str) -> str | None:
        """Return the path if it is a file, else None."""
        return path if self.entry(path) is not None else None

    def entry(self, path: str) -> Entry | None:
        """Return what is known of a file, or None if there is no such file."""
        folder, _, name = path.rpartition("/")
        if self.is_web:
            self.look_for([path])
        return self._listing(folder).get(name)

    def has_folder(self, folder: str) -> bool:
        """Return whether there is a folder; a web server has each one that was not found to be a file."""
        parent, _, name = folder.rpartition("/")
        return not folder or self._listing(parent).get(name, None if self.is_web else NO_ENTRY) is None

    def look_for(self, paths: Iterable[str]) -> None:
        """Ask a web server for many paths at once, so that `list` and `entry` know them; other stores are listed."""
        if not self.is_web:
            return
        asked = [path for path in dict.fromkeys(paths) if path not in self._asked]
        with ThreadPoolExecutor(PARALLEL) as pool:
            for path, info in zip(asked, pool.map(self._info, asked), strict=True):
                self._asked.add(path)
                if info is not None:
                    folder, _, name = path.rpartition("/")
                    self._listings.setdefault(folder, {})[name] = _entry(info, path, web=True)

    def read(self, path: str, most_bytes: int) -> bytes:
        """Return a file's bytes. Raise `DataError` if it is too large, or not what was listed."""
        entry = self._known(path)
        assert entry.size is not None
        if entry.size > most_bytes:
            raise DataError(f"'{path}': more than {most_bytes:,} bytes are not read at once.")
        filesystem, root = self._open()
        return self._whole(path, entry.size, lambda: filesystem.cat_file(self._path(root, path)))

    def read_range(self, path: str, start: int, size: int) -> bytes:
        """Return a part of a file's bytes."""
        filesystem, root = self._open()
        return self._whole(
            path, size, lambda: filesystem.cat_file(self._path(root, path), start=start, end=start + size)
        )

    def gives_ranges(self, path: str) -> bool:
        """Return whether parts of a file can be asked for: some web servers send the whole file each time."""
        filesystem, root = self._open()

        def probe() -> bool:
            options = {"block_size": 512, "cache_type": "none", "size": self._known(path).size}
            with filesystem.open(self._path(root, path), "rb", **options) as file:
                try:
                    file.seek(1)
                    file.read(1)
                except ValueError:  # as fsspec says it, before it reads on
                    return False
            return True

        return not self.is_web or at_first(probe, self._shown(path))

    def stamp_of(self, path: str) -> str:
        """Return a text that changes with a file."""
        return f"{self._known(path).mark} {self._shown(path)}"

    def mark_of(self, path: str) -> str:
        """Return what identifies a file's content. Raise `DataError` where the store tells nothing of it."""
        return self._known(path).mark

    def _known(self, path: str) -> Entry:
        entry = self.entry(path)
        if entry is None:
            raise DataError(f"no file '{path}' below {self.name}.")
        if not entry.mark or entry.size is None:
            raise DataError(f"'{path}': {_NO_MARK if entry.size is not None else 'its server tells no size.'}")
        return entry

    def _whole(self, path: str, size: int, read: Callable[[], bytes]) -> bytes:
        if not size:
            return b""
        try:
            data = retried(read, self._shown(path))
        except FileNotFoundError:
            raise DataError(f"'{path}' was there when {self.name} was listed, and is gone.") from None
        if len(data) != size:
            raise DataError(
                f"'{path}': {len(data):,} bytes, but {size:,} were asked for: it changed since {self.name} was listed, "
                "or its server gives no parts of files. Run the same command again."
            )
        return data

    def _listing(self, folder: str) -> Listing:
        if folder not in self._listings and not self.is_web:
            filesystem, root = self._open()
            top, listings = self._path(root, folder), {folder: Listing()}
            found = self._ask(lambda: list(filesystem.ls(top, detail=True)), folder)
            if found is None and not folder:
                raise DataError(f"{self.name}: no such bucket or folder.")
            for info in found or []:
                name = str(info["name"]).rstrip("/")
                if name != top.rstrip("/"):  # a store's marker of an empty folder
                    path = f"{folder}/{name.rpartition('/')[2]}".lstrip("/")
                    _add(listings, folder, path, None if info["type"] == "directory" else _entry(info, path, web=False))
            self._listings[folder] = listings[folder]
        return self._listings.get(folder, {})

    def _info(self, path: str) -> Mapping[str, Any] | None:
        filesystem, root = self._open()
        return self._ask(lambda: dict(filesystem.info(self._path(root, path))), path)

    def _ask(self, request: Callable[[], T], path: str) -> T | None:
        """Return the answer to a request, None where nothing is there. Raise `DataError` for any failure."""

        def ask() -> T | None:
            try:
                return retried(request, self._shown(path))
            except FileNotFoundError:
                return None

        return at_first(ask, self._shown(path))

    def _open(self) -> tuple[AbstractFileSystem, str]:
        """Return this process's connection: a forked one must not use its parent's."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), *open_store(self.url))
        return self._opened[1:]

    def _path(self, root: str, path: str) -> str:
        """Return the path that the filesystem knows a file by; in a web address special characters are quoted."""
        from urllib.parse import quote

        return f"{root}/{quote(path) if self.is_web else path}" if path else root

    def _shown(self, path: str) -> str:
        return f"{self.name}/{path}" if path else self.name


def _entry(info: Mapping[str, Any], path: str, web: bool) -> Entry:
    size = info.get("size")
    return Entry(None if size is None else int(size), mark_of(info, path, web))


def _add(listings: dict[str, Listing], top: str, path: str, entry: Entry | None) -> None:
    """Add a file, or a folder, to the listing of its folder, and the folders between it and `top` to theirs."""
    folder, _, name = path.rpartition("/")
    listings.setdefault(folder, {})[name] = entry
    while folder != top:
        parent, _, name = folder.rpartition("/")
        listings.setdefault(parent, {}).setdefault(name, None)
        folder = parent
