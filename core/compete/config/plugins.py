"""Find plugins (bundled, installed, local files) and load them into a new plugin manager."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from uuid import NAMESPACE_URL, uuid5

import pluggy

from compete import hookspecs
from compete.config.code import as_imported, code_of, forget, local_modules
from compete.config.registry import Registry, build_registry, trait_hint
from compete.config.settings import elsewhere
from compete.errors import PluginError, code_of_others, error_location, is_library
from compete.files.safety import MOST_CODE_BYTES, unusable_file
from compete.text import did_you_mean

ENTRY_POINTS = "compete"

BUNDLED = tuple(
    f"compete_plugins.{name}"
    for name in (
        "datasets", "readers", "targets", "folds", "transforms", "batch_transforms", "samplers",
        "models", "heads", "losses", "metrics", "optimizers", "schedulers",
        "tta", "ensembles", "postprocessors", "submissions", "uploads",
        "callbacks", "hooks", "executors", "demos", "console", "report",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin: its name, its source and the hooks it implements."""

    name: str
    source: str
    hooks: tuple[str, ...]


@dataclass(frozen=True)
class Plugins:
    """A run's plugin manager, its plugins and their components."""

    manager: pluggy.PluginManager
    loaded: tuple[Plugin, ...]
    registry: Registry
    code: Mapping[str, bytes]  # what each plugin runs that is not bundled

    def new_manager(self) -> pluggy.PluginManager:
        """Return a manager of its own with the same plugins, so that what one run registers no other run sees."""
        manager = _empty_manager()
        for name, plugin in self.manager.list_name_plugin():
            manager.register(plugin, name)
        return manager


def load_plugins(files: Sequence[Path] = ()) -> Plugins:
    """Load every plugin into a new manager. Raise `PluginError` for the first that does not load."""
    manager = _empty_manager()
    code: dict[str, bytes] = {}
    sources: dict[str, str] = {}
    before = dict(sys.modules)
    for name in BUNDLED:
        _register(manager, sources, name, "bundled", lambda name=name: importlib.import_module(name))  # type: ignore[misc]
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        package = entry.dist.name if entry.dist else "?"
        _register(manager, sources, entry.name, f"package {package}", entry.load)
        version = f"{package} {entry.dist.version if entry.dist else '?'}"
        code[entry.name] = version.encode() + _code_of_entry(manager.get_plugin(entry.name))
    for file in files:
        _register(manager, sources, file.name, str(file), lambda file=file: _import_file(file, code, before))  # type: ignore[misc]
    _refuse_unknown_hooks(manager)
    loaded = tuple(Plugin(name, source, _hooks_of(manager, name)) for name, source in sources.items())
    return Plugins(manager, loaded, build_registry(manager), code)


def _empty_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("compete")
    manager.add_hookspecs(hookspecs)
    return manager


def _register(
    manager: pluggy.PluginManager,
    sources: dict[str, str],
    name: str,
    source: str,
    load: Callable[[], object],
) -> None:

    def explain(error: BaseException) -> PluginError:
        if isinstance(error, SyntaxError):
            place = f"{error.filename}:{error.lineno}"
            return PluginError(f"plugin {name} ({source}) is not valid Python: {place}: {error.msg}")
        where = f"{error!r} at {error_location(error)}{trait_hint(error)}"
        return PluginError(f"plugin {name} ({source}) could not be imported: {where}")

    with code_of_others(explain):
        plugin = load()
    if name in sources:
        raise PluginError(f"two plugins are named {name}: {sources[name]} and {source}. Rename one.")
    try:
        manager.register(plugin, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(f"plugin {name} ({source}): {'; '.join(str(error).splitlines())}") from error
    if not manager.get_hookcallers(plugin):
        raise PluginError(
            f"plugin {name} ({source}) implements no hook. Mark its hook functions, such as register_losses, "
            "with @compete.hookimpl."
        )
    sources[name] = source


def _code_of_entry(plugin: object) -> bytes:
    """Return the local code of an installed plugin, as of an editable one; libraries have their version."""
    module = plugin if isinstance(plugin, ModuleType) else sys.modules[type(plugin).__module__]
    return b"" if is_library(getattr(module, "__file__", None) or "<") else as_imported(module, code_of(module))


def _import_file(file: Path, code: dict[str, bytes], before: Mapping[str, ModuleType]) -> ModuleType:
    """Import a plugin file under a unique module name, so that files of the same name do not collide.

    The code that it runs goes into `code`: the file may be edited before anything else looks at it. A local module
    that it uses and that was imported `before` is imported again: in a long session it may have been edited too.
    """
    if problem := unusable_file(file, MOST_CODE_BYTES):
        raise FileNotFoundError(f"{problem}: {file}")
    name = f"compete_local_{file.stem}_{uuid5(NAMESPACE_URL, str(file.resolve())).hex[:8]}"
    if name in sys.modules:
        forget(local_modules(sys.modules[name]).values())
    source = file.read_bytes()
    module = _executed(name, file, source)
    edited = [other for other in local_modules(module).values() if before.get(other.__name__) is other]
    if edited:
        forget(edited)
        module = _executed(name, file, source)
    code[file.name] = code_of(module, source)
    return module


def _executed(name: str, file: Path, source: bytes) -> ModuleType:
    """Execute a plugin file's source as a new module."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look modules up by name
    try:
        exec(compile(source, str(file.resolve()), "exec"), vars(module))  # the very bytes that are counted
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _refuse_unknown_hooks(manager: pluggy.PluginManager) -> None:
    """Raise `PluginError` for a misspelt hook, which pluggy would ignore in silence."""
    known = [name for name in vars(manager.hook) if not name.startswith("_")]
    specified = [name for name in known if getattr(manager.hook, name).has_spec()]
    for name in sorted(set(known) - set(specified)):
        for implementation in getattr(manager.hook, name).get_hookimpls():
            if not implementation.optionalhook:
                hint = elsewhere(name) or did_you_mean(name, specified)
                raise PluginError(f"plugin {implementation.plugin_name}: unknown hook '{name}'.{hint}")


def _hooks_of(manager: pluggy.PluginManager, name: str) -> tuple[str, ...]:
    callers = manager.get_hookcallers(manager.get_plugin(name)) or []
    return tuple(sorted(caller.name for caller in callers))
