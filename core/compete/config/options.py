"""Bind one TOML table to a component's signature: its keyword-only parameters are the options.

The signature becomes a strict pydantic model, so that an unknown option is refused with the nearest name and
`"3e-4"` is no float. What comes back is the component with its options filled in.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from compete.config.option_types import type_text
from compete.config.registry import Component, FileMark
from compete.errors import PluginError, Problem
from compete.text import did_you_mean, format_list


@dataclass(frozen=True)
class BoundComponent:
    """A component with its options filled in; call `build` with what the runner passes.

    `files` are those that its options name, of the type `InputFile`.
    """

    component: Component
    options: dict[str, Any]
    files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The component's name, as in the TOML."""
        return self.component.name

    @property
    def build(self) -> Callable[..., Any]:
        """The component, waiting for its positional arguments."""
        return partial(self.component.factory, **self.options)


@dataclass(frozen=True)
class Option:
    """One option of a component, for listings."""

    name: str
    type: str
    default: str


def bind(component: Component, table: Mapping[str, Any], where: str) -> tuple[BoundComponent | None, list[Problem]]:
    """Bind a TOML table (without `name`) to a component; return it, or every problem with the table."""
    model = options_model(component)
    values, problems = validate(model, table, where)
    if values is None:
        return None, problems
    options = {name: getattr(values, name) for name in model.model_fields}
    check = component.traits.check
    if check is not None:
        problems = [Problem(where, message) for message in check(**options)]
    return BoundComponent(component, options, tuple(_input_files(model, options))), problems


def _input_files(model: type[BaseModel], options: Mapping[str, Any]) -> Iterator[Path]:
    for name, field in model.model_fields.items():
        if any(isinstance(mark, FileMark) for mark in field.metadata) and Path(options[name]).is_file():
            yield Path(options[name])


def validate(model: type[BaseModel], table: Mapping[str, Any], where: str) -> tuple[BaseModel | None, list[Problem]]:
    """Validate a TOML table against a model, strictly; return the values, or every problem."""
    try:
        # Through JSON, because strict mode in Python would not take a TOML array for a tuple.
        return model.model_validate_json(json.dumps(table, default=str), strict=True), []
    except ValidationError as error:
        known = list(model.model_fields)
        return None, [_problem(details, table, where, known) for details in error.errors()]


def options_model(component: Component) -> type[BaseModel]:
    """Make the strict pydantic model of a component's keyword-only parameters."""
    parameters = _keyword_only(component.factory)
    hints = _hints(component.factory, set(parameters), _where(component))
    fields: dict[str, Any] = {
        name: (hints[name], ... if p.default is p.empty else p.default) for name, p in parameters.items()
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())
    return create_model(component.name, __config__=config, **fields)


def list_options(component: Component) -> list[Option]:
    """Return a component's options with types and defaults, as text."""
    parameters = _keyword_only(component.factory)
    hints = _hints(component.factory, set(parameters), _where(component))
    return [
        Option(name, type_text(hints[name]), "required" if p.default is p.empty else json_text(p.default))
        for name, p in parameters.items()
    ]


def option_names(component: Component) -> set[str]:
    """Return the names of a component's options."""
    return set(_keyword_only(component.factory))


def json_text(value: object) -> str:
    """Write a value nearly as TOML would: `"text"`, `true`, `[1, 2]`."""
    if value is None:
        return "none"
    return json.dumps(value, default=str, ensure_ascii=False)


def _keyword_only(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(factory).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def _where(component: Component) -> str:
    return f"plugin {component.owner}: {component.kind} component '{component.name}'"


def _hints(factory: Callable[..., Any], names: set[str], where: str) -> dict[str, Any]:
    """Resolve the annotations of the options only: the others may name types imported for checkers alone."""
    if not names:
        return {}
    function = inspect.unwrap(factory)
    if inspect.isclass(function):
        function = function.__init__
    annotations = {name: a for name, a in function.__annotations__.items() if name in names}
    for name in names - set(annotations):
        raise PluginError(f"{where}: option '{name}' needs a type annotation")

    def carrier() -> None: ...

    carrier.__annotations__ = annotations
    try:
        return get_type_hints(carrier, function.__globals__, include_extras=True)
    except NameError as error:
        raise PluginError(f"{where}: an option's type cannot be resolved: {error}") from error


def _problem(details: ErrorDetails, table: Mapping[str, Any], where: str, known: list[str]) -> Problem:
    keys = [str(part) for part in details["loc"]]
    key = ".".join(keys)
    if details["type"] == "extra_forbidden" and len(keys) == 1:
        offered = f" Options: {format_list(known)}." if known else " It has no options."
        return Problem(f"{where} {key}", f"unknown option.{did_you_mean(key, known)}{offered}")
    if details["type"] == "missing":
        return Problem(f"{where} {key}", "is required and missing.")
    value = table.get(keys[0]) if keys else table
    if details["type"] in ("list_type", "tuple_type") and len(keys) == 1 and not isinstance(value, dict):
        return Problem(f"{where} {key} = {json_text(value)}", f"must be a list: [{json_text(value)}].")
    message = details["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    hint = _literal_hint(details, value)
    return Problem(f"{where} {key} = {json_text(value)}", f"{message}.{hint}")


def _literal_hint(details: ErrorDetails, value: object) -> str:
    if details["type"] != "literal_error" or not isinstance(value, str):
        return ""
    expected = str(details.get("ctx", {}).get("expected", ""))
    return did_you_mean(value, [part.strip(" '") for part in expected.replace(" or ", ",").split(",")])
