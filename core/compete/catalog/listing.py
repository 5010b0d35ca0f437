"""The output of `compete plugins` and `compete options`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from compete.config.option_types import type_text
from compete.config.options import json_text, list_options
from compete.config.plugins import Plugins, load_plugins
from compete.config.registry import Component, find
from compete.config.settings import CORE_TABLES
from compete.errors import ConfigError, UserError
from compete.text import unknown_name
from compete.toml.gallery import find_toml
from compete.toml.read import read_toml
from compete.toml.slots import SLOTS


def plugin_lines(file: Path | None) -> Iterator[str]:
    """Yield one line for each loaded plugin."""
    loaded = _load(file).loaded
    width = max(len(plugin.name) for plugin in loaded)
    for plugin in loaded:
        yield f"{plugin.name:<{width}}  {plugin.source:<10}  {', '.join(plugin.hooks)}"


def option_lines(kind: str | None, name: str | None, file: Path | None) -> Iterator[str]:
    """Yield the listing of all kinds, of one kind, or of one component."""
    registry = _load(file).registry
    if kind is None:
        for each, components in registry.items():
            table = f"[{SLOTS[each].table}]" if each in SLOTS else ""
            yield f"{each:<17} {table:<19} {', '.join(components)}"
        for name, model in CORE_TABLES.items():
            yield f"{'':<17} {f'[{name}]':<19} keys: {', '.join(model.model_fields)}"
        return
    if kind in CORE_TABLES:
        yield from _core_table_lines(kind, name)
        return
    kind = {slot.table: each for each, slot in SLOTS.items()}.get(kind, kind)
    if kind not in registry:
        raise UserError(unknown_name("table or kind of component", kind, [*registry, *CORE_TABLES]))
    for component in [find(registry, kind, name)] if name else registry[kind].values():
        yield from component_lines(component)
        yield ""


def component_lines(component: Component) -> Iterator[str]:
    """Yield a component's name, options and docstring."""
    yield f"{component.name}  ({component.kind}, from {component.owner})"
    for line in (inspect.getdoc(component.factory) or "").splitlines():
        yield f"    {line}".rstrip()
    for option in list_options(component) if component.kind != "readers" else ():  # theirs are settings of [images]
        yield f"  {option.name}: {option.type} = {option.default}"


def _core_table_lines(table: str, key: str | None) -> Iterator[str]:
    """Yield the keys of one of the core's own tables, or one of them, with type, default and meaning."""
    fields = CORE_TABLES[table].model_fields
    if key is not None and key not in fields:
        raise UserError(unknown_name(f"key of [{table}]", key, fields))
    for name in [key] if key else fields:
        field = fields[name]
        annotation: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        default = "required" if field.is_required() else json_text(field.default)
        yield f"  {name}: {type_text(annotation)} = {default}"
        yield f"      {field.description}"


def _load(file: Path | None) -> Plugins:
    if file is None:
        return load_plugins()
    names = read_toml(find_toml(file))[0].get("plugins", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f'{file}: plugins = {json_text(names)} must be a list of file names: ["my_loss.py"]')
    return load_plugins([Path(name) for name in names])
