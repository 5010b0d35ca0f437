"""Read a TOML file with its line numbers, apply `--set` overrides, and write TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import tomli_w

from compete.errors import ConfigError

_HEADER = re.compile(r"^\s*\[(\[)?\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"'-]+)\s*=")
MOST_BYTES = 10_000_000
MOST_LEVELS = 20

Lines = dict[tuple[str, ...], int]


def read_toml(path: Path) -> tuple[dict[str, Any], Lines]:
    """Return a TOML's data and the line of each table and key. Raise `ConfigError` for an unreadable file."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path}: not a competition TOML: larger than {MOST_BYTES:,} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8, at byte {error.start}. Save the file as UTF-8.") from error
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file.") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    if _is_deep(data):
        raise ConfigError(f"{path}: not a competition TOML: nested more than {MOST_LEVELS} levels deep")
    return data, key_lines(text)


def key_lines(text: str) -> Lines:
    """Return the line of every table header and key: `("tta", "0", "name") -> 12`."""
    lines: Lines = {}
    counts: dict[str, int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            name = header[2]
            table = tuple(part.strip(" \"'") for part in name.split("."))
            if header[1]:
                table = (*table, str(counts.get(name, 0)))
                counts[name] = counts.get(name, 0) + 1
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *(part.strip("\"'") for part in key[1].split("."))), number)
    return lines


def override_keys(override: str) -> tuple[str, ...]:
    """Return the path of keys that `table.key=value` sets."""
    path, equals, _ = override.partition("=")
    keys = tuple(key.strip() for key in path.split("."))
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: must be table.key=value, for example training.epochs=3")
    return keys


def apply_overrides(data: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return the data with `table.key=value` overrides; a value that is not valid TOML is a string."""
    data = deepcopy(data)
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
    for key in keys[:-1]:
        if isinstance(place, list):
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
