"""Downloads: fetched once, unpacked safely, resumed after a stop."""

from __future__ import annotations

import io
import json
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from compete.errors import CompeteError, DataError, RunBusyError, UserError
from compete.files.root import Files
from compete.leaderboard import download as module
from compete.leaderboard.download import download, safe_extract, slug_of
from compete.leaderboard.platform import AccessError, PlatformError, Receipt, UnreachableError, Uploader
from compete.leaderboard.retry import Clock

FILES = {"train.csv": b"id,label\n1,0\n", "images/1.jpg": b"pixels" * 100, "images/more/2.jpg": b"more"}
CLOCK = Clock(pause=lambda _: None)


def zipped(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def fake(fetch: Callable[[Path], Path], check: Callable[[], None] | None = None) -> Uploader:
    return Uploader(
        platform="Fake",
        competition="fish",
        create=lambda *_: Receipt(),
        check=check,
        download=lambda folder, progress: fetch(folder),
    )


def giving(data: bytes, name: str = "fish.zip") -> Callable[[Path], Path]:
    def fetch(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return fetch


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_files_are_fetched_and_unpacked(tmp_path):
    assert download(fake(giving(zipped(FILES))), tmp_path / "data", "kaggle", log=print) == 3
    assert contents(tmp_path / "data") == FILES  # the archive itself is gone


def test_a_second_call_fetches_nothing(tmp_path):
    download(fake(giving(zipped(FILES))), tmp_path, "kaggle", log=print)
    logged: list[str] = []
    assert download(fake(lambda _: pytest.fail("fetched again")), tmp_path, "kaggle", log=logged.append) == 3
    assert "already downloaded, 3 files" in logged[0]


def test_a_stop_while_unpacking_fetches_nothing_again(tmp_path, monkeypatch):
    real, left = module._extract_one, [1]

    def stop_after_one(*arguments):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        real(*arguments)

    monkeypatch.setattr(module, "_extract_one", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        download(fake(giving(zipped(FILES))), tmp_path, "kaggle", log=print)
    monkeypatch.setattr(module, "_extract_one", real)
    first = (tmp_path / "train.csv").stat().st_mtime_ns
    assert download(fake(lambda _: pytest.fail("fetched again")), tmp_path, "kaggle", log=print) == 3
    assert contents(tmp_path) == FILES
    assert (tmp_path / "train.csv").stat().st_mtime_ns == first


def test_a_file_half_written_is_written_again(tmp_path):
    (tmp_path / ".train.csv.partial").write_bytes(b"id")
    download(fake(giving(zipped(FILES))), tmp_path, "kaggle", log=print)
    assert (tmp_path / "train.csv").read_bytes() == FILES["train.csv"]
    assert not (tmp_path / ".train.csv.partial").exists()


def test_a_partial_archive_is_given_back_to_the_platform(tmp_path):
    (tmp_path / ".download").mkdir()
    (tmp_path / ".download/fish.zip").write_bytes(zipped(FILES))
    (tmp_path / ".download/fish.zip.kaggle-partial").write_text("{}")
    fetched = []
    download(fake(lambda folder: fetched.append(1) or folder / "fish.zip"), tmp_path, "kaggle", log=print)
    assert fetched == [1]


def test_a_broken_connection_is_tried_again(tmp_path):
    tries = []

    def fetch(folder: Path) -> Path:
        tries.append(1)
        if len(tries) < 3:
            raise UnreachableError("broke")
        return giving(zipped(FILES))(folder)

    assert download(fake(fetch), tmp_path, "kaggle", log=print, clock=CLOCK) == 3


def test_a_folder_with_nothing_fetched_into_it_is_removed(tmp_path):
    with pytest.raises(PlatformError, match="no"):
        download(fake(refuse), tmp_path / "data", "kaggle", log=print, clock=CLOCK)
    assert not (tmp_path / "data").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").touch()
    with pytest.raises(PlatformError, match="no"):
        download(fake(refuse), tmp_path / "mine", "kaggle", log=print, clock=CLOCK)
    assert (tmp_path / "mine/notes.txt").exists()


def refuse(_: Path) -> Path:
    raise PlatformError("no")


def test_two_downloads_into_one_folder(tmp_path):
    def fetch(folder: Path) -> Path:
        with pytest.raises(RunBusyError, match=r"is in use by .*\. Wait for it, and repeat the command\.$"):
            call_in_a_process(folder.parent)
        return giving(zipped(FILES))(folder)

    assert download(fake(fetch), tmp_path / "data", "kaggle", log=print) == 3


def call_in_a_process(folder: Path) -> None:
    """Try to hold the folder from another process; its locks do not keep a process from itself."""
    code = f"from pathlib import Path\nfrom compete.leaderboard.records import transfer_lock\nwith transfer_lock(Path({str(folder)!r})): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (folder / ".lock").exists()
    if done.returncode:
        raise RunBusyError(done.stderr.strip().splitlines()[-1])


def test_a_note_names_the_platform_and_competition(tmp_path):
    download(fake(giving(zipped(FILES))), tmp_path, "kaggle", log=print)
    note = json.loads((tmp_path / ".downloaded.json").read_text())
    assert (note["platform"], note["competition"], note["files"]) == ("kaggle", "fish", 3)


def test_a_full_disk_is_reported(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to/.train.csv.partial").symlink_to("/dev/full")
    with pytest.raises(
        CompeteError,
        match=r"cannot write .*train\.csv: No space left.* Free up space, and run the same command again\.",
    ):
        extract(tmp_path, zipped(FILES))
    assert not (tmp_path / "to/train.csv").exists()


def test_access_is_checked_first(tmp_path):
    def check() -> None:
        raise AccessError("accept the rules")

    with pytest.raises(AccessError, match="accept the rules"):
        download(fake(lambda _: pytest.fail("fetched"), check), tmp_path, "kaggle", log=print)


def test_a_competition_of_one_file_is_left_as_it_is(tmp_path):
    assert download(fake(giving(b"id\n1\n", "fish.csv")), tmp_path, "kaggle", log=print) == 1
    assert contents(tmp_path) == {"fish.csv": b"id\n1\n"}


def test_a_truncated_archive_is_reported(tmp_path):
    with pytest.raises(PlatformError, match=r"fish\.zip is not a complete zip\. Delete it"):
        download(fake(giving(zipped(FILES)[:-30])), tmp_path, "kaggle", log=print)


def test_a_damaged_member_is_reported(tmp_path):
    data = bytearray(zipped({"a.bin": bytes(range(256)) * 50}))
    data[60] ^= 0xFF
    with pytest.raises(DataError, match="cannot be unpacked"):
        extract(tmp_path, bytes(data))
    assert not (tmp_path / "to/a.bin").exists()


def test_a_failed_unpacking_leaves_nothing(tmp_path):
    data = bytearray(zipped({"a/1.txt": b"1", "a/b/2.txt": b"2", "c.bin": bytes(range(256)) * 50}))
    data[data.index(b"c.bin") + 100] ^= 0xFF
    (tmp_path / "to").mkdir()
    (tmp_path / "to/mine.txt").touch()
    with pytest.raises(DataError, match="cannot be unpacked"):
        extract(tmp_path, bytes(data))
    assert [path.name for path in (tmp_path / "to").rglob("*")] == ["mine.txt"]


def test_files_that_are_gone_are_fetched_again(tmp_path):
    fetched: list[int] = []

    def fetch(folder: Path) -> Path:
        fetched.append(1)
        return giving(zipped(FILES))(folder)

    logged: list[str] = []
    download(fake(fetch), tmp_path, "kaggle", log=print)
    (tmp_path / "images/1.jpg").unlink()
    assert download(fake(fetch), tmp_path, "kaggle", log=logged.append) == 3
    assert contents(tmp_path) == FILES and len(fetched) == 2
    assert logged[0] == f"{tmp_path}: 1 of 3 files are missing: images/1.jpg"
    (tmp_path / "train.csv").write_text("mine")
    with pytest.raises(DataError, match=r"1 file changed since the download: train\.csv\. Nothing is replaced"):
        download(fake(fetch), tmp_path, "kaggle", log=print)
    assert len(fetched) == 2


def test_a_file_of_the_same_size_with_another_content_is_not_taken_for_it(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to/train.csv").write_bytes(FILES["train.csv"].replace(b"1,0", b"1,1"))
    with pytest.raises(DataError, match=r"train\.csv already exists and differs"):
        extract(tmp_path, zipped(FILES))


def test_an_archive_may_hold_a_file_of_its_own_name(tmp_path):
    inner = zipped({"a.txt": b"a"})
    assert download(fake(giving(zipped({"fish.zip": inner, "b.txt": b"b"}))), tmp_path, "kaggle", log=print) == 2
    assert contents(tmp_path) == {"fish.zip": inner, "b.txt": b"b"}
    assert not (tmp_path / ".download").exists()
    assert Files(tmp_path).read("fish/a.txt") == b"a"  # read in place
    assert download(fake(lambda _: pytest.fail("fetched again")), tmp_path, "kaggle", log=print) == 2


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "fish.zip", "fish.zip is empty"),
        (b"", "fish.csv", "fish.csv is empty"),
        (b" <!DOCTYPE html><title>Sign in</title>", "fish.zip", "is a web page, such as a login or a proxy sends"),
        (b"<html>", "fish.csv", "is a web page"),
        (b'{"message": "\x1b[2Jno"}', "fish.zip", r'is a message, {"message": "\\x1b'),
    ],
)
def test_what_came_instead_of_the_files_is_named(tmp_path, data, name, message):
    with pytest.raises(PlatformError, match=message):
        download(fake(giving(data, name)), tmp_path, "kaggle", log=print)
    assert contents(tmp_path) == ({f".download/{name}": data})


def test_a_file_that_is_a_zip_inside_is_not_taken_apart(tmp_path):
    data = zipped({"a.npy": b"1"})
    assert download(fake(giving(data, "fish.npz")), tmp_path, "kaggle", log=print) == 1
    assert contents(tmp_path) == {"fish.npz": data}


def test_a_bomb_is_refused_by_its_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FEWEST_BOMB_BYTES", 1000)
    bomb = zipped({"a": bytes(10_000_000)})
    assert len(bomb) * 200 < 10_000_000
    with pytest.raises(DataError, match=r"unpacks to more than [\d,]+ bytes; refused as a decompression bomb"):
        extract(tmp_path, bomb)


def test_a_header_that_lies_about_its_size_is_found_out(tmp_path):
    data = zipped({"a": b"0" * 100_000})
    lying = data.replace(struct.pack("<L", 100_000), struct.pack("<L", 10))
    with pytest.raises(DataError, match="cannot be unpacked"):
        extract(tmp_path, lying)
    assert contents(tmp_path / "to") == {}


def test_names_that_a_disk_takes_for_one_are_refused(tmp_path, monkeypatch):
    names = zipped({"A.jpg": b"1", "a.jpg": b"2", "caf\u00e9": b"3", "cafe\u0301": b"4"})
    assert len(extract(tmp_path, names)) == 4
    monkeypatch.setattr(module, "_folds_names", lambda _: True)
    with pytest.raises(DataError, match=r"'A\.jpg' and 'a\.jpg' have the same name on this disk") as caught:
        extract(tmp_path, names)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b/c", "a")])
def test_a_file_that_is_a_folder_too_is_refused(tmp_path, names):
    with pytest.raises(DataError, match=r"the member 'a' is a file, and a folder of 'a/b"):
        extract(tmp_path, zipped(dict.fromkeys(names, b"1")))


@pytest.mark.parametrize("name", [".downloaded.json", ".lock", ".download/x"])
def test_names_that_compete_needs_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="has a name that compete uses itself"):
        extract(tmp_path, zipped({name: b"1"}))


def test_a_file_that_is_there_twice_with_the_same_content_is_one(tmp_path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a", "1")
        archive.writestr("a", "1")
    assert extract(tmp_path, data.getvalue()) == {"a": 1}


def test_a_platform_without_downloads(tmp_path):
    uploader = Uploader("Fake", "fish", create=lambda *_: Receipt())
    with pytest.raises(UserError, match=r"Fake offers no downloads\. Get the files from its page"):
        download(uploader, tmp_path, "kaggle", log=print)


def extract(tmp_path: Path, data: bytes) -> int:
    archive, folder = tmp_path / "a.zip", tmp_path / "to"
    archive.write_bytes(data)
    folder.mkdir(exist_ok=True)
    return safe_extract(archive, folder)


def with_link() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return data.getvalue()


def with_overlap() -> bytes:
    """A bomb: many directory entries that all point at one member."""
    data = zipped({"a": b"0" * 100_000})
    end = data.rindex(b"PK\x05\x06")
    start = data.index(b"PK\x01\x02")
    entry, names = data[start:end], b"bcdefghij"
    entries = entry + b"".join(entry[:46] + bytes([name]) + entry[47:] for name in names)
    count = 1 + len(names)
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(entries), start, 0)
    return data[:start] + entries + tail


def with_double() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("a", "1")
            archive.writestr("a", "2")
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped({"ok.txt": b"1", "../evil.txt": b"1"}), r"'\.\./evil\.txt' leads outside the archive"),
        (zipped({"a/../../evil.txt": b"1"}), "leads outside"),
        (zipped({"/evil.txt": b"1"}), "leads outside"),
        (zipped({"C:/evil.txt": b"1"}), "leads outside"),
        (zipped({"a\\..\\..\\evil.txt": b"1"}), "leads outside"),
        (with_link(), "'link' is a link"),
        (with_overlap(), "overlap; refused as a decompression bomb"),
        (with_double, "'a' is there twice"),
    ],
)
def test_unsafe_archives_are_refused_before_anything_is_written(tmp_path, data, message):
    with pytest.raises(DataError, match=message):
        extract(tmp_path, data() if callable(data) else data)
    assert contents(tmp_path / "to") == {}
    assert not (tmp_path / "evil.txt").exists()


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SPARE_BYTES", 1 << 60)
    with pytest.raises(DataError, match=r"unpacks to 1 bytes, but the disk of .* has [\d,]+ left"):
        extract(tmp_path, zipped({"a": b"1"}))


def test_files_that_are_there_are_never_replaced(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to/train.csv").write_text("mine")
    with pytest.raises(DataError, match=r"train\.csv already exists and differs; it is not replaced"):
        extract(tmp_path, zipped(FILES))
    assert contents(tmp_path / "to") == {"train.csv": b"mine"}


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "to/images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="images is a link to outside the folder"):
        extract(tmp_path, zipped(FILES))
    assert contents(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize(
    "text",
    [
        "digit-recognizer",
        "https://www.kaggle.com/competitions/digit-recognizer",
        "https://www.kaggle.com/competitions/digit-recognizer/data?select=train.csv",
        "kaggle.com/c/digit-recognizer/overview",
    ],
)
def test_an_address_is_as_good_as_a_name(text):
    assert slug_of(text) == "digit-recognizer"
