"""All components of a run: `{kind: {name: component}}`, each with the plugin that owns it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import pluggy

from compete import hookspecs
from compete.errors import PluginError, code_of_others, error_location
from compete.text import format_list, unknown_name

PREFIX = "register_"
F = TypeVar("F", bound=Callable[..., Any])
Check = Callable[..., Iterator[str]]


class Backbone(NamedTuple):
    """What is known of a backbone without a download: its size, its images' size and its weights' name."""

    parameters: int
    image_px: int = 0  # 0: any
    weights: str = ""  # "": none


class Backbones(NamedTuple):
    """The values of a model's option `backbone`, for `compete models`."""

    names: Callable[[], Sequence[str]]
    describe: Callable[[str], Backbone]


class Weights(NamedTuple):
    """A file of trained weights that a component's options ask for.

    `name` is what people call it, `source` where it comes from, `file_name` what a copy of it is called. `path` is the
    file on this machine, whose SHA-256 starts with `digest` where its source tells it, or None: then `size` asks the
    source how many bytes it has, and `fetch(progress)` gets it, resumed and checked, with `progress(done, total)` in
    bytes. Both may raise anything. `option` takes such a file.
    """

    name: str
    source: str
    file_name: str
    path: Path | None
    size: Callable[[], int] = lambda: 0
    fetch: Callable[[Callable[[int, int], object]], Path] = lambda _: Path()
    option: str = "weights"
    digest: str = ""


class ModelInput(NamedTuple):
    """What a model's own configuration says of its images.

    `size` is height and width, `mean` and `std` are per channel, in 0..1. `cures(channels, height, width)` yields what
    to type, as `key=value` after `--set`, where the network cannot take images of a size.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    cures: Callable[[int, int, int], Iterator[str]] = lambda *_: iter(())


@dataclass(frozen=True)
class Traits:
    """What a component declares about itself with `@component(...)`; `metadata` names the kinds that have a trait."""

    check: Check | None = field(default=None, metadata={"kinds": ()})  # of every kind
    row_by_row: bool = field(default=False, metadata={"kinds": ("ensembles",)})
    takes_columns: bool = field(default=False, metadata={"kinds": ("ensembles",)})
    needs_classes: bool = field(default=False, metadata={"kinds": ("postprocessors",)})
    own_ids: bool = field(default=False, metadata={"kinds": ("submissions",)})
    reads_urls: bool = field(default=False, metadata={"kinds": ("datasets",)})
    needs_cosines: bool = field(default=False, metadata={"kinds": ("losses",)})
    gives_cosines: bool = field(default=False, metadata={"kinds": ("heads",)})
    without_weights: Mapping[str, object] = field(default_factory=dict, metadata={"kinds": ("models",)})
    pixel_options: tuple[str, ...] | None = field(default=None, metadata={"kinds": ("transforms",)})
    backbones: Backbones | None = field(default=None, metadata={"kinds": ("models",)})
    weights: Callable[..., Iterable[Weights]] | None = field(default=None, metadata={"kinds": ()})
    model_input: Callable[..., ModelInput] | None = field(default=None, metadata={"kinds": ("models",)})
    alternatives: tuple[tuple[str, ...], ...] = field(default=(), metadata={"kinds": ()})
    shared: Callable[..., AbstractContextManager[object]] | None = field(
        default=None, metadata={"kinds": ("executors",)}
    )


_ATTRIBUTE = "__compete_traits__"
_UNKNOWN_TRAIT = re.compile(r"component\(\) got an unexpected keyword argument '(\w+)'")


@dataclass(frozen=True)
class Component:
    """A named callable that a plugin registered."""

    kind: str
    name: str
    factory: Callable[..., Any]
    owner: str

    @property
    def traits(self) -> Traits:
        """What it declares about itself."""
        traits: Traits = getattr(self.factory, _ATTRIBUTE, Traits())
        return traits

    @property
    def option_names(self) -> set[str]:
        """The names of its options, its keyword-only parameters."""
        parameters = inspect.signature(self.factory).parameters
        return {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}

    def alternatives_to(self, option: str) -> list[str]:
        """Return the options that exclude this one."""
        return [other for group in self.traits.alternatives if option in group for other in group if other != option]

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.factory) or "").partition("\n")[0]


Registry = dict[str, dict[str, Component]]


def unknown_component(table: str, name: object, known: Mapping[str, Component]) -> str:
    """Explain that no component of a table has this name, which may be a backbone's."""
    for component in known.values():
        backbones = component.traits.backbones
        if backbones is not None and name in backbones.names():
            return f'a backbone, not a {table}. Write name = "{component.name}" and backbone = "{name}".'
    return unknown_name(table, name, known)


