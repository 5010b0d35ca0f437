"""Read a TOML file with its line numbers, and write TOML."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from compete.errors import ConfigError
from compete.files.safety import MOST_CODE_BYTES, unusable_file
from compete.toml.slips import syntax_problems

_TOKEN = re.compile(
    r"""[ \t\r]+ | \#[^\n]*
    | (?P<token> \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*'
      | [\[\]{}=,.\n] | [^\s\[\]{}=,.\#"']+ )""",
    re.DOTALL | re.VERBOSE,
)
MOST_LEVELS = 20

Lines = dict[tuple[str, ...], int]


def read_toml(path: Path) -> tuple[dict[str, Any], Lines]:
    """Return a TOML's data and the line of each table and key. Raise `ConfigError` for an unreadable file."""
    problem = unusable_file(path, MOST_CODE_BYTES)
    if problem:
        raise ConfigError(f"{path}: {problem}.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8, at byte {error.start}. Save the file as UTF-8.") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(list(syntax_problems(path, text)) or f"{path}: not valid TOML: {error}") from error
    if is_deep(data):
        raise ConfigError(f"{path}: not a competition TOML: nested more than {MOST_LEVELS} levels deep")
    return data, key_lines(text)


def read_table(toml: Path, name: str) -> dict[str, Any]:
    """Return a table of a TOML, empty if there is none."""
    try:
        table = tomllib.loads(toml.read_text("utf-8-sig")).get(name, {})
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def key_lines(text: str) -> Lines:
    """Return the line of every table, key and list item of a valid TOML: `("tta", "0", "name") -> 12`."""
    scanner = _Scanner(list(_tokens(text)))
    table: tuple[str, ...] = ()
    while scanner.ahead():
        if scanner.skip("["):
            table = scanner.header()
        elif not scanner.skip("\n"):
            scanner.assignment(table)
    return scanner.lines


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Yield each string, bare word and mark with its line; comments and spaces are left out."""
    line = 1
    for found in _TOKEN.finditer(text):
        if found.lastgroup == "token":
            yield found[0], line
        line += found[0].count("\n")


class _Scanner:
    """Walks over a valid TOML and notes lines: of what occurs several times, the first."""

    def __init__(self, tokens: list[tuple[str, int]]) -> None:
        self.tokens, self.at = tokens, 0
        self.lines: Lines = {}
        self.counts: dict[tuple[str, ...], int] = {}  # how many tables each array of tables has so far

    def ahead(self) -> str:
        """Return the next token, or an empty string at the end."""
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def skip(self, mark: str) -> bool:
        """Go past the next token if it is this one."""
        found = self.ahead() == mark
        self.at += found
        return found

    def keys(self, table: tuple[str, ...]) -> tuple[str, ...]:
        """Read a dotted key inside a table, note its line, and return the path; of an array of tables, the last one."""
        line, path = self.tokens[self.at][1], table
        while True:
            if path in self.counts:
                path = (*path, str(self.counts[path] - 1))
            token = self.ahead()
            self.at += 1
            path = (*path, str(tomllib.loads(f"key = {token}")["key"]) if token[0] in "\"'" else token)
            self.lines.setdefault(path, line)
            if not self.skip("."):
                return path

    def header(self) -> tuple[str, ...]:
        """Read `[table]` or `[[table]]`, after its first bracket, and return its path."""
        repeats = self.skip("[")
        path = self.keys(())
        if repeats:
            number = self.counts[path] = self.counts.get(path, 0) + 1
            path = (*path, str(number - 1))
            self.lines[path] = self.tokens[self.at][1]
        while self.skip("]"):
            pass
        return path

    def assignment(self, table: tuple[str, ...]) -> None:
        """Read `key = value`."""
        path = self.keys(table)
        self.at += 1  # the sign
        self.value(path)

    def value(self, path: tuple[str, ...]) -> None:
        """Read a value, and note what is inside a list or an inline table."""
        if self.skip("["):
            number = 0
            while not self.skip("]"):
                if not (self.skip(",") or self.skip("\n")):
                    self.lines[*path, str(number)] = self.tokens[self.at][1]
                    self.value((*path, str(number)))
                    number += 1
        elif self.skip("{"):
            while not self.skip("}"):
                if not (self.skip(",") or self.skip("\n")):
                    self.assignment(path)
        else:
            while self.ahead() not in ("", "\n", ",", "]", "}"):
                self.at += 1


def write_toml_text(data: Mapping[str, Any]) -> str:
    """Return data as TOML text, without keys whose value is None."""
    return tomli_w.dumps(_without_none(data))


def toml_value(value: Any) -> str:  # noqa: ANN401 - any TOML data
    """Write a value on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(value: str) -> str:
    """Write a string: JSON's are TOML's, but for the one control character that JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """Write a key, in quotes where it needs them."""
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _text(name)


def is_deep(value: object) -> bool:
    """Return whether data is nested so deep that a recursive function would overflow on it."""
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [i for v in level if isinstance(v, dict | list) for i in (v.values() if isinstance(v, dict) else v)]
    return bool(level)


def _without_none(value: Any) -> Any:  # noqa: ANN401 - TOML data is anything
    if isinstance(value, Mapping):
        return {str(key): _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value


def flat_keys(data: object, prefix: str = "") -> dict[str, object]:
    """Return values of nested tables by dotted key: `training.epochs`."""
    if isinstance(data, Mapping):
        return {
            k: v
            for name, item in data.items()
            for k, v in flat_keys(item, f"{prefix}.{name}" if prefix else name).items()
        }
    return {prefix: data}
