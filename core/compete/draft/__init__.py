"""`compete init`: scan a competition's folder and write a TOML that runs, with the reason for each choice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from compete.errors import UserError
from compete.files.extensions import folder_instead, from_above
from compete.store import write_text
from compete.text import did_you_mean

if TYPE_CHECKING:
    from compete.advice import Advice
    from compete.advice.facts import Facts
    from compete.config.plugins import Plugins
    from compete.draft.findings import Section, Source
    from compete.files.scan import Scan

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+([^?#]*)")  # as a path, which has one slash less
MOST_BYTES_REHEARSED, MOST_COLUMNS_REHEARSED = 1_000_000_000, 490
HEAD = (
    "Written by `compete init` from the files in {root}. The reason for each choice is above its line: read them, and "
    "change what is wrong. Check the file with: compete validate {path}"
)


@dataclass(frozen=True)
class InitResult:
    """The TOML that was written, what to print, and what the user has to decide.

    `runs` says whether a rehearsal went through from the rows to a submission; None if it would have taken too long.
    """

    path: Path
    lines: list[str]
    todo: list[str]
    runs: bool | None

    def __repr__(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class _Draft:
    """A TOML that can be written again with more to do."""

    path: Path
    root: str
    plugins: tuple[str, ...]
    sections: list[Section]

    def write(self, todo: Sequence[str]) -> None:
        from compete.draft.output import toml_text

        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, toml_text(HEAD.format(root=self.root, path=self.path), todo, self.sections, self.plugins))


def write_toml(
    folder: Path, output: Path | None = None, plugin_files: Sequence[Path] = (), timed: bool = False
) -> InitResult:
    """Write a TOML for a competition's folder, which is never changed; by default `<folder's name>.toml`, here.

    `plugin_files` may bring datasets, and are named in the TOML. If `timed`, steps are made to tell how long a run
    takes and, on a CPU, in which precision it is faster. Raise `UserError` where no dataset reads the folder, or the
    file exists already.
    """
    name = _slug(folder)
    path = output or default_output(folder)
    _refuse_place(folder, path)
    from compete.advice.facts import with_key
    from compete.advice.screen import recipe_lines, too_long
    from compete.advice.timing import time_run
    from compete.config.plugins import load_plugins
    from compete.draft.output import gallery_hint, report_lines
    from compete.files.root import CACHE
    from compete.files.scan import scan_folder

    plugins = load_plugins(plugin_files)
    hint = gallery_hint(folder, name, path)
    try:
        scan = scan_folder(folder, CACHE)
        source, sections, todo, advice = _decide(scan, plugins, folder, name)
    except UserError as error:
        raise type(error)([*error.problems[:-1], "\n".join([error.problems[-1], *hint])]) from error
    draft = _Draft(path, folder.as_posix(), tuple(file.as_posix() for file in plugin_files), sections)
    draft.write(todo)
    problems, seen, doubts = _rehearse(path, scan, source)
    timing = time_run(path) if timed and seen and not problems else None
    doubts = [*doubts, *too_long(timing, sections)]
    faster = timing.precision if timing else None
    if faster:
        sections = with_key(sections, "training", faster)
        draft = replace(draft, sections=sections)
    if problems or doubts or faster:
        again = tuple(problem.split(": ", 2)[2] for problem in problems if problem.startswith("unreadable image: "))
        known = [item for item in todo if not (again and item.endswith(again))]
        todo = [*(f"a run would stop here: {problem}" for problem in problems), *known, *doubts]
        draft.write(todo)
    recipe = recipe_lines(advice, sections, timing)
    *lines, next_line = report_lines(path, sections, recipe, todo, seen, problems)
    return InitResult(path, [*lines, *hint, next_line], todo, None if seen is None else not problems)


def default_output(folder: Path) -> Path:
    """Return the TOML that is written for a folder, unless another one is named."""
    return Path(f"{_slug(folder)}.toml")


def _slug(folder: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:80] or "competition"


def _refuse_place(folder: Path, path: Path) -> None:
    if folder.is_file():
        raise UserError(f"{folder}: {folder_instead(folder, 'init')}")
    if (url := _URL.match(folder.as_posix())) and not folder.exists():
        raise UserError(
            f"{url[1]}://{url[2]}: `compete init` reads a folder of this machine. Copy the tables and a part of the "
            f'images, name that folder, and set [competition] root = "{url[1]}://{url[2]}" in the TOML.'
        )
    if not folder.is_dir():
        near = did_you_mean(folder.name, _folders_beside(folder))
        raise UserError(f"no such folder: {folder}, seen from {Path.cwd()}.{near}")
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(
            f"this is inside the competition's folder, which is only read. Go above it, where runs are written: "
            f"{from_above(folder, 'init')}"
        )
    if path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{path} would be in the competition's folder, which is only read; name another place with -o.")
    if path.exists():
        raise UserError(f"{path} exists already. Name another file with -o, or remove it.")


def _folders_beside(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return []


def _decide(scan: Scan, plugins: Plugins, folder: Path, name: str) -> tuple[Source, list[Section], list[str], Advice]:
    from compete.advice import advise
    from compete.draft.choices import gather, sections
    from compete.draft.columns import find_group, find_leaks
    from compete.draft.metric import guess_metric, is_said
    from compete.draft.output import known_names
    from compete.draft.proposals import find_source
    from compete.draft.sizes import sample_pixels
    from compete.draft.target import find_goal

    source = find_source(scan, plugins)
    goal = find_goal(source)
    group = find_group(source, goal, scan.files)
    metric = guess_metric(scan, goal, known_names(folder, name))
    pixels = sample_pixels(source, scan.files, plugins.registry)
    facts = gather(" ".join(known_names(folder, name)), source, goal, group, str(metric[0].value), pixels)
    advice = advise(facts, plugins.registry["models"].get("timm"))
    todo = [
        *advice.todo,
        *scan.unopened,
        *source.todo,
        *goal.todo,
        *([] if is_said(metric) else filter(None, [goal.unless_said])),
        f"[metric]: '{metric[0].value}' is {metric[0].why}. Read how the competition is scored.",
        *(f"unreadable image: {fault}" for fault in pixels.unreadable[:3]),
    ]
    leaks = find_leaks(source, goal, group)
    tables = sections(name, folder.as_posix(), source, goal, group, leaks, metric, pixels, advice)
    return source, list(tables), todo, advice


def folder_facts(folder: Path, plugin_files: Sequence[Path] = ()) -> Facts:
    """Return the facts that the recipe for a folder rests on. Raise `UserError` where no dataset reads the folder."""
    from compete.config.plugins import load_plugins
    from compete.files.root import CACHE
    from compete.files.scan import scan_folder

    return _decide(scan_folder(folder, CACHE), load_plugins(plugin_files), folder, _slug(folder))[3].facts


def _rehearse(path: Path, scan: Scan, source: Source) -> tuple[list[str], str | None, list[str]]:
    """Rehearse a run, unless its tables or records are so large that reading them would take long."""
    from compete.draft.rehearsal import rehearse

    values = [option.value for option in source.options]
    names = [name for value in values for name in (value if isinstance(value, list) else [value])]
    files = [scan.files.root / name for name in names if isinstance(name, str)]
    bytes_read = sum(file.stat().st_size for file in files if file.is_file())
    if bytes_read > MOST_BYTES_REHEARSED or source.train.shape[1] > MOST_COLUMNS_REHEARSED:
        return [], None, []
    return rehearse(path, scan.files)
