"""Archives inside archives: the same paths, limits and messages as on a disk; hostile ones are refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from zipfile import ZIP_DEFLATED, ZIP_STORED

import pytest

from compete.errors import DataError
from compete.files.root import Files
from compete.files.scan import scan_folder

RED, BLUE = b"red" * 100, b"blue" * 90


def zipped(members: dict[str, bytes], method: int = ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def tarred(members: dict[str, bytes], mode: str = "w") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


TRAIN, TEST = zipped({"a.png": RED, "sub/b.png": BLUE}), zipped({"a.png": BLUE})
OUTER = {
    "all.zip": zipped({"train.zip": TRAIN, "test.zip": TEST, "labels.csv": b"id\n1\n"}),
    "stored.zip": zipped({"train.zip": TRAIN, "test.zip": TEST}, ZIP_STORED),
    "all.tar": tarred({"train.zip": TRAIN, "test.zip": TEST}),
    "all.tar.gz": tarred({"train.zip": TRAIN, "test.zip": TEST}, "w:gz"),
    "based.zip": zipped({"data/train.zip": TRAIN, "data/test.zip": TEST}),
    "tars.zip": zipped(
        {"train.tar": tarred({"a.png": RED, "sub/b.png": BLUE}), "test.tar.gz": tarred({"a.png": BLUE}, "w:gz")}
    ),
}


@pytest.mark.parametrize("outer", OUTER)
def test_images_in_inner_archives_are_read_by_both_spellings(files, root, outer, capsys):
    (root / outer).write_bytes(OUTER[outer])
    kind = "tar" if outer == "tars.zip" else "zip"
    stem = outer.partition(".")[0]
    for folder in (f"{outer}/train.{kind}", f"{stem}/train"):
        assert files.read(f"{folder}/a.png") == RED and files.read(f"{folder}/sub/b.png") == BLUE
        assert files.list(folder) == ["a.png", "sub"] and files.walk(folder) == ["a.png", "sub/b.png"]
        assert list(files.present([f"{folder}/a.png", f"{folder}/c.png"])) == [True, False]
        assert files.exists(f"{folder}/sub/b.png") and not files.exists(f"{folder}/c.png")
    assert files.read(f"{stem}/test/a.png") == BLUE  # a member of the same name in the neighbour
    assert files.stamp(f"{stem}/test/a.png") != files.stamp(f"{stem}/train/a.png")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all("unpacking '" in line and "once" in line for line in said)
    again = Files(root, files.cache)
    assert again.read(f"{stem}/train/a.png") == RED and not capsys.readouterr().err


def test_a_folder_comes_before_an_archive_of_its_name(files, root):
    (root / "all.zip").write_bytes(zipped({"train/a.png": BLUE, "train.zip": TRAIN, "x/y": b""}))
    assert files.read("all.zip/train/a.png") == BLUE and files.read("all.zip/train.zip/a.png") == RED


def test_three_levels_are_read_and_a_fourth_is_refused(files, root):
    inner = zipped({"d.zip": zipped({"e.png": RED})})
    (root / "a.zip").write_bytes(zipped({"b.zip": zipped({"c.zip": inner, "f.png": BLUE})}))
    assert files.read("a/b/f.png") == BLUE and files.list("a.zip/b.zip/c.zip") == ["d.zip"]
    with pytest.raises(DataError, match=r"c.zip: 'd.zip' is an archive inside 3 others; .* Unpack the outermost one"):
        files.read("a/b/c/d/e.png")


def test_a_changed_outer_archive_is_unpacked_again(files, root):
    (root / "all.zip").write_bytes(zipped({"train.zip": TRAIN}))
    assert files.read("all/train/a.png") == RED
    (root / "all.zip").write_bytes(zipped({"train.zip": TEST, "more": b""}))
    assert Files(root, files.cache).read("all/train/a.png") == BLUE


def locked(data: bytes) -> bytes:
    """Set the flag of a password in each header."""
    changed = bytearray(data)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[data.index(signature) + place] |= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (locked(TRAIN), r"train.zip: the archive is locked with a password"),
        (zipped({"../evil.png": RED}), r"train.zip: the member '\.\./evil.png' leads outside the archive"),
        (zipped({"/etc/evil.png": RED}), r"train.zip: the member '/etc/evil.png' leads outside"),
        (TRAIN[: len(TRAIN) // 2], r"train.zip: .*Download it again"),
        (b"no archive at all", r"train.zip: not a zip, tar or 7z archive"),
        (b"", r"train.zip: the file is empty"),
        (zipped({}), r"train.zip: .*empty"),
    ],
)
def test_a_hostile_inner_archive_is_refused_by_its_name(files, root, inner, message):
    (root / "all.zip").write_bytes(zipped({"train.zip": inner}))
    with pytest.raises(DataError, match=message):
        files.read("all/train/a.png")


def test_inner_archives_that_are_bombs_write_nothing(root, tmp_path):
    (root / "all.zip").write_bytes(zipped({f"{n}.zip": bytes(400_000) for n in range(9)}))
    files = Files(root, tmp_path / "cache", most_bytes=1_000_000)
    with pytest.raises(
        DataError, match=r"all.zip: the archives in it unpack to more than \d+ bytes; refused as a decompression"
    ):
        files.read("all/1/a.png")
    assert not list((tmp_path / "cache").rglob("*.zip"))


def test_a_scan_looks_into_inner_archives(root, tmp_path):
    (root / "all.zip").write_bytes(OUTER["all.zip"])
    found = scan_folder(root, tmp_path / "cache")
    assert sorted(found.images) == ["all/test/a.png", "all/train/a.png", "all/train/sub/b.png"]
    assert found.tables == {"all/labels.csv": "all.zip/labels.csv"} and not found.unopened
    assert all(found.files.exists(path) for path in found.images)


def test_a_scan_says_which_inner_archives_it_could_not_open(root, tmp_path):
    (root / "all.zip").write_bytes(zipped({"train.zip": TRAIN, "bad.zip": locked(TEST)}))
    found = scan_folder(root, tmp_path / "cache")
    assert "all/train/a.png" in found.images and found.unopened == [
        "bad.zip: the archive is locked with a password. Unpack it first."
    ]
    (root / "all.zip").write_bytes(zipped({f"{n}.zip": TEST for n in range(60)}))
    found = scan_folder(root, tmp_path / "cache")
    assert len(found.images) == 50 and "holds 60 archives; these are not opened" in found.unopened[0]


def test_pickled_files_read_inner_archives(files, root):
    import pickle

    (root / "all.zip").write_bytes(OUTER["all.zip"])
    assert files.read("all/train/a.png") == RED
    assert pickle.loads(pickle.dumps(files)).read("all/test/a.png") == BLUE  # as spawned workers do


def test_an_unknown_name_in_an_inner_archive_names_the_nearest(files, root):
    (root / "all.zip").write_bytes(OUTER["all.zip"])
    with pytest.raises(DataError, match=r"no file 'all/train/a.pn' .*Did you mean 'a.png'"):
        files.read("all/train/a.pn")
