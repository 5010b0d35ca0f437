"""Digests of files are remembered by stamp; the memory may be lost, and never hides a change."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from compete.files import contents
from compete.files.contents import Contents
from compete.files.root import Files
from file_fixtures import write


class Reader:
    """Reads digests, which here are the bytes themselves, and lists what was really read."""

    def __init__(self, files: Files, memory: Path) -> None:
        self.files, self.memory = files, memory
        self.read: list[str] = []

    def __call__(self, *paths: str) -> list[str]:
        self.read.clear()
        return Contents(self.memory, self.digest).digests(self.files, paths, lambda _done, _total: None)

    def digest(self, data: bytes) -> str:
        self.read.append(data.decode())
        return data.decode()


@pytest.fixture
def reader(root: Path, files: Files, tmp_path: Path) -> Reader:
    write(root, "a.jpg", b"a")
    write(root, "b.jpg", b"b")
    return Reader(files, tmp_path / "memory.parquet")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled as soon as they are written."""
    monkeypatch.setattr(contents, "SETTLED_SECONDS", 0.0)
    time.sleep(0.02)  # more than a tick of the file system's clock


def test_a_settled_file_is_read_once(reader: Reader, settled: None) -> None:
    assert reader("a.jpg", "b.jpg") == ["a", "b"] and sorted(reader.read) == ["a", "b"]
    assert reader("b.jpg", "a.jpg") == ["b", "a"] and reader.read == []


def test_a_young_file_is_read_again(reader: Reader) -> None:
    for _ in range(2):
        assert reader("a.jpg") == ["a"] and reader.read == ["a"]


def test_a_changed_file_is_read_again_even_if_its_time_is_set_back(reader: Reader, root: Path, settled: None) -> None:
    reader("a.jpg", "b.jpg")
    before = (root / "a.jpg").stat()
    (root / "a.jpg").write_bytes(b"c")
    os.utime(root / "a.jpg", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert reader("a.jpg", "b.jpg") == ["c", "b"] and reader.read == ["c"]


@pytest.mark.parametrize("damage", [b"", b"PAR1 and then nothing", None])
def test_a_damaged_memory_costs_one_more_pass(reader: Reader, settled: None, damage: bytes | None) -> None:
    reader("a.jpg")
    reader.memory.unlink() if damage is None else reader.memory.write_bytes(damage)
    assert reader("a.jpg") == ["a"] and reader.read == ["a"]
    assert reader("a.jpg") == ["a"] and reader.read == []


def test_an_unreadable_path_is_empty_and_tried_again(reader: Reader, root: Path, settled: None) -> None:
    assert reader("none.jpg", "a.jpg", "../outside.jpg") == ["", "a", ""]
    write(root, "none.jpg", b"now")
    assert reader("none.jpg", "a.jpg") == ["now", "a"] and reader.read == ["now"]


def test_files_of_another_table_stay_remembered(reader: Reader, settled: None) -> None:
    reader("a.jpg")
    reader("b.jpg")
    assert reader("a.jpg", "b.jpg") == ["a", "b"] and reader.read == []


def test_a_file_from_before_1970_has_a_stamp_like_any_other(reader: Reader, root: Path, settled: None) -> None:
    os.utime(root / "a.jpg", (-86_400, -86_400))
    time.sleep(0.02)
    assert reader("a.jpg") == ["a"]
    assert reader("a.jpg") == ["a"] and reader.read == []
