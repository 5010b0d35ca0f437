"""Fetch a competition's files and unpack them, resuming where an earlier try stopped."""

from __future__ import annotations

import re
import shutil
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from compete.errors import DataError, UserError
from compete.files.safety import MOST_PROBLEMS, MOST_RATIO, ListedMember, unsafe_members, zip_members
from compete.leaderboard.platform import PlatformError, Progress, Uploader
from compete.leaderboard.records import time_text, transfer_lock
from compete.leaderboard.retry import CLOCK, Clock, Log, retry
from compete.leaderboard.setup import SOURCE_FILE
from compete.store import cannot_write, make_folder, read_json, write_json
from compete.text import format_first, plural, printable

SPARE_BYTES = 1 << 28
FEWEST_BOMB_BYTES = 1 << 29
WORK_FOLDER = ".download"  # holds what is fetched until it is unpacked: the archive may hold a file of its own name
LOCKS = (".lock", ".owner")
_SLUG = re.compile(r"(?:https?://)?(?:www\.)?kaggle\.com/(?:competitions|c)/([^/?#]+)")


def slug_of(text: str) -> str:
    """Return the competition's name from itself or from its address."""
    match = _SLUG.match(text)
    return match[1] if match else text


def download(
    uploader: Uploader,
    folder: Path,
    platform: str,
    *,
    log: Log,
    progress: Progress = lambda _: None,
    clock: Clock = CLOCK,
) -> int:
    """Fetch the files into a folder and unpack them; return how many there are.

    `platform` is the component's name, which a note in the folder keeps beside the competition's and the files. Nothing
    is fetched while these are all there; a complete archive is not fetched again, nor a complete file unpacked again.
    Raise `DataError` when the archive is unsafe, or differs from a file in the folder: existing files are never
    replaced.
    """
    fetch = uploader.download
    if fetch is None:
        raise UserError(f"{uploader.platform} offers no downloads. Get the files from its page.")
    if _is_complete(folder, uploader.competition, log):
        return len(read_json(folder / SOURCE_FILE)["contents"])
    with _target_folder(folder):
        work = folder / WORK_FOLDER
        archive = _whole_archive(work, uploader.competition)
        if archive is None:
            if uploader.check is not None:
                retry(uploader.check, log, clock)
            log(f"fetching the files of {uploader.competition} into {folder}; after a stop, run this command again")
            make_folder(work)
            archive = retry(lambda: fetch(work, progress), log, clock)
        found = _unpack(archive, folder, log)
        note = {"platform": platform, "competition": uploader.competition, "files": len(found), "at": time_text()}
        write_json(folder / SOURCE_FILE, {**note, "contents": found})
        shutil.rmtree(work, ignore_errors=True)
    return len(found)


def safe_extract(archive: Path, folder: Path) -> dict[str, int]:
    """Unpack a zip below a folder; return the size of each file by its name.

    Refuse, before anything is written, names that lead outside, links, repeated names, bombs, more bytes than the disk
    has, and files that are there with another content. A file appears under its name only when it is complete, and one
    that is there is kept, so that an interrupted call can be repeated. A call that fails takes back what it wrote.
    """
    written: list[Path] = []
    try:
        with zipfile.ZipFile(archive) as opened:
            listed = zip_members(opened.infolist())
            members = {member.name: info for member, info in listed}
            problems = list(_problems(archive, [member for member, _ in listed], members, folder))
            if problems:
                raise DataError([f"{archive.name}: {problem}" for problem in problems[:MOST_PROBLEMS]])
            for name, info in members.items():
                _extract_one(opened, info, folder / name, written)
    except Exception as error:
        _take_back(written, folder)
        if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError | NotImplementedError | RuntimeError):
            raise DataError(f"{archive}: cannot be unpacked: {error}. Delete it and fetch it again.") from error
        raise
    return {name: info.file_size for name, info in members.items()}


def _is_complete(folder: Path, competition: str, log: Log) -> bool:
    """Return whether every file of an earlier download is there. Raise `DataError` when one was changed."""
    done = read_json(folder / SOURCE_FILE)
    contents = done.get("contents")
    if done.get("competition") != competition or not isinstance(contents, dict) or not contents:
        return False
    sizes = {name: _size(folder / name) for name in contents}
    changed = [name for name, size in sizes.items() if size not in (None, contents[name])]
    if changed:
        raise DataError(
            f"{folder}: {plural(len(changed), 'file')} changed since the download: {format_first(changed)}. "
            "Nothing is replaced. Move what you changed, or choose another folder."
        )
    missing = [name for name, size in sizes.items() if size is None]
    if missing:
        log(f"{folder}: {len(missing):,} of {plural(len(sizes), 'file')} are missing: {format_first(missing)}")
        return False
    log(f"{folder}: already downloaded, {len(sizes)} files at {done.get('at')}")
    return True


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


@contextmanager
def _target_folder(folder: Path) -> Iterator[None]:
    """Make and hold the folder; remove it if nothing was fetched into it."""
    make_folder(folder)
    with transfer_lock(folder):
        try:
            yield
        finally:
            with suppress(OSError):
                (folder / WORK_FOLDER).rmdir()
            if {path.name for path in folder.iterdir()} <= set(LOCKS):
                with suppress(OSError):
                    for name in LOCKS:
                        (folder / name).unlink(missing_ok=True)
                    folder.rmdir()


