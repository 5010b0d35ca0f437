"""A member's files in a store behind a URL, for machines that share no disk: fetched first, stored after each save.

What is stored appears whole or not at all, and `result.json`, which marks a member finished, comes last.
"""

from __future__ import annotations

import getpass
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compete.errors import CompeteError
from compete.store import CHECKPOINT, make_folder
from compete.urls.stores import LOCAL, open_store, retried, scheme_of

LAST = "result.json"
FINISHED = ("weights.safetensors", "oof.parquet", "test.parquet", "predictions.json", LAST)
SECONDS = 1.0  # between two looks for a new checkpoint


def run_storage(storage: str, folder: Path) -> str:
    """Return the URL of a run's members below a storage: `<storage>/<competition>/<run>`."""
    whole = folder.resolve()
    return f"{storage.rstrip('/')}/{whole.parent.name}/{whole.name}"


def scratch_folder(storage: str) -> str:
    """Return the folder of a run on a machine that does not see its own."""
    name = "".join(letter if letter.isalnum() else "-" for letter in storage.partition("://")[2])
    return str(Path(tempfile.gettempdir()) / f"compete-members-{getpass.getuser()}" / name)


class Mirror:
    """A member's files, in a folder here and in a store.

    `key` is what its predictions depend on: another member of that name, of a run that is gone, has a place of its own.
    """

    def __init__(self, storage: str, folder: Path, member: str, key: str) -> None:
        self._url = f"{storage}/members/{member}-{key[:8]}"
        self._folder = folder / "members" / member
        self._store, self._path = open_store(self._url)
        self._saved = 0

    def fetch(self) -> None:
        """Fetch what the store has of the member: its result or, before that, its checkpoint."""
        there = self._names()
        names = [name for name in FINISHED if name in there] if LAST in there else [CHECKPOINT]
        for name in names:
            if name in there:
                self._get(name)

    def _get(self, name: str) -> None:
        make_folder(self._folder)
        part = self._folder / f".{name}.fetched.tmp"
        retried(lambda: self._store.get_file(f"{self._path}/{name}", str(part)), self._url)
        part.replace(self._folder / name)

    def store_checkpoint(self) -> None:
        """Store the member's checkpoint if it is a new one."""
        file = self._folder / CHECKPOINT
        with suppress(FileNotFoundError):
            saved = file.stat().st_mtime_ns
            if saved != self._saved:
                self._put(CHECKPOINT)
                self._saved = saved

    def store_result(self) -> None:
        """Store a finished member, and drop its checkpoint."""
        for name in FINISHED:
            if (self._folder / name).exists():
                self._put(name)
        with suppress(FileNotFoundError):
            retried(lambda: self._store.rm_file(f"{self._path}/{CHECKPOINT}"), self._url)

    def _names(self) -> set[str]:
        with suppress(FileNotFoundError):
            return {
                path.rpartition("/")[2] for path in retried(lambda: self._store.ls(self._path, detail=False), self._url)
            }
        return set()

    def _put(self, name: str) -> None:
        """Store a file; on disks it is written beside its place and renamed, as objects appear whole by themselves."""
        target = f"{self._path}/{name}"
        on_disk = scheme_of(self._url) in LOCAL
        part = f"{self._path}/.{name}.stored.tmp" if on_disk else target

        def put() -> None:
            self._store.makedirs(self._path, exist_ok=True)
            self._store.put_file(str(self._folder / name), part)
            if on_disk:
                self._store.mv(part, target)

        retried(put, self._url)


@contextmanager
def mirrored(storage: str, folder: Path, member: str, key: str, warn: Callable[[str], object]) -> Iterator[None]:
    """Fetch a member's files, store each checkpoint while it is trained, and at the end its result.

    Without a storage, nothing is done. A checkpoint that cannot be stored is tried again, and `warn` says so once, from
    another thread; raise `CompeteError` if the result cannot be.
    """
    if not storage:
        yield
        return
    mirror, stop = Mirror(storage, folder, member, key), threading.Event()
    mirror.fetch()

    def keep() -> None:
        warned = False
        while not stop.wait(SECONDS):
            try:
                mirror.store_checkpoint()
            except CompeteError as error:  # the store may be back for the next one
                if not warned:
                    warn(f"{member}: its checkpoint could not be stored, which is tried again: {error}")
                warned = True

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    mirror.store_result()
    shutil.rmtree(folder / "members" / member, ignore_errors=True)
