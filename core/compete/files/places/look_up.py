"""Where a path below a store's URL leads: into its folders, a tar or tar shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from compete.errors import DataError
from compete.files.archives import EXTENSIONS, Archive
from compete.files.places.shards import join_shards, refuse_missing, shard_names
from compete.files.places.store import Store
from compete.files.places.tars import index_file, open_stored_tar
from compete.text import echo, plural
from compete.urls.stores import LOCAL, is_url, scheme_of, url_problems

Opener = Callable[[Path, int], Archive]
Place = tuple[Store | Archive, str]


def look_up(store: Store, parts: Sequence[str], once: Callable[[str, Opener], Archive]) -> Place | None:
    """Return the store and the folder in it, or the tar and the folder inside that; None if there is no such folder.

    `once(key, opener)` opens an archive the first time.
    """
    for number, part in enumerate(parts):
        path, rest = "/".join(parts[: number + 1]), "/".join(parts[number + 1 :])
        if names := shard_names(part):
            above = "/".join([*parts[:number], ""])
            return once(
                f"{store.url}/{path}", partial(_open_shards, store, part, [above + name for name in names])
            ), rest
        if part.lower().endswith(EXTENSIONS) and store.entry(path):
            return once(f"{store.url}/{path}", partial(_open_tar, store, path)), rest
        if not store.has_folder(path):
            packed = next((path + extension for extension in EXTENSIONS if store.entry(path + extension)), None)
            if packed is None:
                return None
            return once(f"{store.url}/{packed}", partial(_open_tar, store, packed)), rest
    return store, "/".join(parts)


def linked_url(file: Path) -> str:
    """Return the URL that a file `NAME.url` holds: on a line of its own, or after `URL=` as Windows writes it."""
    lines = (line.strip().removeprefix("URL=") for line in file.read_text(errors="replace")[:10_000].splitlines())
    url = next((line for line in lines if is_url(line)), None)
    if url is None:
        raise DataError(f"{file}: holds no URL. Its only line must be one, such as s3://bucket/folder")
    local = ["names this machine. Use a link of the file system instead."] if scheme_of(url) in LOCAL else []
    if problems := [*local, *url_problems(url)]:
        raise DataError(f"{file}: {problem}" for problem in problems)
    return url


def _open_shards(store: Store, part: str, paths: list[str], cache: Path, _most_bytes: int) -> Archive:
    store.look_for(paths)
    refuse_missing(part, paths, lambda path: store.entry(path) is not None)
    _say_what_is_indexed(store, paths, part, cache)
    return join_shards(part, paths, lambda path: open_stored_tar(store, path, cache))


def _open_tar(store: Store, path: str, cache: Path, _most_bytes: int) -> Archive:
    if not path.lower().endswith(".tar"):
        raise DataError(
            f"{store.name}/{path}: of the archives in a store only plain tar is read in place. Unpack it there, or "
            "write tar shards."
        )
    _say_what_is_indexed(store, [path], path, cache)
    return open_stored_tar(store, path, cache)


def _say_what_is_indexed(store: Store, paths: Sequence[str], name: str, cache: Path) -> None:
    new = [path for path in paths if not index_file(store, path, cache).is_file()]
    if new:
        size = sum(entry.size or 0 for path in new if (entry := store.entry(path)))
        echo(f"{store.name}: indexing {plural(len(new), 'tar')} of '{name}' once, {size / 1e6:,.1f} MB", err=True)
