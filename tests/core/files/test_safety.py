"""What every archive is checked for."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from compete import DataError
from compete.files.root import Files
from compete.files.safety import ListedMember, refuse_unsafe, unsafe_members
from file_fixtures import make_zip, write


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (ListedMember("../x", 1), "the member '../x' leads outside the archive; such an archive is refused."),
        (ListedMember("/x", 1), "'/x' leads outside"),
        (ListedMember("C:x", 1), "'C:x' leads outside"),
        (ListedMember("a/../../x", 1), "leads outside"),
        (ListedMember("x\0.jpg", 1), "leads outside"),
        (ListedMember("x", 1, is_link=True), "the member 'x' is a link; such an archive is refused."),
        (ListedMember("x", 1, is_locked=True), "the archive is locked with a password. Unpack it first."),
        (ListedMember("x", 1, packed_size=101), "its members overlap; refused as a decompression bomb."),
        (ListedMember("x", 1001), "unpacks to more than 1000 bytes; refused as a decompression bomb."),
    ],
)
def test_one_unsafe_member_is_enough(tmp_path: Path, member: ListedMember, problem: str) -> None:
    archive = write(tmp_path, "a.zip", b"0" * 100)
    fine = [ListedMember("a/..b/c.jpg", 0, 0), ListedMember("./d", 0, 0)]
    assert list(unsafe_members(archive, fine, 1000)) == []
    (found,) = unsafe_members(archive, [*fine, member], 1000)
    assert problem in found
    with pytest.raises(DataError, match=r"^a\.zip: "):
        refuse_unsafe(archive, [member], 1000)


def test_a_link_in_a_zip_is_left_out(root: Path, files: Files) -> None:
    with zipfile.ZipFile(root / "train.zip", "w") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("1.jpg", "1")
    assert files.list("train") == ["1.jpg"]


def test_a_zip_whose_members_overlap_is_refused(root: Path, files: Files) -> None:
    data = make_zip(root / "train.zip", {"a": b"0" * 100_000}).read_bytes()
    start, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    entries = b"".join(data[start : start + 46] + name + data[start + 47 : end] for name in (b"a", b"b", b"c", b"d"))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 4, 4, len(entries), start, 0)
    (root / "train.zip").write_bytes(data[:start] + entries + tail)
    with pytest.raises(DataError, match=r"train\.zip: its members overlap"):
        files.read("train/a")
