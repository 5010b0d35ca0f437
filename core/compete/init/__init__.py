"""`compete init`: look at a competition's folder and write a TOML that runs, with the reason for each choice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compete.errors import DataError, UserError
from compete.store import write_text

if TYPE_CHECKING:
    from compete.init.findings import Section, Source, Table
    from compete.init.scan import Look

MOST_BYTES_REHEARSED = 1_000_000_000
HEAD = (
    "Written by `compete init` from what lies in {root}. Each choice has its reason above it: read them, and change "
    "what is wrong. Check the file with: compete validate {path}"
)


@dataclass(frozen=True)
class InitResult:
    """The TOML that was written, what to tell the user, and what could not be decided.

    `runs` says whether a rehearsal went through from the rows to a submission; None if it would have taken too long.
    """

    path: Path
    lines: list[str]
    todo: list[str]
    runs: bool | None


def write_toml(folder: Path, output: Path | None = None) -> InitResult:
    """Write a TOML for a competition's folder, which is only read; by default `<folder's name>.toml`, here.

    Raise `UserError` where the folder is not understood, or the file is there already.
    """
    name = _slug(folder)
    path = output or Path(f"{name}.toml")
    _refuse_place(folder, path)
    from compete.files.root import CACHE
    from compete.init.output import gallery_hint, screen_lines
    from compete.init.scan import look_at

    hint = gallery_hint(folder, name, path)
    try:
        look = look_at(folder, CACHE)
        source, sections, todo = _decide(look, folder, name)
    except UserError as error:
        raise type(error)([*error.problems[:-1], "\n".join([error.problems[-1], *hint])]) from error
    _write(path, folder, todo, sections)
    problems, seen = _rehearse(path, look, source)
    if problems:
        todo = [*(f"a run would stop here: {problem}" for problem in problems), *todo]
        _write(path, folder, todo, sections)
    *lines, next_line = screen_lines(path, sections, todo, seen, problems)
    return InitResult(path, [*lines, *hint, next_line], todo, None if seen is None else not problems)


def _slug(folder: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:80] or "competition"


def _refuse_place(folder: Path, path: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}.")
    if path.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{path} would lie in the competition's folder, which is only read; name another place with -o."
        )
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(
            f"this is inside the competition's folder, which is only read: call `compete init` with the path to "
            f"{folder.resolve().name} from where you will run `compete`; `root` and the caches count from there."
        )
    if path.exists():
        raise UserError(f"{path} is there already. Name another file with -o, or remove it.")


def _decide(look: Look, folder: Path, name: str) -> tuple[Source, list[Section], list[str]]:
    from compete.init.choices import sections
    from compete.init.columns import find_group, find_leaks
    from compete.init.metric import guess_metric
    from compete.init.sizes import sample_pixels
    from compete.init.target import find_goal

    source, sample = _find_source(look)
    goal = find_goal(source, sample)
    group = find_group(source, goal)
    metric = guess_metric(look, goal)
    pixels = sample_pixels(source, look.files)
    todo = [
        *look.closed,
        *source.todo,
        *goal.todo,
        f"[metric]: '{metric[0].value}' is {metric[0].why}. Read how the competition is scored.",
        *(f"unreadable image: {fault}" for fault in pixels.unreadable[:3]),
    ]
    leaks = find_leaks(source, goal, group)
    return source, list(sections(name, folder.as_posix(), source, goal, group, leaks, metric, pixels)), todo


def _find_source(look: Look) -> tuple[Source, Table]:
    from compete.init.read_head import read_table
    from compete.init.sample import sample_name
    from compete.init.scan import refuse_without_images
    from compete.init.source_csv import csv_source
    from compete.init.source_folder import folder_source, mask_source
    from compete.init.source_records import json_source

    if not look.records:  # which may hold the pixels
        refuse_without_images(look)
    mask = mask_source(look)
    if mask is not None:
        return mask
    name = sample_name(look)
    sample = read_table(look.files, name, look.tables[name])
    if sample.frame.empty:
        raise DataError(f"{name} has no rows, so it does not say what to predict.")
    return csv_source(look, sample) or json_source(look, sample) or folder_source(look, sample), sample


def _write(path: Path, folder: Path, todo: list[str], sections: list[Section]) -> None:
    from compete.init.text import toml_text

    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, toml_text(HEAD.format(root=folder.as_posix(), path=path), todo, sections))


def _rehearse(path: Path, look: Look, source: Source) -> tuple[list[str], str | None]:
    """Rehearse a run, unless its records are so large that reading them would take long."""
    from compete.init.rehearsal import rehearse

    values = [key.value for key in source.keys if key.name in ("train", "test")]
    files = [look.files.root / name for value in values for name in (value if isinstance(value, list) else [value])]
    if sum(file.stat().st_size for file in files if file.is_file()) > MOST_BYTES_REHEARSED:
        return [], None
    return rehearse(path, look.files)
