"""Fetch a competition's files and unpack them, going on where an earlier try stopped."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from compete.errors import DataError, UserError
from compete.leaderboard.platform import PlatformError, Progress, Uploader
from compete.leaderboard.records import held, time_text
from compete.leaderboard.retry import CLOCK, Clock, Say, patiently
from compete.leaderboard.setup import SOURCE_FILE
from compete.store import cannot_write, make_folder, read_json, write_json

SHOWN = 5
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
    say: Say,
    progress: Progress = lambda _: None,
    clock: Clock = CLOCK,
) -> int:
    """Fetch the files into a folder and unpack them; return how many there are.

    `platform` is the component's name; a note in the folder says from which competition on it the files are.
    An archive that is whole is not fetched again, and a file that is there is not unpacked again. Raise `DataError`
    when the archive is unsafe, or a file in the folder differs from it: files that are there are never replaced.
    """
    fetch = uploader.download
    if fetch is None:
        raise UserError(f"{uploader.platform} offers no download. Get the files from its page.")
    done = read_json(folder / SOURCE_FILE)
    if done.get("competition") == uploader.competition:
        say(f"{folder}: already downloaded, {done['files']} files at {done['at']}")
        return int(done["files"])
    with _made_and_held(folder):
        archive = _whole_archive(folder, uploader.competition)
        if archive is None:
            if uploader.check is not None:
                patiently(uploader.check, say, clock)
            say(f"fetching the files of {uploader.competition} into {folder}; after a stop, the same command goes on")
            archive = patiently(lambda: fetch(folder, progress), say, clock)
        files = _unpack(archive, folder, say)
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
                raise DataError([f"{archive.name}: {problem}" for problem in problems[:SHOWN]])
            for info in members:
                _extract_one(opened, info, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive}: cannot be unpacked: {error}. Delete it and fetch it again.") from error
    return len(members)


@contextmanager
def _made_and_held(folder: Path) -> Iterator[None]:
    """Hold the folder, which is made; when nothing was fetched into it, it goes again."""
    make_folder(folder)
    with held(folder):
        try:
            yield
        finally:
            if [path.name for path in folder.iterdir()] == [".lock"]:
                with suppress(OSError):
                    (folder / ".lock").unlink()
                    folder.rmdir()


def _whole_archive(folder: Path, competition: str) -> Path | None:
    """Return the archive of an earlier call that stopped while unpacking."""
    archive = folder / f"{competition}.zip"
    partial = archive.with_name(f"{archive.name}.kaggle-partial")
    return archive if archive.is_file() and not partial.exists() and zipfile.is_zipfile(archive) else None


def _unpack(archive: Path, folder: Path, say: Say) -> int:
    if not zipfile.is_zipfile(archive):
        if archive.suffix == ".zip":
            raise PlatformError(f"{archive} is no whole zip. Delete it and run the same command again.")
        return 1  # a competition of one file
    say(f"unpacking {archive}")
    files = safe_extract(archive, folder)
    archive.unlink()
    return files


def _problems(archive: Path, members: Sequence[zipfile.ZipInfo], folder: Path) -> Iterator[str]:
    seen: set[str] = set()
    parents: set[Path] = set()
    for info in members:
        name = info.filename.replace("\\", "/")
        if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/") or "\0" in name:
            yield f"the member '{info.filename}' leads outside the folder; such an archive is refused."
        elif stat.S_ISLNK(info.external_attr >> 16):
            yield f"the member '{info.filename}' is a link; such an archive is refused."
        elif name in seen:
            yield f"the member '{info.filename}' is there twice."
        else:
            yield from _place_problems(folder / name, info.file_size)
            parents.add((folder / name).parent)
        seen.add(name)
    for parent in parents:
        if not parent.resolve().is_relative_to(folder.resolve()):
            yield f"{parent} is a link to outside the folder."
    if sum(info.compress_size for info in members) > archive.stat().st_size:
        yield "its members overlap; refused as a decompression bomb."
    size, free = sum(info.file_size for info in members), shutil.disk_usage(folder).free
    if size + SPARE_BYTES > free:
        yield f"unpacks to {size:,} bytes, but the disk of {folder} has {free:,} left."


def _place_problems(target: Path, size: int) -> Iterator[str]:
    """Refuse to write over another file."""
    if target.is_symlink() or (target.exists() and (not target.is_file() or target.stat().st_size != size)):
        yield f"{target} is already there and differs; it is not replaced. Move it, or choose another folder."


def _extract_one(opened: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / info.filename.replace("\\", "/")
    if target.exists():
        return
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(info) as source, partial.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        partial.replace(target)
    except OSError as error:
        raise cannot_write(target, error, " The same command goes on.") from error
