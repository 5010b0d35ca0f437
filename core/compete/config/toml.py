"""Read a TOML file with its line numbers, apply `--set` overrides, and write TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import tomli_w

from compete.config.slots import SLOTS
from compete.errors import ConfigError
from compete.files.safety import MOST_CODE_BYTES, unusable_file

_TOKEN = re.compile(
    r"""[ \t\r]+ | \#[^\n]*
    | (?P<token> \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*'
      | [\[\]{}=,.\n] | [^\s\[\]{}=,.\#"']+ )""",
    re.DOTALL | re.VERBOSE,
)
MOST_LEVELS = 20
MOST_PROBLEMS, LONGEST_LINE = 20, 500
_AT_LINE = re.compile(r"(.*) \(at line (\d+), column \d+\)", re.DOTALL)
_REASONS = re.compile(r"Cannot (?:declare|overwrite|redefine|mutate)\b.*")
# What other languages write, and TOML: the first that makes a line valid, alone or with another, is proposed.
_CORRECTIONS = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"[\u201c\u201d\u201e\u00ab\u00bb]", '"'),
        (r"[\u2018\u2019]", "'"),
        (r"^(\s*)(?://|;|--)\s*", r"\1# "),
        (r"^\s*([\w.-]+)\s*:\s*$", r"[\1]"),
        (r"^\s*\[\s*(\[?)\s*([\w.-]+)[\s\]]*$", r"[\1\2]"),
        (r"^\s*\[\[\s*([\w.-]+)[\s\]]*$", r"[[\1]]"),
        (r"^\s*[\w.-]+\s*[=:]\s*(?:None|null|nil|~)?\s*,?\s*$", ""),
        (r"^(\s*\w[\w.-]*)\s*:=?\s*(?=\S)", r"\1 = "),
        (r"^(\s*[\w.-]+)\s*==+\s*", r"\1 = "),
        (r"^(\s*\w[\w.-]*)\s+(?=[^\s=])", r"\1 = "),
        (r"\b(T)rue\b", "true"),
        (r"\b(F)alse\b", "false"),
        (r"=\s*\((.*)\)", r"= [\1]"),
        (r"(?<=[=\[,\s-])\.(?=\d)", "0."),
        (r"(?<=\d)\.(?=\s*(?:$|[,\]#]))", ".0"),
        (r"[,;]\s*$", ""),
        (r"\\+", "/"),
        (r"(=\s*\[[^\]]*?),?\s*$", r"\1]"),
        (r"(=\s*\{[^}]*?),?\s*$", r"\1}"),
        (r"""(=\s*)(["'])([^"']*)$""", r"\1\2\3\2"),
        (r"""(=\s*)([^"'\s]*)(["'])\s*$""", r"\1\3\2\3"),
        (r"""(=\s*)([A-Za-z~$/][^"'\[\]{}=#]*?)\s*(#.*)?$""", r'\1"\2"'),
    )
]

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
        raise ConfigError(list(_syntax_problems(path, text)) or f"{path}: not valid TOML: {error}") from error
    if _is_deep(data):
        raise ConfigError(f"{path}: not a competition TOML: nested more than {MOST_LEVELS} levels deep")
    return data, key_lines(text)


def _syntax_problems(path: Path, text: str) -> Iterator[str]:
    """Yield a sentence for each wrong line, with the line to write, as far as correcting them leads."""
    lines = text.replace("\r\n", "\n").split("\n")
    for _ in range(MOST_PROBLEMS):
        try:
            tomllib.loads("\n".join(lines))
            return
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            found = _AT_LINE.fullmatch(str(error))
            number = int(found[2]) if found else len(lines)
            at, corrected = next(_corrections(lines, number), (number, None))
            reason = _REASONS.sub(_is_twice, found[1] if found else str(error))
            shown = lines[at - 1].strip() if 0 < at <= len(lines) else ""
            if corrected is None:
                yield f"{path}:{at}: not valid TOML: `{shown[:LONGEST_LINE]}`: {reason}."
                return
            cure = f"Write: {corrected.strip()}" if corrected else "Remove it."
            yield f"{path}:{at}: not valid TOML: `{shown}`. {cure}"
            lines[at - 1] = corrected


