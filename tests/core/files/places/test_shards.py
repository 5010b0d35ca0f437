"""Tar shards as one archive, on a disk and in a store."""

from __future__ import annotations

import pytest

from compete.errors import DataError
from compete.files.places.shards import shard_names
from compete.files.root import Files
from compete.files.templates import path_template
from file_fixtures import make_tar

PART = "train-{00..02}.tar"


def make_shards(folder) -> None:
    for number in range(3):
        make_tar(folder / f"train-{number:02}.tar", {f"cat/{number}.jpg": bytes([number]), f"{number}.txt": b"text"})


@pytest.fixture(params=["disk", "store"])
def files(request, server, tmp_path) -> Files:
    make_shards(server.root)
    return Files(server.root if request.param == "disk" else server.url, tmp_path / "cache")


def test_a_range_names_its_shards():
    assert shard_names(PART) == ["train-00.tar", "train-01.tar", "train-02.tar"]
    assert shard_names("a{8..10}b") == ["a8b", "a9b", "a10b"]
    assert shard_names("train.tar") == shard_names("{id}.jpg") == []
    with pytest.raises(DataError, match="from 3 to 1 is not a range"):
        shard_names("{3..1}.tar")
    assert path_template(PART + "/{id}.jpg").columns == ["id"]


def test_shards_are_one_archive(files):
    assert files.list(PART) == ["0.txt", "1.txt", "2.txt", "cat"]
    assert files.walk(f"{PART}/cat") == ["0.jpg", "1.jpg", "2.jpg"]
    assert [files.read(f"{PART}/cat/{number}.jpg") for number in range(3)] == [b"\0", b"\1", b"\2"]
    assert len({files.stamp(f"{PART}/cat/{number}.jpg") for number in range(3)}) == 3


def test_a_missing_shard_is_named(files):
    with pytest.raises(DataError, match=r"1 of 4 shards missing: train-03.tar"):
        files.list("train-{00..03}.tar")


def test_a_name_in_two_shards_is_refused(files, server):
    make_tar(server.root / "train-02.tar", {"cat/1.jpg": b"other"})
    with pytest.raises(DataError, match=r"train-01.tar and train-02.tar both hold 'cat/1.jpg'"):
        files.list(PART)
