"""Paths below a root: read, listed, and never outside."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compete import DataError
from compete.files import archives
from compete.files.root import Files
from file_fixtures import MEMBERS, make_tar, make_zip, write

# --- folders ---------------------------------------------------------------------------------------------------


def test_reads_lists_and_walks_a_folder(root: Path, files: Files) -> None:
    write(root, "train/b.jpg", b"b")
    write(root, "train/a/c d.jpg", b"c")
    for clutter in ("train/._b.jpg", "train/.DS_Store", "__MACOSX/b.jpg"):
        write(root, clutter)
    assert files.read("train/b.jpg") == b"b"
    assert files.read("./train//a/c d.jpg") == b"c"
    assert files.list("train") == ["a", "b.jpg"]
    assert files.list("") == ["train"]
    assert files.walk("train") == ["a/c d.jpg", "b.jpg"]
    assert files.list("no") == files.walk("no") == []
    assert not files.exists("train") and not files.exists("") and not files.exists("train/x.jpg")


def test_missing_file_names_the_nearest(root: Path, files: Files) -> None:
    write(root, "train/0001.jpg")
    with pytest.raises(DataError, match=r"no file 'train/0001.jpgg' below .*root\. Did you mean '0001.jpg'\?"):
        files.read("train/0001.jpgg")
    with pytest.raises(DataError, match=r"There is no folder or archive 'trian'\. Did you mean 'train'\?"):
        files.stamp("trian/0001.jpg")


def test_missing_root_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"no such folder: .*mask\. Did you mean 'masks'\?"):
        Files(tmp_path / "mask")
    with pytest.raises(DataError, match=r"no such folder: .*c\.$"):
        Files(tmp_path / "a" / "b" / "c")


def test_a_slice_is_part_of_a_file(root: Path, files: Files) -> None:
    write(root, "train.bson", b"0123456789")
    assert files.read("train.bson#3+4") == b"3456"
    assert files.exists("train.bson#3+4")
    assert files.stamp("train.bson#3+4") == files.stamp("train.bson") + "#3+4"
    for place, end in (
        ("8+4", "12"),
        ("0+999999999", "999,999,999"),
        ("99999999999999999+1", "100,000,000,000,000,000"),
    ):
        with pytest.raises(DataError, match=rf"the slice ends at byte {end}, the file at 10\."):
            files.read(f"train.bson#{place}")
    with pytest.raises(DataError, match="no file"):
        files.read("train.bson#0+" + "9" * 5000)  # not even Python reads such a number


@pytest.mark.parametrize("name", ["x" * 256, "가" * 86, "x" * 256 + "/1.jpg", "\ud800" * 100])
def test_a_name_that_no_file_has_is_refused(files: Files, name: str) -> None:
    with pytest.raises(DataError, match=r"no file has a name of more than 255 bytes\. Check \[dataset\]"):
        files.exists(f"train/{name}")


def test_the_stamp_follows_every_change_and_reads_nothing(root: Path, files: Files) -> None:
    file = write(root, "a.jpg", b"one")
    file.chmod(0)
    first = files.stamp("a.jpg")
    assert files.stamp("a.jpg") == first
    file.chmod(0o600)
    os.utime(file, ns=(0, 10**18))
    second = files.stamp("a.jpg")
    assert second.startswith(f"3-{10**18}-") and second.endswith(f" {root / 'a.jpg'}")
    write(root, "b.jpg", b"two")
    os.utime(root / "b.jpg", ns=(0, 10**18))
    (root / "b.jpg").rename(file)  # the same size and time, another file
    assert len({first, second, files.stamp("a.jpg")}) == 3


def test_present_lists_each_folder_once(root: Path, files: Files, listed: list[str]) -> None:
    write(root, "a/1.jpg")
    write(root, "b/2.jpg")
    write(root, "3.jpg")
    write(root, "x.bson")
    there = files.present(["a/1.jpg", "b/1.jpg", "b/2.jpg", "a/2.jpg", "3.jpg", "x.bson#0+2", "no/1.jpg"])
    assert there.tolist() == [True, False, True, False, True, True, False]
    assert sorted(listed) == ["", "a", "b", "no"]
    assert files.present([]).tolist() == []


def test_the_cache_prefix_leads_below_the_cache(files: Files, tmp_path: Path) -> None:
    write(tmp_path / "cache", "records/1.npy", b"x")
    assert files.read("cache:records/1.npy") == b"x"
    assert files.list("cache:records") == ["1.npy"]
    assert files.present(["cache:records/1.npy"]).all()
    with pytest.raises(DataError, match="leads outside"):
        files.read("cache:../root/1.jpg")


def test_a_cache_folder_is_built_once_or_not_at_all(files: Files, tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder, "half.npy")
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        files.build_once("records/abc", fail)
    assert list((tmp_path / "cache/records").iterdir()) == []
    assert files.build_once("records/abc", lambda folder: (folder / "1.npy").write_text("1")) == "cache:records/abc"
    assert files.build_once("records/abc", fail) == "cache:records/abc"
    assert files.read("cache:records/abc/1.npy") == b"1"


# --- safety ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "C:/x", "C:x", "a/..", "cache:/etc/passwd"])
def test_paths_never_leave_the_root(root: Path, files: Files, path: str) -> None:
    write(root.parent, "x")
    for method in (files.read, files.exists, files.stamp, files.list, files.walk, lambda p: files.present([p + "/y"])):
        with pytest.raises(DataError, match="leads outside the root"):
            method(path)


@pytest.mark.parametrize("path", ["a\\b", "a\0b"])
def test_paths_have_forward_slashes(files: Files, path: str) -> None:
    with pytest.raises(DataError, match="forward slashes"):
        files.read(path)


@given(st.text("./a~\\:é#+1", max_size=12))
def test_no_text_reads_outside(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    top = tmp_path_factory.getbasetemp() / "safety"
    root = top / "root"
    root.mkdir(parents=True, exist_ok=True)
    write(top, "a", b"secret")
    with suppress(DataError):
        assert Files(root, top / "cache").read(path) != b"secret"


def test_links_out_of_the_root_are_refused(root: Path, files: Files, tmp_path: Path) -> None:
    outside = write(tmp_path, "outside/1.jpg", b"secret")
    make_zip(tmp_path / "outside.zip", {"1.jpg": b"secret"})
    write(root, "real/1.jpg", b"fine")
    (root / "link.jpg").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "packed.zip").symlink_to(tmp_path / "outside.zip")
    (root / "inside").symlink_to(root / "real")
    assert files.read("inside/1.jpg") == b"fine"
    for path in ("link.jpg", "folder/1.jpg", "packed.zip/1.jpg"):
        with pytest.raises(DataError, match=r"is a link to .*outside the root.*: export COMPETE_FOLLOW_LINKS=1$"):
            files.read(path)


def test_links_out_of_the_root_are_followed_where_the_user_s_shell_says_so(
    root: Path, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = write(tmp_path, "outside/1.jpg", b"mine")
    (root / "folder of mine").symlink_to(outside.parent)
    monkeypatch.setenv("COMPETE_FOLLOW_LINKS", "1")
    assert files.read("folder of mine/1.jpg") == b"mine"
    assert "folder of mine/1.jpg" in files.walk("")
    with pytest.raises(DataError, match="leads outside the root"):
        files.read("../outside/1.jpg")


# --- threads and processes -------------------------------------------------------------------------------------


def test_threads_share_one_index(root: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {f"{number}.jpg": str(number).encode() * 5000 for number in range(200)}
    make_zip(root / "train.zip", members)
    indexed: list[Path] = []
    real = archives._index_zip

    def index(path: Path) -> dict[str, archives.Member]:
        indexed.append(path)
        return real(path)

    monkeypatch.setattr(archives, "_index_zip", index)
    names = list(members) * 4
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda name: files.read(f"train/{name}"), names)) == [members[name] for name in names]
    assert len(indexed) == 1


def test_forked_processes_read_beside_each_other(root: Path, files: Files) -> None:
    make_zip(root / "train.zip", MEMBERS)
    make_tar(root / "test.tar", MEMBERS)
    files.read("train/0001.jpg")
    files._lock[1].acquire()  # as if a thread held it while the process forks

    def read_all() -> None:
        for _ in range(50):
            for folder in ("train", "test"):
                assert all(files.read(f"{folder}/{name}") == data for name, data in MEMBERS.items())

    processes = [get_context("fork").Process(target=read_all) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=20)
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_files_can_be_pickled(root: Path, files: Files) -> None:
    make_zip(root / "train.zip", MEMBERS)
    files.read("train/0001.jpg")
    assert pickle.loads(pickle.dumps(files)).read("train/0002.jpg") == MEMBERS["0002.jpg"]
