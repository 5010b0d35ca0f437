"""What the tests of places share: a store in memory, and a web server on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from compete.urls import stores
from store_server import StoreServer, serve

MEMORY = "memory://data"


@pytest.fixture
def put() -> Iterator[Callable[[str, bytes], None]]:
    """Return a function that puts an object into the store in memory."""
    MemoryFileSystem.store.clear()
    filesystem = MemoryFileSystem()
    yield lambda path, data: filesystem.pipe_file(f"/data/{path}", data)
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreServer]:
    monkeypatch.setattr(stores, "FIRST_WAIT_S", 0.01)
    (tmp_path / "served").mkdir()
    with serve(tmp_path / "served") as running:
        yield running
