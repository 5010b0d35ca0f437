"""Bind one TOML table to a component's signature: its keyword-only parameters are the options.

The signature becomes a strict pydantic model: it refuses an unknown option, naming the nearest one, and does not take
`"3e-4"` for a number. The result is the component with its options filled in.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from compete.config.option_types import expected_text, type_text
from compete.config.registry import Component, DataFileMark, FileMark, ModelInput, Registry
from compete.config.settings import CORE_TABLES, RENAMED, Images, elsewhere
from compete.errors import PluginError, Problem, code_of_others, error_location
from compete.files.safety import NO_FILE, unusable_file
from compete.text import did_you_mean, format_list
from compete.toml.slots import SLOTS

OTHER_NAMES = {"gpu": "cuda", "nvidia": "cuda", "apple": "mps", "metal": "mps"}


@dataclass(frozen=True)
class BoundComponent:
    """A component with its options filled in; call `build` with the runner's positional arguments.

    `files` are the existing files that options of type `InputFile` name, `data_files` those of type `DataFile` by
    option.
    """

    component: Component
    options: dict[str, Any]
    files: tuple[Path, ...] = ()
    data_files: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The component's name, as in the TOML."""
        return self.component.name

    @property
    def build(self) -> Callable[..., Any]:
        """The component, which still takes its positional arguments."""
        return partial(self.component.factory, **self.options)

    def model_input(self, channels: int) -> ModelInput:
        """What a model's own configuration says of images with so many channels; nothing where it says nothing."""
        declared = self.component.traits.model_input

        def raised(error: BaseException) -> PluginError:
            return PluginError(f"{_where(self.component)}: its model_input raised {error!r} at {error_location(error)}")

        with code_of_others(raised):
            return ModelInput() if declared is None else declared(channels, **self.options)


@dataclass(frozen=True)
class Option:
    """One option of a component, for listings."""

    name: str
    type: str
    default: str


def bind(component: Component, table: Mapping[str, Any], where: str) -> tuple[BoundComponent | None, list[Problem]]:
    """Bind a TOML table (without `name`) to a component; return it, or None, and every problem with the table."""
    model = options_model(component)
    values, problems = validate(model, table, where)
    if values is None:
        return None, problems
    options = {name: getattr(values, name) for name in model.model_fields}
    marked = {mark: tuple(_marked(model, options, mark)) for mark in (FileMark, DataFileMark)}
    problems = [Problem(f"{where} {place}", "must be finite.") for place in _not_finite(options)]
    problems += [
        Problem(f"{where} {key} = {json_text(value)}", f"{reason}.")
        for key, value in marked[FileMark]
        if (reason := unusable_file(Path(value))) not in ("", NO_FILE)  # the check knows which name was meant
    ]
    check = component.traits.check
    if check is not None and not problems:
        problems = [Problem(where, message) for message in _run_check(component, check, options)]
    files = tuple(Path(value) for _, value in marked[FileMark] if not unusable_file(Path(value)))
    return BoundComponent(component, options, files, marked[DataFileMark]), problems


def with_model_input(images: Images, model: BoundComponent) -> tuple[Images, list[str]]:
    """Fill in size, mean and std where the TOML leaves them to the model; return a note on a size that is not usual."""
    own = model.model_input(images.channels)
    size = images.size if "size" in images.model_fields_set or own.size is None else own.size
    found = {"size": size, "mean": images.mean or list(own.mean) or None, "std": images.std or list(own.std) or None}
    if size == images.size:
        return images.model_copy(update=found), []
    note = f"[images] size = {list(size)}: the model's own input size, because the TOML sets none"
    return images.model_copy(update=found), [note]


def _not_finite(value: object, place: str = "") -> Iterator[str]:
    """Yield `key = value` for each infinity or NaN inside a table or list whose items may be anything."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _not_finite(item, f"{place}.{key}" if place else str(key))
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place} = {value}"


def _run_check(component: Component, check: Callable[..., Iterator[str]], options: Mapping[str, Any]) -> list[str]:
    """Return what a component's own check finds; its mistakes are the plugin's, not the user's."""

    def raised(error: BaseException) -> PluginError:
        return PluginError(f"{_where(component)}: its check raised {error!r} at {error_location(error)}")

    with code_of_others(raised):
        found = check(**options)
        messages = [] if isinstance(found, str) else list(found)
    if isinstance(found, str) or not all(isinstance(message, str) for message in messages):
        raise PluginError(f"{_where(component)}: its check must yield strings")
    return messages


def _marked(model: type[BaseModel], options: Mapping[str, Any], mark: type) -> Iterator[tuple[str, str]]:
    """Yield the options of a marked type with the file that they name, also where it is optional or in a list."""
    for name, field in model.model_fields.items():
        if _has_mark(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation, mark):
            value = options[name]
            # A list beside a marked string, as of classes, is no list of files.
            values = value if isinstance(value, list | tuple) and mark is FileMark else [value]
            yield from ((name, item) for item in values if isinstance(item, str) and item)


def _has_mark(annotation: object, mark: type) -> bool:
    return isinstance(annotation, mark) or any(_has_mark(inner, mark) for inner in get_args(annotation))


def validate(model: type[BaseModel], table: Mapping[str, Any], where: str) -> tuple[BaseModel | None, list[Problem]]:
    """Validate a TOML table strictly; return the values, or None with one problem for each wrong key."""
    try:
        # As JSON, because strict validation of Python objects does not accept a list for a tuple.
        return model.model_validate_json(json.dumps(table, default=str), strict=True), []
    except ValidationError as error:
        # A union has one error for each of its types, a list one for each item: the first of a key stands for all.
        first = {str(details["loc"][:1]): details for details in reversed(error.errors())}
        return None, [_problem(model, details, table, where) for details in reversed(first.values())]


