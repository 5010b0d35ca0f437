"""The output of `compete plugins` and `compete options`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from compete.config.gallery import find_toml
from compete.config.options import json_text, list_options
from compete.config.plugins import Plugins, load_plugins
from compete.config.registry import Component, find
from compete.config.slots import SLOTS
from compete.config.toml import read_toml
from compete.errors import ConfigError, UserError
from compete.text import unknown_name


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
        return
    kind = {slot.table: each for each, slot in SLOTS.items()}.get(kind, kind)
    if kind not in registry:
        raise UserError(unknown_name("kind of component", kind, registry))
    for component in [find(registry, kind, name)] if name else registry[kind].values():
        yield from component_lines(component)
        yield ""


def component_lines(component: Component) -> Iterator[str]:
    """Yield a component's name, options and docstring."""
    yield f"{component.name}  ({component.kind}, from {component.owner})"
    for line in (inspect.getdoc(component.factory) or "").splitlines():
        yield f"    {line}".rstrip()
    for option in list_options(component):
        yield f"  {option.name}: {option.type} = {option.default}"


def _load(file: Path | None) -> Plugins:
    if file is None:
        return load_plugins()
    names = read_toml(find_toml(file))[0].get("plugins", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f'{file}: plugins = {json_text(names)} must be a list of file names: ["my_loss.py"]')
    return load_plugins([Path(name) for name in names])