class FileMark:
    """Marks an option that names a file which the component reads; `~` and environment variables are expanded."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        """Expand the path once it is known to be a string."""
        from pydantic_core import core_schema

        from compete.store import expand_path

        return core_schema.no_info_after_validator_function(expand_path, handler(source))


class DataFileMark:
    """Marks an option that names a file of the data, perhaps with `#` and one of its columns."""


DataFile = Annotated[str, DataFileMark()]  # it lies below the root or beside the TOML
InputFile = Annotated[str, FileMark()]  # a run's results depend on what is in it, not on its name alone


def component(
    *,
    check: Check | None = None,
    row_by_row: bool = False,
    takes_columns: bool = False,
    needs_classes: bool = False,
    own_ids: bool = False,
    reads_urls: bool = False,
    needs_cosines: bool = False,
    gives_cosines: bool = False,
    without_weights: Mapping[str, object] | None = None,
    pixel_options: tuple[str, ...] | None = None,
    backbones: Backbones | None = None,
    weights: Callable[..., Iterable[Weights]] | None = None,
    model_input: Callable[..., ModelInput] | None = None,
    alternatives: tuple[tuple[str, ...], ...] = (),
    shared: Callable[..., AbstractContextManager[object]] | None = None,
) -> Callable[[F], F]:
    """Declare the traits of a component.

    `check` (every kind): gets the options when the TOML is read, and yields what is wrong with their values.
    `row_by_row` (ensembles): needs neither labels nor other rows, so it may be given some rows and classes only.
    `takes_columns` (ensembles): takes the features of `[columns]` as a fifth argument, (train (N, F), test (T, F)).
    `needs_classes` (postprocessors): takes the classes' names as a fourth argument.
    `own_ids` (submissions): writes other ids than the test table's.
    `reads_urls` (datasets): the root may be a store's URL, a string, which it reads through `Files` alone.
    `needs_cosines` (losses): expects logits that are cosines times its option `scale`.
    `gives_cosines` (heads): returns logits that are cosines times its option `scale`.
    `without_weights` (models): options that build the bare architecture, with no download and no weights file.
    `pixel_options` (transforms): the only options that the fixed part depends on; others leave the cache as it is.
    `backbones` (models): the names that its option `backbone` takes, and what is known of each.
    `weights` (every kind): gets the options, and returns the files of trained weights that they ask for; () for none.
    `model_input` (models): gets the options and, as `channels`, those of an image; size, mean and std that are its own.
    `alternatives` (every kind): options of which one excludes the others: `--set` of one replaces the TOML's other.
    `shared` (executors): gets the options; a context for all runs of a search, in this process and those it starts.

    Raise `TypeError` for a value of another type, and for a second declaration, which would undo the first.
    """
    flags = [row_by_row, takes_columns, needs_classes, own_ids, reads_urls, needs_cosines, gives_cosines]
    if not all(isinstance(flag, bool) for flag in flags) or not (check is None or callable(check)):
        raise TypeError("component(): a trait such as row_by_row must be True or False, and check a function")
    traits = Traits(
        check, row_by_row, takes_columns, needs_classes, own_ids, reads_urls, needs_cosines, gives_cosines,
        dict(without_weights or {}), pixel_options, backbones, weights, model_input, alternatives, shared,
    )  # fmt: skip

    def declare(function: F) -> F:
        if _ATTRIBUTE in vars(function):
            raise TypeError(f"the traits of {function.__name__} are declared twice: use one @component(...)")
        setattr(function, _ATTRIBUTE, traits)
        return function

    return declare


def trait_hint(error: BaseException) -> str:
    """Return the nearest traits where an error is `component()`'s for an unknown one, else an empty string."""
    unknown = _UNKNOWN_TRAIT.match(str(error))
    traits = [trait.name for trait in fields(Traits)]
    if str(error).startswith("component() takes 0 positional arguments"):
        return f": write @component(...) with one of {format_list(traits)}"
    return f": {unknown_name('trait', unknown[1], traits)}" if unknown else ""


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
    for new in _registered(kind, caller):
        other = found.get(new.name)
        if other is not None:
            raise PluginError(
                f"two plugins register the {kind} component '{new.name}': {other.owner} and {new.owner}. "
                "Rename one of them."
            )
        found[new.name] = new
    return found


def _registered(kind: str, caller: pluggy.HookCaller) -> Iterator[Component]:
    # One implementation at a time, not caller(): its joined results would not say who returned what.
    for implementation in caller.get_hookimpls():
        owner = implementation.plugin_name
        with code_of_others(partial(_raised, f"plugin {owner}: {PREFIX}{kind}")):
            components = implementation.function()
        if not isinstance(components, dict):
            raise PluginError(
                f"plugin {owner}: {PREFIX}{kind} must return a dict {{name: callable}}, not {type(components).__name__}"
            )
        for name, factory in components.items():
            if not isinstance(name, str) or (
                not hasattr(inspect.unwrap(factory), "__code__") and not inspect.isclass(factory)
            ):
                raise PluginError(
                    f"plugin {owner}: {kind} component {name!r}: {factory!r} is not a function or a class under a name"
                )
            new = Component(kind, name, factory, owner)
            _refuse_wrong_traits(new)
            yield new


def _raised(who: str, error: BaseException) -> PluginError:
    return PluginError(f"{who} raised {error!r} at {error_location(error)}")


def _refuse_wrong_traits(declared: Component) -> None:
    where = f"plugin {declared.owner}: {declared.kind} component '{declared.name}'"
    for trait in fields(Traits):
        kinds_with_it = trait.metadata["kinds"]
        if kinds_with_it and declared.kind not in kinds_with_it and getattr(declared.traits, trait.name):
            raise PluginError(f"{where}: the trait '{trait.name}' is for {format_list(kinds_with_it)} only")
    groups = {"without_weights": declared.traits.without_weights, "alternatives": sum(declared.traits.alternatives, ())}
    for trait_name, names in groups.items():
        for name in set(names) - declared.option_names:
            raise PluginError(f"{where}: {trait_name}: {unknown_name('option', name, declared.option_names)}")