def _corrections(lines: Sequence[str], number: int) -> Iterator[tuple[int, str]]:
    """Yield the line that is probably wrong, the one where reading stopped or one above, with what to write there."""
    for at in (number, number - 1, number - 2):
        line = lines[at - 1] if 0 < at <= len(lines) else ""
        if len(line) <= LONGEST_LINE and not _is_toml(line):
            once = [corrected for pattern, new in _CORRECTIONS if (corrected := pattern.sub(new, line)) != line]
            twice = [pattern.sub(new, corrected) for corrected in once for pattern, new in _CORRECTIONS]
            yield from ((at, corrected) for corrected in (*once, *twice) if _is_toml(corrected))


def _is_toml(line: str) -> bool:
    try:
        tomllib.loads(line)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return False
    return True


def _is_twice(found: re.Match[str]) -> str:
    table = ".".join(re.findall(r"'([^']*)'", found[0]))
    return f"[{table}] is there twice; put its keys below one" if table else "this key is there twice; keep one"


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


def override_keys(override: str) -> tuple[str, ...]:
    """Return the path of keys that `table.key=value` sets."""
    path, equals, _ = override.partition("=")
    keys = tuple(key.strip() for key in path.split("."))
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: must be table.key=value, for example training.epochs=3")
    return keys


def apply_overrides(written: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return the data with `table.key=value` overrides; a value that is not valid TOML is a string."""
    data = deepcopy(dict(written))
    for override in overrides:
        keys, text = override_keys(override), override.partition("=")[2]
        value = _toml_value(text)
        if len(keys) > MOST_LEVELS or _is_deep(value):
            raise ConfigError(f"--set {override[:80]}: nested more than {MOST_LEVELS} levels deep")
        _put(data, keys, value, override)
    return data


def write_toml_text(data: Mapping[str, Any]) -> str:
    """Return data as TOML text, without keys whose value is None."""
    return tomli_w.dumps(_without_none(data))


def _is_deep(value: object) -> bool:
    """Return whether data is nested so deep that a recursive function would overflow on it."""
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [i for v in level if isinstance(v, dict | list) for i in (v.values() if isinstance(v, dict) else v)]
    return bool(level)


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text


def _put(data: dict[str, Any], keys: Sequence[str], value: object, override: str) -> None:
    place: Any = data
    if len(keys) > 2 and any(slot.repeats and slot.table == keys[0] for slot in SLOTS.values()):
        data.setdefault(keys[0], [])  # `tta.0.name=flips` needs no [[tta]] in the file
    for key in keys[:-1]:
        if isinstance(place, list):
            if key == str(len(place)) and len(keys) > 2:
                place.append({})
            place = place[_index(place, key, override)]
        elif isinstance(place, dict):
            place = place.setdefault(key, {})
    if isinstance(place, list):
        place[_index(place, keys[-1], override)] = value
    elif isinstance(place, dict):
        place[keys[-1]] = value
    else:
        raise ConfigError(f"--set {override}: '{'.'.join(keys[:-1])}' is not a table")


def _index(place: list[Any], key: str, override: str) -> int:
    if not key.isdigit() or int(key) >= len(place):
        table = override_keys(override)[0]
        raise ConfigError(
            f"--set {override}: '{key}' is not an index of this list of {len(place)}. Count from 0, as in "
            f'{table}.0.name=..., or set the whole list: {table}=[{{name="..."}}]'
        )
    return int(key)


def _without_none(value: Any) -> Any:  # noqa: ANN401 - TOML data is anything
    if isinstance(value, Mapping):
        return {str(key): _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value
