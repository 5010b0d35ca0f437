"""`[[variants]]`: the same competition with other settings, each as overrides of the TOML's tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from compete.config.settings import CORE_TABLES
from compete.config.table import FOLDER_NAME
from compete.errors import Problem
from compete.text import unknown_name
from compete.toml.read import toml_value
from compete.toml.slots import SLOTS

TABLE = "variants"
# What the members of one entry have in common: they could not be compared or blended otherwise.
SHARED = ("competition", "target", "folds", "metric", "checks", "submission", "upload", "blend", "executor", "search")
LEAST = 2


@dataclass(frozen=True)
class VariantTable:
    """One table of `[[variants]]`: its name, and its settings as overrides `table.key=value`."""

    name: str
    overrides: tuple[str, ...]


def read_variants(written: object, base: Mapping[str, Any]) -> tuple[list[VariantTable], list[tuple[Problem, str]]]:
    """Return the variants, and each problem with the number of its table."""
    if not isinstance(written, list) or not all(isinstance(table, dict) for table in written):
        return [], [(Problem(TABLE, "must be tables: [[variants]]"), "0")]
    problems = [
        (problem, str(number)) for number, table in enumerate(written) for problem in _problems(table, written[:number])
    ]
    if written and len(written) < LEAST:
        problems.append((Problem("[[variants]]", "only one. Name at least two, or set its keys directly."), "0"))
    if problems:
        return [], problems
    return [VariantTable(table["name"], tuple(_overrides(table, base))) for table in written], []


def _problems(table: Mapping[str, Any], before: list[Mapping[str, Any]]) -> Iterator[Problem]:
    name = table.get("name")
    if not isinstance(name, str) or not re.fullmatch(FOLDER_NAME, name):
        where, what = "[[variants]] name", "is required"
        if name is not None:
            where, what = f"{where} = {toml_value(name)}", "cannot name a folder"
        yield Problem(where, f"{what}: letters, digits, '.', '_' and '-', with a letter or digit first.")
    elif any(other.get("name") == name for other in before):
        yield Problem(f'[[variants]] name = "{name}"', "another variant has this name.")
    known = [each for each in (*CORE_TABLES, *(slot.table for slot in SLOTS.values())) if each not in SHARED]
    for key, value in table.items():
        where = f'[[variants]] {key} of "{name}"'
        if key in SHARED:
            yield Problem(where, "the same for all variants. Set it once, outside [[variants]].")
        elif key != "name" and key not in known:
            hint = unknown_name("table", key, known)
            yield Problem(where, f'{hint} Write table.key, such as model.backbone = "resnet18".')
        elif key != "name" and not isinstance(value, dict | list):
            yield Problem(where, f"must be keys of a table, such as {key}.name = ..., not {toml_value(value)}.")


def _overrides(table: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[str]:
    """Yield a variant's settings; one with another seed keeps the folds of the others."""
    for name, keys in table.items():
        if isinstance(keys, list):
            yield f"{name}={toml_value(keys)}"
        elif isinstance(keys, dict):
            yield from (f"{name}.{key}={toml_value(value)}" for key, value in keys.items())
    training = table.get("training", {})
    if isinstance(training, dict) and "seed" in training and "fold_seed" not in training:
        shared = base.get("training", {})
        default = CORE_TABLES["training"].model_fields["seed"].default
        yield f"training.fold_seed={shared.get('fold_seed', shared.get('seed', default))}"
