"""All components of a run: `{kind: {name: component}}`, each with the plugin that owns it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import pluggy

from compete import hookspecs
from compete.errors import PluginError
from compete.text import unknown_name

PREFIX = "register_"
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Component:
    """A named callable that a plugin registered."""

    kind: str
    name: str
    factory: Callable[..., Any]
    owner: str

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.factory) or "").partition("\n")[0]


Registry = dict[str, dict[str, Component]]


class FileMark:
    """Marks an option that names a file which the component reads."""


InputFile = Annotated[str, FileMark()]  # a run's results depend on what is in it, not on its name alone


def checked_by(check: Callable[..., Iterator[str]]) -> Callable[[F], F]:
    """Attach a check to a component: it gets the options and yields what is wrong with their values.

    It runs when the TOML is read, so that a misspelt backbone is found before anything is loaded.
    """

    def attach(component: F) -> F:
        component.__compete_check__ = check  # type: ignore[attr-defined]
        return component

    return attach


def kinds() -> list[str]:
    """Return every kind of component, in the order of `hookspecs`."""
    return [name.removeprefix(PREFIX) for name in vars(hookspecs) if name.startswith(PREFIX)]


def build_registry(manager: pluggy.PluginManager) -> Registry:
    """Ask every plugin for its components; two that claim one name are an error that names both."""
    return {kind: _collect(kind, getattr(manager.hook, PREFIX + kind)) for kind in kinds()}


def singular(kind: str) -> str:
    """Return what one component of a kind is called."""
    return kind.removesuffix("es" if kind.endswith("sses") else "s")


def find(registry: Registry, kind: str, name: str) -> Component:
    """Return the component, or raise `PluginError` with the nearest name."""
    if name not in registry[kind]:
        raise PluginError(unknown_name(singular(kind), name, registry[kind]))
    return registry[kind][name]


def _collect(kind: str, caller: pluggy.HookCaller) -> dict[str, Component]:
    found: dict[str, Component] = {}
    for component in _registered(kind, caller):
        other = found.get(component.name)
        if other is not None:
            raise PluginError(
                f"two plugins register the {kind} component '{component.name}': "
                f"{other.owner} and {component.owner}. Rename one of them."
            )
        found[component.name] = component
    return found


def _registered(kind: str, caller: pluggy.HookCaller) -> Iterator[Component]:
    # One implementation at a time, not caller(): its joined results would not say who returned what.
    for implementation in caller.get_hookimpls():
        owner = implementation.plugin_name
        try:
            components = implementation.function()
        except Exception as error:
            raise PluginError(f"plugin {owner}: {PREFIX}{kind} raised {error!r}") from error
        if not isinstance(components, dict):
            raise PluginError(
                f"plugin {owner}: {PREFIX}{kind} must return a dict {{name: callable}}, not {type(components).__name__}"
            )
        for name, factory in components.items():
            if not callable(factory):
                raise PluginError(f"plugin {owner}: {kind} component '{name}' is not callable")
            yield Component(kind, name, factory, owner)