def options_model(component: Component) -> type[BaseModel]:
    """Build a strict pydantic model from a component's keyword-only parameters."""
    parameters = _keyword_only(component.factory)
    hints = _hints(component.factory, set(parameters), _where(component))
    fields: dict[str, Any] = {
        name: (hints[name], ... if p.default is p.empty else p.default) for name, p in parameters.items()
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=(), allow_inf_nan=False)
    return create_model(component.name, __config__=config, **fields)


def list_options(component: Component) -> list[Option]:
    """Return a component's options with their types and defaults in words."""
    parameters = _keyword_only(component.factory)
    hints = _hints(component.factory, set(parameters), _where(component))
    return [
        Option(name, type_text(hints[name]), "required" if p.default is p.empty else json_text(p.default))
        for name, p in parameters.items()
    ]


def tables_of_options(data: Mapping[str, Any], registry: Registry) -> dict[str, str]:
    """Return where each option has an effect in this TOML, in words, for those that stand in another table."""
    places: dict[str, str] = {}
    for kind, slot in SLOTS.items():
        table = data.get(slot.table)
        name = table.get("name", slot.default) if isinstance(table, dict) else slot.default
        if not slot.repeats and isinstance(name, str) and name in registry[kind]:
            places |= dict.fromkeys(registry[kind][name].option_names, f"belongs in [{slot.table}]")
    for name, model in CORE_TABLES.items():
        places |= dict.fromkeys(model.model_fields, f"belongs in [{name}]")
    return {**places, "plugins": "belongs above the first table"}


def json_text(value: object) -> str:
    """Write a value almost as TOML does: `"text"`, `true`, `[1, 2]`."""
    if value is None:
        return "none"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON would write Infinity
    return json.dumps(value, default=str, ensure_ascii=False)


def _keyword_only(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(factory).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def _where(component: Component) -> str:
    return f"plugin {component.owner}: {component.kind} component '{component.name}'"


def _hints(factory: Callable[..., Any], names: set[str], where: str) -> dict[str, Any]:
    """Resolve the annotations of the options only: others may name types imported under TYPE_CHECKING."""
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


def _problem(model: type[BaseModel], details: ErrorDetails, table: Mapping[str, Any], where: str) -> Problem:
    """Explain pydantic's error in one key of a table."""
    if not details["loc"]:
        return Problem(where, details["msg"])
    key = str(details["loc"][0])
    place = f"{where} {key}"
    if key not in table:
        return Problem(place, "is required and missing.")
    with_value = f"{place} = {json_text(table[key])}"
    for old in (with_value, place):
        if old in RENAMED:
            return Problem(old, f"was renamed. Use {RENAMED[old]}.")
    if key in model.model_fields:
        return Problem(with_value, _wrong_value(model, details, table[key], key))
    known = list(model.model_fields)
    options = f" Options: {format_list(known)}." if known else " It has no options."
    return Problem(place, f"unknown option.{elsewhere(key) or did_you_mean(key, known)}{options}", is_unknown=True)


def _wrong_value(model: type[BaseModel], details: ErrorDetails, value: object, key: str) -> str:
    field = model.model_fields[key]
    if details["type"] == "finite_number":
        return f"must be finite{_wrong_item(details, value, key)}."
    if details["type"] in ("value_error", "assertion_error"):
        return f"{details['msg'].partition(', ')[2].rstrip('.')}."
    # The model keeps a type's limits beside it; put back together, they read as in a listing.
    annotation: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    meant = next((other for other in _meant(value) if _accepts(model, key, other)), None)
    hint = "" if meant is None else f" Write {key} = {json_text(meant)}."
    if isinstance(value, str) and (names := re.findall(r'"([^"]+)"', expected_text(annotation))):
        near = did_you_mean(value, names)
        hint = near or hint if meant == [value] else hint or near  # a misspelt name, before a list of it
    return f"must be {expected_text(annotation)}{_wrong_item(details, value, key)}.{hint}"


def _meant(value: object) -> Iterator[object]:
    """Yield what a value of the wrong type was probably meant for: a number in quotes, one side of a square, `gpu`."""
    if isinstance(value, str):
        yield OTHER_NAMES.get(value.lower(), value.lower())
        for read in (int, float):
            with suppress(ValueError):
                yield read(value)
        yield from ({"true": True, "false": False}[value.lower()],) if value.lower() in ("true", "false") else ()
        if numbers := re.findall(r"\d+", value):
            yield [int(number) for number in numbers]
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    if not isinstance(value, list | dict):
        yield [value]
        yield [value, value]


def _wrong_item(details: ErrorDetails, value: Any, key: str) -> str:  # noqa: ANN401 - TOML data is anything
    """Return which item of a list or table is wrong: ", but size.0 is 0"."""
    path = key
    for step in details["loc"][1:]:  # besides keys and indices it has the names of a union's types
        items = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(items, dict) and step in items:
            path, value = f"{path}.{step}", items[step]
    return "" if path == key else f", but {path} is {json_text(value)}"


def _accepts(model: type[BaseModel], key: str, value: object) -> bool:
    """Return whether a key may have a value, whatever else the table lacks."""
    try:
        model.model_validate_json(json.dumps({key: value}, default=str), strict=True)
    except ValidationError as error:
        return all(details["loc"][0] != key for details in error.errors())
    return True