def _whole_archive(work: Path, competition: str) -> Path | None:
    """Return the archive of an earlier call that stopped while unpacking."""
    archive = work / f"{competition}.zip"
    partial = archive.with_name(f"{archive.name}.kaggle-partial")
    return archive if archive.is_file() and not partial.exists() and zipfile.is_zipfile(archive) else None


def _unpack(archive: Path, folder: Path, log: Log) -> dict[str, int]:
    """Unpack what was fetched, or move a single file to its place; return the sizes."""
    instead = _instead_of_data(archive)
    if instead:
        raise PlatformError(f"{archive} is {instead}. Delete it and run the same command again.")
    if archive.suffix == ".zip":
        log(f"unpacking {archive}")
        return safe_extract(archive, folder)
    target, size = folder / archive.name, archive.stat().st_size  # a competition of one file
    if target.exists():
        raise DataError(f"{target} already exists; it is not replaced. Move it, or choose another folder.")
    archive.replace(target)
    return {target.name: size}


def _instead_of_data(archive: Path) -> str:
    """Say what a fetched file is, if it is not what was asked for."""
    with archive.open("rb") as file:
        head = file.read(1000).lstrip().lower()
    if not head:
        return "empty"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page, such as a login or a proxy sends"
    if archive.suffix == ".zip" and not zipfile.is_zipfile(archive):
        return (
            f"a message, {printable(head[:200].decode(errors='replace'))}" if head[:1] == b"{" else "not a complete zip"
        )
    return ""


def _problems(
    archive: Path, listed: Sequence[ListedMember], members: Mapping[str, zipfile.ZipInfo], folder: Path
) -> Iterator[str]:
    limit = max(FEWEST_BOMB_BYTES, MOST_RATIO * archive.stat().st_size)
    unsafe = list(unsafe_members(archive, listed, limit))
    yield from unsafe
    if unsafe:  # names that lead outside are not looked up
        return
    if not members:
        yield "the archive is empty."
    yield from _name_problems(members, _folds_names(folder))
    for name, info in members.items():
        yield from _place_problems(folder / name, info)
    for parent in {(folder / name).parent for name in members}:
        if not parent.resolve().is_relative_to(folder.resolve()):
            yield f"{parent} is a link to outside the folder."
    size, free = _missing_bytes(members, folder), shutil.disk_usage(folder).free
    if size + SPARE_BYTES > free:
        yield f"unpacks to {size:,} bytes, but the disk of {folder} has {free:,} left."


def _name_problems(names: Iterable[str], folds: bool) -> Iterator[str]:
    """Refuse names that cannot all be files of one folder, such as two that a disk takes for one."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(_folded(name) if folds else name, name)
        if other != name:
            yield f"the members '{other}' and '{name}' have the same name on this disk. Choose a folder on another one."
        if name.partition("/")[0] in {SOURCE_FILE, WORK_FOLDER, *LOCKS}:
            yield f"the member '{name}' has a name that compete uses itself. Unpack the archive by hand."
    for name in names:
        parent = next((str(above) for above in PurePosixPath(name).parents if str(above) in first), None)
        if parent is not None:
            yield f"the member '{parent}' is a file, and a folder of '{name}'."


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _folds_names(folder: Path) -> bool:
    """Return whether a folder's disk takes names that differ in capitals for the same, as on macOS and Windows."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".name-", dir=folder) as probe:
            return (folder / Path(probe.name).name.upper()).exists()
    except OSError:
        return False


def _missing_bytes(members: Mapping[str, zipfile.ZipInfo], folder: Path) -> int:
    return sum(info.file_size for name, info in members.items() if not (folder / name).exists())


def _place_problems(target: Path, info: zipfile.ZipInfo) -> Iterator[str]:
    """Refuse to write over another file."""
    if target.is_symlink() or (target.exists() and not _is_same(target, info)):
        yield f"{target} already exists and differs; it is not replaced. Move it, or choose another folder."


def _is_same(target: Path, info: zipfile.ZipInfo) -> bool:
    if _size(target) != info.file_size:
        return False
    crc = 0
    with target.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc == info.CRC


def _extract_one(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, written: list[Path]) -> None:
    """Write one file; what it unpacks to is counted, and the disk is never filled to the brim."""
    if target.exists():
        return
    partial = target.with_name(f".{target.name}.partial")
    written += [partial, target]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        left = info.file_size
        with opened.open(info) as source, partial.open("wb") as file:
            while block := source.read(1 << 20):
                left -= len(block)
                if left < 0 or shutil.disk_usage(target.parent).free < SPARE_BYTES // 4:
                    raise DataError(f"'{info.filename}' unpacks to more than it should, or the disk is nearly full.")
                file.write(block)
        partial.replace(target)
    except OSError as error:
        raise cannot_write(target, error, " Free up space, and run the same command again.") from error


def _take_back(written: Iterable[Path], folder: Path) -> None:
    """Remove files, and the folders that are empty then."""
    for path in written:
        with suppress(OSError):
            path.unlink(missing_ok=True)
    for parent in sorted({above for path in written for above in path.parents}, key=lambda path: -len(path.parts)):
        if parent != folder and parent.is_relative_to(folder):
            with suppress(OSError):
                parent.rmdir()
