from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import sys
import tarfile
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compete import DataError, archives
from compete.files import Files, path_template


def write(root: Path, path: str, data: bytes = b"data") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def make_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def recorded(files: Files, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of folders that `files` will be asked to list."""
    asked: list[str] = []
    real = files.list

    def ask(folder: str) -> list[str]:
        asked.append(folder)
        return real(folder)

    monkeypatch.setattr(files, "list", ask)
    return asked


MEMBERS = {f"{number:04}.jpg": bytes([number]) * 1000 for number in range(5)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def files(root: Path, tmp_path: Path) -> Files:
    return Files(root, tmp_path / "cache")


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
    with pytest.raises(DataError, match=r"there is no folder .*mask\. Did you mean 'masks'\?"):
        Files(tmp_path / "mask")
    with pytest.raises(DataError, match=r"there is no folder .*c\.$"):
        Files(tmp_path / "a" / "b" / "c")


def test_a_slice_is_part_of_a_file(root: Path, files: Files) -> None:
    write(root, "train.bson", b"0123456789")
    assert files.read("train.bson#3+4") == b"3456"
    assert files.exists("train.bson#3+4")
    assert files.stamp("train.bson#3+4") == files.stamp("train.bson") + "#3+4"
    with pytest.raises(DataError, match=r"'train.bson#8\+4': the file ends before the slice does"):
        files.read("train.bson#8+4")


def test_the_stamp_follows_size_and_time_and_reads_nothing(root: Path, files: Files) -> None:
    file = write(root, "a.jpg", b"one")
    first = files.stamp("a.jpg")
    file.chmod(0)
    assert files.stamp("a.jpg") == first
    file.chmod(0o600)
    os.utime(file, ns=(0, 10**18))
    assert files.stamp("a.jpg") == f"3-{10**18}" != first


def test_present_lists_each_folder_once(root: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "a/1.jpg")
    write(root, "b/2.jpg")
    write(root, "3.jpg")
    write(root, "x.bson")
    asked = recorded(files, monkeypatch)
    there = files.present(["a/1.jpg", "b/1.jpg", "b/2.jpg", "a/2.jpg", "3.jpg", "x.bson#0+2", "no/1.jpg"])
    assert there.tolist() == [True, False, True, False, True, True, False]
    assert sorted(asked) == ["", "a", "b", "no"]
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
        with pytest.raises(DataError, match=r"is a link to .*outside the root"):
            files.read(path)


# --- archives --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packing", ["zip", "stored.zip", "bz2.zip", "tar", "tar.gz", "tar.xz", "tar.bz2", "plain.tar.gz"]
)
@pytest.mark.parametrize("top", ["", "train/", "./train/", "other/"])
def test_archives_read_with_and_without_their_top_folder(root: Path, files: Files, packing: str, top: str) -> None:
    members = {top + name: data for name, data in MEMBERS.items()} | {"__MACOSX/._x.jpg": b"", top + "._0001.jpg": b""}
    name = f"train.{packing.removeprefix('plain.').removeprefix('stored.').removeprefix('bz2.')}"
    if packing.endswith("zip"):
        method = {"stored.zip": zipfile.ZIP_STORED, "bz2.zip": zipfile.ZIP_BZIP2}.get(packing, zipfile.ZIP_DEFLATED)
        make_zip(root / name, members, method)
    else:
        mode = {"tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}.get(packing, "w")
        make_tar(root / name, members, mode)
    paths = [f"{name}/0003.jpg", "train/0003.jpg", f"{name}/{top.removeprefix('./')}0003.jpg"]
    assert [files.read(path) for path in paths] == [MEMBERS["0003.jpg"]] * 3
    assert files.present(paths).all()
    assert files.list(name) == files.list("train") == files.walk(name) == sorted(MEMBERS)
    assert not files.exists(f"{name}/9.jpg")
    assert files.exists("train/other/0003.jpg") is (top == "other/")
    assert files.stamp(paths[0]) == files.stamp(paths[1]) != files.stamp(f"{name}/0004.jpg")
    with pytest.raises(DataError, match=r"Did you mean '0003.jpg'"):
        files.read("train/00003.jpg")


def test_a_folder_comes_before_an_archive_of_its_name(root: Path, files: Files) -> None:
    make_zip(root / "train.zip", {"1.jpg": b"packed"})
    write(root, "train/1.jpg", b"plain")
    assert files.read("train/1.jpg") == b"plain"
    assert files.read("train.zip/1.jpg") == b"packed"


def test_an_archive_with_several_folders(root: Path, files: Files) -> None:
    make_zip(root / "data.zip", {"Cover/1.jpg": b"c", "JMiPOD/1.jpg": b"j", "data/x.csv": b"x", "readme.txt": b"r"})
    assert files.read("data/Cover/1.jpg") == b"c"
    assert files.read("data/x.csv") == files.read("data.zip/data/x.csv") == b"x"
    assert files.list("data.zip") == ["Cover", "JMiPOD", "readme.txt", "x.csv"]
    assert files.list("data.zip/data") == ["x.csv"]
    assert files.walk("data.zip") == ["Cover/1.jpg", "JMiPOD/1.jpg", "readme.txt", "x.csv"]
    assert files.walk("data.zip/JMiPOD") == ["1.jpg"]
    assert files.present(["data.zip/readme.txt", "data.zip/x.csv", "data.zip/y.csv"]).tolist() == [True, True, False]


def test_names_from_windows_are_read(root: Path, files: Files) -> None:
    make_tar(root / "train.tar", {"train\\a\\1.jpg": b"1"})
    assert files.read("train/a/1.jpg") == b"1"


def test_a_compressed_file_is_an_archive_of_one(root: Path, files: Files) -> None:
    write(root, "train.csv.gz", gzip.compress(b"id,label\n"))
    assert files.walk("train.csv.gz") == ["train.csv"]
    assert files.read("train.csv.gz/train.csv") == b"id,label\n"


def test_a_compressed_archive_is_unpacked_once(root: Path, files: Files, tmp_path: Path) -> None:
    make_tar(root / "train.tar.gz", MEMBERS, "w:gz")
    assert files.read("train/0001.jpg") == MEMBERS["0001.jpg"]
    (unpacked,) = (tmp_path / "cache" / "archives").iterdir()
    (unpacked / "content").touch()
    before = (unpacked / "content").stat().st_mtime_ns
    assert Files(root, tmp_path / "cache").read("train/0001.jpg") == MEMBERS["0001.jpg"]
    assert [path.name for path in unpacked.parent.iterdir()] == [unpacked.name]
    assert (unpacked / "content").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "a/../../x.jpg", "C:/x.jpg", "..\\x.jpg"])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_archives_that_lead_outside_are_refused(root: Path, files: Files, name: str, make: object) -> None:
    make(root / "train.archive", {"fine.jpg": b"", name: b"x"})  # type: ignore[operator]
    with pytest.raises(DataError, match=r"train.archive: the member '.*x.jpg' leads outside"):
        files.read("train.archive/fine.jpg")


def test_links_in_archives_are_not_followed(root: Path, files: Files) -> None:
    with tarfile.open(root / "train.tar", "w") as archive:
        link = tarfile.TarInfo("train/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("train/1.jpg"))
    assert files.list("train") == ["1.jpg"]


def test_bombs_are_refused(root: Path, tmp_path: Path) -> None:
    files = Files(root, tmp_path / "cache", most_bytes=1000)
    make_zip(root / "train.zip", {"big.jpg": b"\0" * 2000, "small.jpg": b"\0" * 900})
    write(root, "bomb.csv.gz", gzip.compress(b"\0" * 1_000_000))
    assert len(files.read("train.zip/small.jpg")) == 900
    with pytest.raises(DataError, match=r"'big.jpg' unpacks to 2000 bytes; more than 1000 are refused"):
        files.read("train.zip/big.jpg")
    with pytest.raises(DataError, match=r"bomb.csv.gz: unpacks to more than \d+ bytes"):
        files.read("bomb.csv.gz/bomb.csv")
    assert list((tmp_path / "cache" / "archives").iterdir()) == []


def test_a_zip_that_lies_about_a_size_gives_no_more_than_it_says(root: Path, files: Files) -> None:
    data = make_zip(root / "train.zip", {"1.jpg": b"\0" * 5000}).read_bytes()
    (root / "train.zip").write_bytes(data.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(DataError, match=r"'1.jpg' is damaged inside its zip"):
        files.read("train.zip/1.jpg")


def test_damaged_archives_are_explained(root: Path, files: Files) -> None:
    rng = random.Random(0)
    noise = rng.randbytes(5000)
    whole = make_zip(root / "whole.zip", {"1.jpg": noise}).read_bytes()
    write(root, "flipped.zip", whole[:2000] + bytes([whole[2000] ^ 255]) + whole[2001:])
    write(root, "moved.zip", b"PKxx" + whole[4:])
    write(root, "cut.zip", whole[:2000])
    tar = make_tar(root / "whole.tar", {"1.jpg": noise}).read_bytes()
    write(root, "cut.tar", tar[:2000])
    write(root, "cut.tar.gz", gzip.compress(tar)[:2000])
    write(root, "text.zip", b"this is no archive")
    for name, message in {
        "flipped.zip": "'1.jpg' is damaged inside its zip",
        "cut.zip": "cut.zip: the archive cannot be read",
        "cut.tar.gz": "cut.tar.gz: the archive cannot be read",
    }.items():
        with pytest.raises(DataError, match=message):
            files.read(f"{name}/1.jpg")
    with pytest.raises(DataError, match=r"cut.tar: the archive (ends inside '1.jpg'|cannot be read)"):
        files.read("cut.tar/1.jpg")
    with pytest.raises(DataError, match=r"no file 'text.zip/1.jpg'"):
        files.read("text.zip/1.jpg")
    with pytest.raises(DataError, match=r"text.zip: this is no zip, tar or 7z archive"):
        files.read("text/1.jpg")


def test_a_locked_zip_is_refused(root: Path, files: Files) -> None:
    data = bytearray(make_zip(root / "train.zip", {"1.jpg": b"x"}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    write(root, "train.zip", bytes(data))
    with pytest.raises(DataError, match="locked with a password"):
        files.read("train/1.jpg")


def test_a_slice_of_a_packed_file_is_refused(root: Path, files: Files) -> None:
    make_zip(root / "train.zip", {"train.bson": b"0123"})
    with pytest.raises(DataError, match="only be taken from an unpacked file"):
        files.read("train.zip/train.bson#0+2")


# --- 7z, through a stand-in for the optional package -----------------------------------------------------------


def fake_py7zr(names: dict[str, int], fails: bool = False) -> types.ModuleType:
    class ArchiveError(Exception):
        pass

    class SevenZipFile:
        def __init__(self, path: Path) -> None:
            assert path.name == "train.7z"

        def __enter__(self) -> SevenZipFile:
            return self

        def __exit__(self, *_: object) -> None: ...

        def list(self) -> list[types.SimpleNamespace]:
            return [types.SimpleNamespace(filename=name, uncompressed=size) for name, size in names.items()]

        def extractall(self, to: Path) -> None:
            if fails:
                raise ArchiveError("Corrupt input")
            for name, size in names.items():
                write(to, name, b"7" * size)
            (to / "link.jpg").symlink_to("/etc/passwd")

    module = types.ModuleType("py7zr")
    module.SevenZipFile = SevenZipFile  # type: ignore[attr-defined]
    module.exceptions = types.SimpleNamespace(ArchiveError=ArchiveError)  # type: ignore[attr-defined]
    return module


SEVEN = b"7z\xbc\xaf\x27\x1c" + b"\0" * 300


def test_7z_is_unpacked_once_into_the_cache(
    root: Path, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, "train.7z", SEVEN)
    monkeypatch.setitem(sys.modules, "py7zr", fake_py7zr({"train/1.jpg": 3, "train/2.jpg": 4}))
    assert files.read("train/1.jpg") == files.read("train.7z/1.jpg") == b"777"
    assert files.list("train") == ["1.jpg", "2.jpg"]
    monkeypatch.setitem(sys.modules, "py7zr", fake_py7zr({}, fails=True))
    assert Files(root, tmp_path / "cache").read("train/2.jpg") == b"7777"


@pytest.mark.parametrize(
    ("names", "fails", "message"),
    [
        ({"../x.jpg": 1}, False, "'../x.jpg' leads outside"),
        ({"x.jpg": 10**12}, False, "decompression bomb"),
        ({"x.jpg": 1}, True, "cannot be read: Corrupt input"),
    ],
)
def test_bad_7z_archives_are_refused(
    root: Path, files: Files, monkeypatch: pytest.MonkeyPatch, names: dict[str, int], fails: bool, message: str
) -> None:
    write(root, "train.7z", SEVEN)
    monkeypatch.setitem(sys.modules, "py7zr", fake_py7zr(names, fails))
    with pytest.raises(DataError, match=message):
        files.read("train/x.jpg")


def test_7z_without_its_package_says_what_to_install(root: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "train.7z", SEVEN)
    monkeypatch.setitem(sys.modules, "py7zr", None)
    with pytest.raises(DataError, match="pip install py7zr"):
        files.read("train/x.jpg")


def test_7z_with_the_real_package(root: Path, files: Files) -> None:
    py7zr = pytest.importorskip("py7zr")
    write(root.parent, "source/1.jpg", b"seven")
    with py7zr.SevenZipFile(root / "train.7z", "w") as archive:
        archive.writeall(root.parent / "source", "train")
    assert files.read("train/1.jpg") == b"seven"


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


# --- templates -------------------------------------------------------------------------------------------------

TABLE = pd.DataFrame(
    {"id": ["abc", "xyz"], "path": ["p/q", "r"], "CVC - Normal": ["1", "0"], "number": [7, 12]}, index=[5, 9]
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("train/{id}.jpg", ["train/abc.jpg", "train/xyz.jpg"]),
        ("train/{id[0]}/{id}.npy", ["train/a/abc.npy", "train/x/xyz.npy"]),
        ("{id[-1]}{id[0:2]}{id[1:]}{id[:-1]}", ["cabbcab", "zxyyzxy"]),
        ("{path}/{number}.jpg", ["p/q/7.jpg", "r/12.jpg"]),
        ("{CVC - Normal}/{{{id}}}", ["1/{abc}", "0/{xyz}"]),
        ("fixed.jpg", ["fixed.jpg", "fixed.jpg"]),
    ],
)
def test_templates_fill_columns_and_parts_of_them(files: Files, template: str, expected: list[str]) -> None:
    assert path_template(template, TABLE.columns).apply(TABLE, files) == expected
    assert path_template(template).fill(TABLE).index.tolist() == [5, 9]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("train/{id.jpg", "'train/{id.jpg': '{' has no partner"),
        ("train/id}.jpg", "'}' has no partner"),
        ("{}", r"'\{\}' is not understood"),
        ("{id[}", r"'\{id\[\}' is not understood. Write a column"),
        ("{id[a]}", "is not understood"),
        ("{id[0:1:2]}", "is not understood"),
    ],
)
def test_bad_templates_are_explained(template: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        path_template(template)


def test_unknown_columns_are_all_named_with_the_nearest() -> None:
    with pytest.raises(DataError) as caught:
        path_template("{pth}/{Id}/{nothing}.jpg", TABLE.columns)
    assert "no column 'pth'. Did you mean 'path'?" in caught.value.problems[0]
    assert "no column 'Id'. Did you mean 'id'?" in caught.value.problems[1]
    assert len(caught.value.problems) == 3


def test_an_unknown_ending_is_found_in_the_listing(root: Path, files: Files) -> None:
    for name in ("a/1.2.3.jpg", "a/1.2.png", "b/1.2.JPEG", "b/1.2.txt", "b/noending"):
        write(root, name)
    table = pd.DataFrame({"folder": list("aabbb"), "id": ["1.2.3", "1.2", "1.2", "noending", "9"]})
    assert path_template("{folder}/{id}.*").apply(table, files) == [
        "a/1.2.3.jpg",
        "a/1.2.png",
        "b/1.2.JPEG",
        "b/noending",
        "b/9.*",
    ]
    assert path_template("{id}.*").apply(table[:1], files) == ["1.2.3.*"]


def test_an_ambiguous_ending_is_an_error(root: Path, files: Files) -> None:
    for name in ("1.jpg", "1.png", "1.txt"):
        write(root, f"train/{name}")
    with pytest.raises(DataError, match=r"'train/1.\*' means several files: 1.jpg, 1.png"):
        path_template("train/{id}.*").apply(pd.DataFrame({"id": ["1"]}), files)


def test_listing_once_for_a_hundred_thousand_rows(root: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "train/7.jpg")
    asked = recorded(files, monkeypatch)
    table = pd.DataFrame({"id": np.arange(100_000).astype(str)})
    paths = path_template("train/{id}.*").apply(table, files)
    assert paths[6:8] == ["train/6.*", "train/7.jpg"]
    assert asked == ["train"]
