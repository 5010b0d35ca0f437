"""What may be read: one check of a file that a user names, and one of an archive's members.

The rule for files named in a TOML or on the command line: each is a regular file that is not empty, and of bounded size
where it is read whole. What holds data (tables, images, class files) lies below the root, or beside the TOML; a link
that leads elsewhere is refused, so that a TOML of somebody else's reads nothing else, unless the user's environment
says COMPETE_FOLLOW_LINKS=1. Weights, plugins and CSV files to
submit may lie anywhere.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from compete.errors import DataError

MOST_RATIO = 200  # unpacked bytes per packed byte; images and tables stay far below
MOST_PROBLEMS = 5
NO_FILE = "no such file"
MOST_BYTES = 2 << 30  # of a file that is read whole
MOST_CODE_BYTES = 10_000_000
FEWEST_USUAL = 0.8
# The bytes of usual letters: Hangul syllables; kana and the frequent kanji; the frequent hanzi.
_NAME_ENCODINGS = {
    "utf-8": re.compile(b"."),
    "euc_kr": re.compile(b"[\xb0-\xc8]", re.DOTALL),
    "cp932": re.compile(b"[\x82\x83\x88-\x97]", re.DOTALL),
    "gb18030": re.compile(b"[\xb0-\xd7]", re.DOTALL),
    "big5": re.compile(b"[\xa4-\xc6]", re.DOTALL),
}
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
LOCKED = "the archive is locked with a password. Unpack it first."


# Folders of macOS, Windows, storage servers and Python that hold copies, thumbnails and deleted files.
LEFT_BEHIND = {
    "__macosx", "@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "$recycle.bin",
    "system volume information", "lost+found", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini",
}  # fmt: skip


class ListedMember(NamedTuple):
    """A member as its archive lists it: sizes in bytes, `packed_size` 0 where the archive does not tell."""

    name: str
    size: int
    packed_size: int = 0
    is_link: bool = False
    is_locked: bool = False
    content: int | None = None  # equal for two members with the same bytes; None where nobody knows


def unusable_file(path: Path, most_bytes: int | None = None) -> str:
    """Return why a file that was named cannot be read, or an empty string; it is not opened: a pipe would block."""
    try:
        about = path.stat()
        real = path.resolve()
    except FileNotFoundError:
        return NO_FILE
    except (OSError, ValueError, RuntimeError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if not stat.S_ISREG(about.st_mode):
        kind = next((text for is_kind, text in _KINDS if is_kind(about.st_mode)), "something else")
        return f"not a file but {kind}"
    if real.is_relative_to("/proc") or real.is_relative_to("/sys"):
        return "not a file but a window into the system"
    if not about.st_size:
        return "the file is empty"
    if most_bytes is not None and about.st_size > most_bytes:
        return f"larger than {most_bytes:,} bytes"
    return ""


def unsafe_members(archive: Path, members: Iterable[ListedMember], most_bytes: int | None = None) -> Iterator[str]:
    """Yield why an archive is refused: a password, names that lead outside or occur twice, links, and bombs.

    Members that overlap, and more than `most_bytes` in all, are bombs. One file that is there twice is no fault.
    """
    size = packed_size = 0
    first: dict[str, ListedMember] = {}
    for member in members:
        if member.is_locked:
            yield LOCKED
            return
        if _leads_outside(member.name):
            yield f"the member '{member.name}' leads outside the archive; such an archive is refused."
        elif member.is_link:
            yield f"the member '{member.name}' is a link; such an archive is refused."
        other = first.setdefault(member.name, member)
        if other is not member and (other.content is None or other[:2] + other[5:] != member[:2] + member[5:]):
            yield f"the member '{member.name}' is there twice, with different contents. Unpack the archive by hand."
        size += member.size
        packed_size += member.packed_size
    if packed_size and packed_size > archive.stat().st_size:
        yield "its members overlap; refused as a decompression bomb."
    if most_bytes is not None and size > most_bytes:
        yield bomb_text(most_bytes)


def refuse_unsafe(archive: Path, members: Iterable[ListedMember], most_bytes: int | None = None) -> None:
    """Raise `DataError` with the first reasons of `unsafe_members`, if there are any."""
    problems = list(unsafe_members(archive, members, most_bytes))
    if problems:
        raise DataError(f"{archive.name}: {problem}" for problem in problems[:MOST_PROBLEMS])


def zip_members(infos: Iterable[zipfile.ZipInfo]) -> list[tuple[ListedMember, zipfile.ZipInfo]]:
    """Return a zip's files for `unsafe_members`, by their names in the encoding that these are in."""
    files = [info for info in infos if not info.is_dir()]
    raw = {id(info): name for info in files if (name := _raw_name(info))}
    encoding = name_encoding(list(raw.values()))
    names = [raw[id(info)].decode(encoding) if id(info) in raw else info.filename for info in files]
    return [(_zip_member(clean_name(name), info), info) for name, info in zip(names, files, strict=True)]


def _zip_member(name: str, info: zipfile.ZipInfo) -> ListedMember:
    is_link, is_locked = stat.S_ISLNK(info.external_attr >> 16), bool(info.flag_bits & 1)
    return ListedMember(name, info.file_size, info.compress_size, is_link, is_locked, info.CRC)


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a name that says nothing of its encoding, or none: `zipfile` reads it as cp437."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return b""
    try:
        return info.filename.encode("cp437")
    except UnicodeEncodeError:  # a second name in UTF-8 stood beside it
        return b""


def name_encoding(names: Sequence[bytes]) -> str:
    """Return the encoding of an archive's names by evidence: UTF-8 where it fits, else one whose letters are usual.

    Programs on Korean and Japanese Windows write their own encoding and do not say so. cp437, which the format
    prescribes, stands where no other fits.
    """
    text = b"\n".join(names)
    for name, usual in _NAME_ENCODINGS.items():
        try:
            letters = [letter for letter in text.decode(name) if letter > "\x7f"]
        except UnicodeDecodeError:
            continue
        if sum(usual.match(letter.encode(name)) is not None for letter in letters) >= FEWEST_USUAL * len(letters):
            return "cp949" if name == "euc_kr" else name
    return "cp437"


def clean_name(name: str) -> str:
    """Return a member's name with forward slashes and without a leading `./`."""
    return name.replace("\\", "/").removeprefix("./")


def is_clutter(name: str) -> bool:
    """Return whether a name is one of the extra files that macOS and Windows create."""
    last = name.rpartition("/")[2]
    return last.startswith("._") or last in {".DS_Store", "Thumbs.db"} or name.split("/", 1)[0] == "__MACOSX"


def left_behind(path: str) -> str:
    """Return the part of a path that a program left there: a hidden file or folder, or one of `LEFT_BEHIND`; or ""."""
    parts = path.split("/")
    return next((part for part in parts if part.startswith(".") or part.lower() in LEFT_BEHIND), "")


def unpacked_limit(archive: Path, most_bytes: int) -> int:
    """Return how many bytes an archive may unpack to: `most_bytes`, or more for a large archive."""
    return max(most_bytes, MOST_RATIO * archive.stat().st_size)


def bomb_text(most_bytes: int) -> str:
    """Explain that an archive unpacks to too much."""
    return f"unpacks to more than {most_bytes} bytes; refused as a decompression bomb."


def _leads_outside(name: str) -> bool:
    return name.startswith("/") or name[1:2] == ":" or "\0" in name or ".." in name.split("/")
