"""Archives: read in place, unpacked once, refused when unsafe."""

from __future__ import annotations

import gzip
import random
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import pytest

from compete import DataError
from compete.files.archives import open_archive
from compete.files.root import Files
from file_fixtures import MEMBERS, make_tar, make_zip, write

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


@pytest.mark.parametrize("name", ["../x.jpg", "..\\x.jpg"])
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
    with pytest.raises(DataError, match=r"text.zip: not a zip, tar or 7z archive"):
        files.read("text/1.jpg")


def test_a_locked_zip_is_refused(root: Path, files: Files) -> None:
    data = bytearray(make_zip(root / "train.zip", {"1.jpg": b"x"}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    write(root, "train.zip", bytes(data))
    with pytest.raises(DataError, match="locked with a password"):
        files.read("train/1.jpg")


def test_a_slice_of_a_packed_file_is_refused(root: Path, files: Files) -> None:
    make_zip(root / "train.zip", {"train.bson": b"0123"})
    with pytest.raises(DataError, match="only an unpacked file can be sliced"):
        files.read("train.zip/train.bson#0+2")


# --- 7z, through a stand-in for the optional package -----------------------------------------------------------


def fake_py7zr(names: dict[str, int], fails: bool = False, locked: bool = False) -> types.ModuleType:
    class ArchiveError(Exception):
        pass

    class SevenZipFile:
        def __init__(self, path: Path) -> None:
            assert path.name == "train.7z"

        def __enter__(self) -> SevenZipFile:
            return self

        def __exit__(self, *_: object) -> None: ...

        def needs_password(self) -> bool:
            return locked

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


def test_a_locked_7z_is_refused(root: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "train.7z", SEVEN)
    monkeypatch.setitem(sys.modules, "py7zr", fake_py7zr({"x.jpg": 1}, locked=True))
    with pytest.raises(DataError, match="locked with a password"):
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


@pytest.mark.parametrize("blocks", [3, 3.2, 4, 5, 6, 14, 15])
def test_a_tar_that_was_cut_off_is_refused_wherever_it_ends(root: Path, files: Files, blocks: float) -> None:
    whole = make_tar(root / "train.tar", MEMBERS)
    data = whole.read_bytes()
    assert files.exists("train.tar/0004.jpg")
    whole.write_bytes(data[: int(blocks * tarfile.BLOCKSIZE)])
    with pytest.raises(DataError, match=r"train\.tar: .*(cut off|unexpected end of data)"):
        Files(root, root / "cache").exists("train.tar/0000.jpg")


def zip_of(names: list[str], encoding: str, path: Path) -> None:
    """Write a zip as a program that does not say in which encoding its names are."""

    class Unmarked(zipfile.ZipInfo):
        def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
            return self.filename.encode(encoding), 0

    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(Unmarked(name), b"1")


@pytest.mark.parametrize(
    ("encoding", "folders"),
    [
        ("utf-8", ["고양이", "개", "é"]),
        ("cp949", ["고양이", "강아지", "토끼"]),
        ("cp949", ["개"]),
        ("cp932", ["犬", "猫"]),
        ("cp932", ["いぬ", "ネコ", "日本語"]),
        ("gb18030", ["狗狗", "猫咪", "兔子", "老鼠", "大象", "狮子", "斑马"]),
        ("cp437", ["café", "naïve", "Zürich"]),
        ("ascii", ["plain"]),
    ],
)
def test_names_are_read_in_the_encoding_that_they_are_in(root, encoding, folders):
    names = ["top.txt", *(f"images of {folder}/picture.jpg" for folder in folders)]
    zip_of(names, encoding, root / "data.zip")
    assert Files(root).walk("data.zip") == sorted(names)
    with tarfile.open(root / "more.tar", "w", format=tarfile.GNU_FORMAT, encoding=encoding) as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    assert Files(root).walk("more.tar") == sorted(names)


def test_a_name_that_is_there_twice_is_refused(root):
    with zipfile.ZipFile(root / "a.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("x.txt", "1")
        archive.writestr("x.txt", "2")
    with tarfile.open(root / "b.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("x.txt"))
        archive.addfile(tarfile.TarInfo("./x.txt"))
    with zipfile.ZipFile(root / "c.zip", "w") as archive:  # one file, with either slash
        archive.writestr("f/x.txt", "1")
        archive.writestr("f\\x.txt", "2")
    for name in ("a.zip", "b.tar", "c.zip"):
        with pytest.raises(
            DataError, match=rf"{name}: the member '(f/)?x\.txt' is there twice, with different contents"
        ):
            Files(root).walk(name)


def test_names_that_differ_in_capitals_are_two_files(root):
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        archive.writestr("A.jpg", "1")
        archive.writestr("a.jpg", "2")
    assert [Files(root).read(f"a.zip/{name}.jpg") for name in "Aa"] == [b"1", b"2"]


def test_what_is_empty_is_called_empty(root):
    (root / "a.zip").touch()
    (root / "x.7z").touch()
    zipfile.ZipFile(root / "b.zip", "w").close()
    for name, what in (("a.zip", "file"), ("x.7z", "file"), ("b.zip", "archive")):
        with pytest.raises(DataError, match=rf"{name}: the {what} is empty"):
            open_archive(root / name, root / "cache", 1000)
