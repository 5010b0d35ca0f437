"""What `compete init` prints: what it found, what it offers, what is left to decide, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compete.init.scan import without_packing
from compete.leaderboard.setup import SOURCE_FILE
from compete.store import read_json

if TYPE_CHECKING:
    from compete.init.findings import Section

GALLERY = Path("competitions")
SHOWN = ("dataset", "target", "folds", "metric", "images", "sampler", "inference", "submission")


def screen_lines(
    path: Path, sections: Sequence[Section], todo: Sequence[str], seen: str | None, problems: Sequence[str]
) -> Iterator[str]:
    """Yield the lines; `seen` is what a rehearsal saw, None without one, and `problems` are what would stop a run."""
    yield f"{path}: written"
    for section in sections:
        if section.table in SHOWN:
            for key in section.keys:
                yield f"  [{section.table}] {key.name} = {key.value}" + (f"  ({key.why})" if key.why else "")
    for section in sections:
        if section.offered:
            yield f"  [{section.table}] {section.why.rstrip(':')}: uncomment the block in {path}"
    if seen is None:
        yield "not rehearsed: its files are too large to read now"
    else:
        yield "rehearsed: a run would stop" if problems else f"rehearsed without training: {seen}"
    yield from (f"TODO {item}" for item in todo)
    yield _next(path, problems)


def _next(path: Path, problems: Sequence[str]) -> str:
    if not problems:
        return f"next: compete run {path}"
    more = f" (and {len(problems) - 1} more, above)" if len(problems) > 1 else ""
    return f"next: edit {path}, for a run would stop here: {problems[0]}{more}"


def gallery_hint(folder: Path, name: str, output: Path) -> list[str]:
    """Return where the working folder's gallery has a TOML for this competition, by the name of its folder or files."""
    downloaded = read_json(folder / SOURCE_FILE).get("competition")
    files = {file.name for file in folder.iterdir()}
    archives = sorted({without_packing(name) for name in files} - files)
    tomls = [GALLERY / f"{each}.toml" for each in (downloaded, name, *archives) if each]
    found = [toml for toml in tomls if toml.is_file() and toml.resolve() != output.resolve()]
    return [f"there is a TOML for this competition: {found[0].as_posix()}"] if found else []
