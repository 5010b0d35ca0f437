"""Overrides of a TOML's data: `--set table.key=value`, what it replaces, and keys that are taken out."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from compete.errors import ConfigError
from compete.text import did_you_mean, format_list
from compete.toml.read import MOST_LEVELS, is_deep
from compete.toml.slots import SLOTS

REPEATING = {slot.table for slot in SLOTS.values() if slot.repeats}


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
        if len(keys) > MOST_LEVELS or is_deep(value):
            raise ConfigError(f"--set {override[:80]}: nested more than {MOST_LEVELS} levels deep")
        _put(data, keys, value, override)
    return data


def take_out(data: dict[str, Any], paths: Iterable[tuple[str, ...]]) -> None:
    """Remove tables, keys and items of lists, so that defaults hold. Raise `ConfigError` for one that is missing."""
    for path in sorted(paths, key=_place, reverse=True):  # of a list the last first: the others keep their numbers
        place: Any = data
        if isinstance(data.get(path[0]), dict) and path[0] in REPEATING:
            data[path[0]] = [data[path[0]]]
        for depth, key in enumerate(path):
            items = range(len(place)) if isinstance(place, list) else place if isinstance(place, dict) else ()
            known = [str(item) for item in items]
            if key not in known:
                inside = f"'{'.'.join(path[:depth])}'" if depth else "the TOML"
                has = f"It has {format_list(known)}." if known else "It has no keys."
                raise ConfigError(f"{'.'.join(path)}: {inside} has no '{key}'.{did_you_mean(key, known)} {has}")
            index = int(key) if isinstance(place, list) else key
            if depth == len(path) - 1:
                del place[index]
            else:
                place = place[index]


def _place(path: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    return tuple((int(key) if key.isdigit() else -1, key) for key in path)


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text


def _put(data: dict[str, Any], keys: Sequence[str], value: object, override: str) -> None:
    place: Any = data
    if len(keys) > 2 and keys[0] in REPEATING:
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
