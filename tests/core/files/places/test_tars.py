"""Tars in a store: one pass makes the index, then each member is one request; identity is that of its bytes."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest

from compete.errors import DataError
from compete.files.contents import Contents
from compete.files.places import tars
from compete.files.root import Files
from compete.identity import digest_bytes, digest_of_mark
from file_fixtures import MEMBERS, make_tar

FIRST = MEMBERS["0001.jpg"]


def test_members_are_read_by_their_place_and_the_index_is_kept(server, tmp_path, capsys):
    size = make_tar(server.root / "train.tar", MEMBERS).stat().st_size
    files = Files(server.url, tmp_path)
    assert files.read("train.tar/0001.jpg") == FIRST
    assert server.sent_bytes == size + len(FIRST) + 1  # each byte once for the index, and a probe for ranges
    assert "indexing 1 tar of 'train.tar' once" in capsys.readouterr().err
    server.sent_bytes = 0
    again = Files(server.url, tmp_path)
    assert again.read("train.tar/0001.jpg") == FIRST and server.sent_bytes == len(FIRST)
    assert again.list("train.tar") == sorted(MEMBERS) == again.walk("train.tar")
    assert again.present(["train.tar/0001.jpg", "train.tar/none.jpg"]).tolist() == [True, False]
    assert capsys.readouterr().err == ""


def test_a_tar_of_several_blocks_is_indexed_holding_one(server, tmp_path, monkeypatch):
    monkeypatch.setattr(tars, "BLOCK_BYTES", 4096)
    members = {f"{number}.bin": os.urandom(5000 * (number + 1)) for number in range(8)}
    make_tar(server.root / "train.tar", members)
    files = Files(server.url, tmp_path)
    assert {name: files.read(f"train.tar/{name}") for name in members} == members


def test_an_index_that_is_damaged_or_of_another_tar_is_built_again(server, tmp_path):
    make_tar(server.root / "train.tar", MEMBERS)
    assert Files(server.url, tmp_path).read("train.tar/0001.jpg") == FIRST
    (index,) = (tmp_path / "indexes").glob("*.parquet")
    index.write_bytes(b"damaged")
    assert Files(server.url, tmp_path).read("train.tar/0001.jpg") == FIRST
    make_tar(server.root / "train.tar", {"0001.jpg": b"another"})
    assert Files(server.url, tmp_path).read("train.tar/0001.jpg") == b"another"


def test_a_tar_that_changes_after_it_was_indexed_is_noticed(server, tmp_path):
    make_tar(server.root / "train.tar", MEMBERS)
    files = Files(server.url, tmp_path)
    files.read("train.tar/0001.jpg")
    make_tar(
        server.root / "train.tar",
        MEMBERS | {"0001.jpg": bytes(1000)},
    )
    with pytest.raises(DataError, match=r"'0001.jpg' does not hold what was indexed"):
        files.read("train.tar/0001.jpg")


def test_members_have_the_identity_of_the_same_files_on_a_disk(server, tmp_path):
    make_tar(server.root / "train.tar", MEMBERS)
    (tmp_path / "disk").mkdir()
    make_tar(tmp_path / "disk/train.tar", MEMBERS)
    paths = [f"train.tar/{name}" for name in MEMBERS]
    found = [
        Contents(tmp_path / name, digest_bytes, digest_of_mark).digests(files, paths, lambda *_: None)
        for name, files in (("a", Files(server.url, tmp_path)), ("b", Files(tmp_path / "disk", tmp_path)))
    ]
    assert found[0] == found[1] == [sha256(data).hexdigest()[:32] for data in MEMBERS.values()]


@pytest.mark.parametrize(
    ("members", "part"),
    [({"../out.jpg": b"x"}, "leads outside"), ({"/etc/passwd": b"x"}, "leads outside"), ({}, "empty")],
)
def test_an_unsafe_or_empty_tar_is_refused(server, tmp_path, members, part):
    make_tar(server.root / "train.tar", members)
    with pytest.raises(DataError, match=part):
        Files(server.url, tmp_path).read("train.tar/1.jpg")


@pytest.mark.parametrize("keep", [100, 700, 1600, 5000])
def test_a_tar_that_was_cut_off_is_refused(server, tmp_path, keep):
    file = make_tar(server.root / "train.tar", MEMBERS)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"cut off|cannot be read|empty"):
        Files(server.url, tmp_path).read("train.tar/0001.jpg")
    assert not list((tmp_path / "indexes").glob("*.parquet"))


@pytest.mark.parametrize("header", ["none", ""])
def test_a_server_without_ranges_is_refused_before_it_is_read(server, tmp_path, header):
    server.ranges = header
    make_tar(server.root / "train.tar", {"0001.jpg": bytes(32 << 20)})
    with pytest.raises(DataError, match="gives no parts of files"):
        Files(server.url, tmp_path).read("train.tar/0001.jpg")
    assert server.sent_bytes == 0  # what it began to send was not read to the end


def test_a_member_beyond_the_limit_is_refused(server, tmp_path):
    make_tar(server.root / "train.tar", MEMBERS)
    with pytest.raises(DataError, match="has 1000 bytes; more than 999 are refused"):
        Files(server.url, tmp_path, most_bytes=999).read("train.tar/0001.jpg")
