"""What `compete init` writes: a TOML with each choice's reason above its line, and lines for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from compete.draft.findings import Section
from compete.files.scan import without_packing
from compete.leaderboard.setup import SOURCE_FILE
from compete.store import read_json
from compete.toml.read import toml_key, toml_value

GALLERY = Path("competitions")
SHOWN = ("dataset", "target", "folds", "metric", "images", "inference", "submission")
WIDTH = 118
NEXT = "next: compete run {}"


def toml_text(head: str, todo: Sequence[str], sections: Iterable[Section], plugins: Sequence[str] = ()) -> str:
    """Return the TOML's text; `plugins` are the files that it loads."""
    parts = ["\n".join([*_comment(head), *_todo(todo)])]
    parts += [f"plugins = {toml_value(plugins)}"] if plugins else []
    parts += ["\n".join(section_lines(section)) for section in sections]
    return "\n\n".join(parts) + "\n"


def _todo(todo: Sequence[str]) -> Iterator[str]:
    if todo:
        yield "#"
    for item in todo:
        yield from _comment(f"TODO {item}", "    ")


def section_lines(section: Section) -> Iterator[str]:
    """Yield the lines of one table, with its reasons."""
    yield from _comment(section.why)
    lines = _table_lines(section)
    yield from (f"# {line}" for line in lines) if section.suggested else lines


def _table_lines(section: Section) -> Iterator[str]:
    yield f"[[{section.table}]]" if section.repeats else f"[{section.table}]"
    for key in section.keys:
        yield from _comment(key.why)
        yield from _line(f"{toml_key(key.name)} = ", key.value)


def _line(start: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - any TOML data
    """Yield a key's line, or several where it is a long list."""
    line = start + toml_value(value)
    if len(line) <= WIDTH or not isinstance(value, list):
        yield line
        return
    yield start + "["
    row = ""
    for item in map(toml_value, value):
        if row and len(row) + len(item) > WIDTH - 6:
            yield f"   {row}"
            row = ""
        row += f" {item},"
    yield f"   {row}"
    yield "]"


def _comment(text: str, indent: str = "") -> list[str]:
    plain = "".join(sign if sign.isprintable() else " " for sign in text)  # a comment may hold no control characters
    return textwrap.wrap(
        plain, WIDTH, initial_indent="# ", subsequent_indent="# " + indent, break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip


def report_lines(
    path: Path,
    sections: Sequence[Section],
    recipe: Iterable[str],
    todo: Sequence[str],
    seen: str | None,
    problems: Sequence[str],
) -> Iterator[str]:
    """Yield the lines, those of the `recipe` among them.

    `seen` is what a rehearsal saw, None without one, and `problems` are what would stop a run.
    """
    yield f"{path}: written"
    for section in sections:
        if section.table in SHOWN:
            for key in section.keys:
                yield f"  [{section.table}] {key.name} = {key.value}" + (f"  ({key.why})" if key.why else "")
    yield from recipe
    for section in sections:
        if section.suggested:
            yield f"  [{section.table}] {section.why.rstrip(':')}: uncomment the block in {path}"
    if seen is None:
        yield "not rehearsed: its files are too large to read now"
    else:
        yield "rehearsed: a run would stop" if problems else f"rehearsed without training: {seen}"
    yield from (f"TODO {item}" for item in todo)
    yield _next(path, problems)


def _next(path: Path, problems: Sequence[str]) -> str:
    if not problems:
        return NEXT.format(path)
    more = f" (and {len(problems) - 1} more, above)" if len(problems) > 1 else ""
    return f"next: edit {path}, for a run would stop here: {problems[0]}{more}"


def known_names(folder: Path, name: str) -> list[str]:
    """Return what a competition may be called: as what it was downloaded, and its folder's name."""
    return [each for each in (read_json(folder / SOURCE_FILE).get("competition"), name) if isinstance(each, str)]


def gallery_hint(folder: Path, name: str, output: Path) -> list[str]:
    """Return where the working folder's gallery has a TOML for this competition, by the name of its folder or files."""
    files = {file.name for file in folder.iterdir()}
    archives = sorted({without_packing(name) for name in files} - files)
    tomls = [GALLERY / f"{each}.toml" for each in (*known_names(folder, name), *archives)]
    found = [toml for toml in tomls if toml.is_file() and toml.resolve() != output.resolve()]
    return [f"there is a TOML for this competition: {found[0].as_posix()}"] if found else []
