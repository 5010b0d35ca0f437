"""Fetch a competition's files and unpack them, resuming where an earlier try stopped."""

from __future__ import annotations

import re
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from compete.errors import DataError, UserError
from compete.files.safety import MOST_PROBLEMS, clean_name, unsafe_members, zip_member
from compete.leaderboard.platform import PlatformError, Progress, Uploader
from compete.leaderboard.records import time_text, transfer_lock
from compete.leaderboard.retry import CLOCK, Clock, Log, retry
from compete.leaderboard.setup import SOURCE_FILE
from compete.store import cannot_write, make_folder, read_json, write_json

SPARE_BYTES = 1 << 28
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

    `platform` is the component's name, which a note in the folder keeps beside the competition's. A complete archive is
    not fetched again, and a complete file is not unpacked again. Raise `DataError` when the archive is unsafe, or
    differs from a file in the folder: existing files are never replaced.
    """
    fetch = uploader.download
    if fetch is None:
        raise UserError(f"{uploader.platform} offers no downloads. Get the files from its page.")
    done = read_json(folder / SOURCE_FILE)
    if done.get("competition") == uploader.competition:
        log(f"{folder}: already downloaded, {done['files']} files at {done['at']}")
        return int(done["files"])
    with _target_folder(folder):
        archive = _whole_archive(folder, uploader.competition)
        if archive is None:
            if uploader.check is not None:
                retry(uploader.check, log, clock)
            log(f"fetching the files of {uploader.competition} into {folder}; after a stop, run this command again")
            archive = retry(lambda: fetch(folder, progress), log, clock)
        files = _unpack(archive, folder, log)
        note = {"platform": platform, "competition": uploader.competition, "files": files, "at": time_text()}
        write_json(folder / SOURCE_FILE, note)
    return files


def safe_extract(archive: Path, folder: Path) -> int:
    """Unpack a zip below a folder; return the number of files.

    Refuse, before anything is written, names that lead outside, links, repeated names, members that overlap (a bomb),
    more bytes than the disk has, and files that are there with another size. A file appears under its name only when it
    is complete, and one that is there is kept, so that an interrupted call can be repeated.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [info for info in opened.infolist() if not info.is_dir()]
            problems = list(_problems(archive, members, folder))
            if problems:
                raise DataError([f"{archive.name}: {problem}" for problem in problems[:MOST_PROBLEMS]])
            for info in members:
                _extract_one(opened, info, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive}: cannot be unpacked: {error}. Delete it and fetch it again.") from error
    return len(members)


@contextmanager
def _target_folder(folder: Path) -> Iterator[None]:
    """Make and hold the folder; remove it if nothing was fetched into it."""
    make_folder(folder)
    with transfer_lock(folder):
        try:
            yield
        finally:
            if {path.name for path in folder.iterdir()} <= {".lock", ".owner"}:
                with suppress(OSError):
                    for name in (".lock", ".owner"):
                        (folder / name).unlink(missing_ok=True)
                    folder.rmdir()


def _whole_archive(folder: Path, competition: str) -> Path | None:
    """Return the archive of an earlier call that stopped while unpacking."""
    archive = folder / f"{competition}.zip"
    partial = archive.with_name(f"{archive.name}.kaggle-partial")
    return archive if archive.is_file() and not partial.exists() and zipfile.is_zipfile(archive) else None


def _unpack(archive: Path, folder: Path, log: Log) -> int:
    if not zipfile.is_zipfile(archive):
        if archive.suffix == ".zip":
            raise PlatformError(f"{archive} is not a complete zip. Delete it and run the same command again.")
        return 1  # a competition of one file
    log(f"unpacking {archive}")
    files = safe_extract(archive, folder)
    archive.unlink()
    return files


def _problems(archive: Path, members: Sequence[zipfile.ZipInfo], folder: Path) -> Iterator[str]:
    listed = [zip_member(info) for info in members]
    unsafe = list(unsafe_members(archive, listed))
    yield from unsafe
    for name, times in Counter(member.name for member in listed).items():
        if times > 1:
            yield f"the member '{name}' is there twice."
    if unsafe:  # names that lead outside are not looked up
        return
    for member in listed:
        yield from _place_problems(folder / member.name, member.size)
    for parent in {(folder / member.name).parent for member in listed}:
        if not parent.resolve().is_relative_to(folder.resolve()):
            yield f"{parent} is a link to outside the folder."
    size, free = sum(member.size for member in listed), shutil.disk_usage(folder).free
    if size + SPARE_BYTES > free:
        yield f"unpacks to {size:,} bytes, but the disk of {folder} has {free:,} left."


def _place_problems(target: Path, size: int) -> Iterator[str]:
    """Refuse to write over another file."""
    if target.is_symlink() or (target.exists() and (not target.is_file() or target.stat().st_size != size)):
        yield f"{target} already exists and differs; it is not replaced. Move it, or choose another folder."


def _extract_one(opened: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / clean_name(info.filename)
    if target.exists():
        return
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(info) as source, partial.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        partial.replace(target)
    except OSError as error:
        raise cannot_write(target, error, " Run the same command again to resume.") from error
