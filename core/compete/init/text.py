"""Write TOML with comments: each choice's reason above its line, and what is left to decide at the top."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from compete.init.findings import Section

WIDTH = 118


def toml_text(head: str, todo: Sequence[str], sections: Iterable[Section]) -> str:
    """Return the TOML's text."""
    parts = ["\n".join([*_comment(head), *_todo(todo)])]
    parts += ["\n".join(_table(section)) for section in sections]
    return "\n\n".join(parts) + "\n"


def toml_value(value: Any) -> str:  # noqa: ANN401 - any TOML data
    """Write a value on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(value: str) -> str:
    """Write a string: JSON's are TOML's, but for the one control character that JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _text(name)


def _todo(todo: Sequence[str]) -> Iterator[str]:
    if todo:
        yield "#"
    for item in todo:
        yield from _comment(f"TODO {item}", "    ")


def _table(section: Section) -> Iterator[str]:
    yield from _comment(section.why)
    lines = _table_lines(section)
    yield from (f"# {line}" for line in lines) if section.offered else lines


def _table_lines(section: Section) -> Iterator[str]:
    yield f"[[{section.table}]]" if section.repeats else f"[{section.table}]"
    for key in section.keys:
        yield from _comment(key.why)
        yield from _line(f"{_key(key.name)} = ", key.value)


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
