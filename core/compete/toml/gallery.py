"""The gallery: a TOML for each of many competitions, found by name in a checkout and in an installed package."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from compete.errors import ConfigError
from compete.files.extensions import READABLE, extension_of, folder_instead
from compete.files.safety import NO_FILE, unusable_file
from compete.store import read_json
from compete.text import format_list, nearest
from compete.toml.read import read_toml
from compete.toml.slots import SLOTS

NO_TOMLS = (*READABLE, "csv", "tsv", "json", "jsonl", "xlsx", "zip", "7z", "tar", "gz", "tgz", "bz2", "xz")
LOCAL = Path("competitions")


class Entry(NamedTuple):
    """A line of the listing: a competition's name and title, its metric and what its submission holds."""

    name: str
    metric: str
    submission: str
    title: str


def gallery_folder() -> Path:
    """Return the folder of the gallery's TOMLs: the wheel's copy, or `competitions/` of the checkout."""
    package = Path(str(files("compete")))
    shipped = package / "gallery"
    return shipped if shipped.is_dir() else package.parents[1] / "competitions"


def gallery() -> dict[str, Path]:
    """Return the gallery's TOMLs by name."""
    return {path.stem: path for path in sorted(gallery_folder().glob("*.toml"))}


def recipes() -> dict[str, Path]:
    """Return ways to train for a competition of the gallery, each a TOML of its own: `mask-recipes/vit`."""
    folder = gallery_folder()
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.glob("*/*.toml"))}


def entries() -> list[Entry]:
    """Return the listing of the gallery. No plugin is loaded."""
    return [_entry(name, read_toml(path)[0]) for name, path in gallery().items()]


def _entry(name: str, data: dict[str, Any]) -> Entry:
    submission = data.get("submission", {}).get("name", SLOTS["submissions"].default)
    return Entry(name, data["metric"]["name"], submission, data["competition"].get("title", name))


def find_toml(path: Path) -> Path:
    """Return the file, or the gallery's TOML when a bare name such as `mask` is not a file.

    Raise `ConfigError` with the nearest names, here and in the gallery.
    """
    if unusable_file(path) != NO_FILE:  # another reason is told where it is read
        if os.path.isfile(path) and extension_of(path.name) in NO_TOMLS:  # noqa: PTH113 - false for a name that is too long
            raise ConfigError(f"{path}: not a TOML, but {folder_instead(path, 'run')}")
        return path
    shipped = gallery() | recipes()
    if path.as_posix() in shipped:
        return shipped[path.as_posix()]
    raise ConfigError(f"{path}: no such file.{_other_files(path, shipped)}")


def _other_files(path: Path, shipped: dict[str, Path]) -> str:
    """Name the TOML that was probably meant, or else the available ones."""
    here = {str(file): file.stem for folder in (path.parent, LOCAL) for file in sorted(folder.glob("*.toml"))}
    known = {Path(name).name: name for name in shipped}  # "vit" is meant for "mask-recipes/vit"
    near = nearest(path.stem, [*here.values(), *known])
    if near is not None:
        meant = [file for file, stem in here.items() if stem == near]
        names = " or ".join(f"'{file}'" for file in meant) if meant else f"'{known[near]}', of the gallery"
        return f" Did you mean {names}?"
    mine = [file for file in here if _is_competition(Path(file))]
    available = f" Available: {format_list(mine)}." if mine else ""
    return f"{available} `compete competitions` lists the gallery."


def _is_competition(path: Path) -> bool:
    """Return whether a TOML may be a competition's, and not, for example, a project's."""
    try:
        return "competition" in read_toml(path)[0]
    except ConfigError:
        return True  # it may be the one to mend


def folder_of_first_toml(folder: Path) -> list[Path]:
    """Return the folder of the TOML that a run was started with, for the copy of it in the run's folder."""
    command = read_json(folder / "environment.json").get("command") or []
    return [Path(word).parent for word in command if isinstance(word, str) and word.endswith(".toml")]
