"""The code that a plugin runs: its own module, and the local modules that it reaches."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from compete.errors import is_library

OWN = ("compete", "compete_plugins")
SCRIPTS = ("__main__", "__mp_main__")
AS_IMPORTED = "_code_as_imported"


def code_of(module: ModuleType, source: bytes | None = None) -> bytes:
    """Return the source of a module and of all that it reaches outside libraries, in the order of their names.

    `source` is the module's as it was executed; its file may have changed since.
    """
    found: dict[str, bytes] = {} if source is None else {module.__name__: source}
    for name, reached in local_modules(module).items():
        file = getattr(reached, "__file__", None)
        if file is not None and name not in found:
            found[name] = Path(file).read_bytes()
    return b"\0".join(found[name] for name in sorted(found))


def local_modules(module: ModuleType) -> dict[str, ModuleType]:
    """Return a module and all that it reaches outside libraries, by name."""
    reached = {module.__name__: module}
    waiting = [module]
    while waiting:
        for other in _used_by(waiting.pop()):
            if other.__name__ not in reached and _is_local(other):
                reached[other.__name__] = other
                waiting.append(other)
    return reached


def forget(modules: Iterable[ModuleType]) -> None:
    """Let the next import read modules again, and the packages that they are in; the running script stays."""
    for module in modules:
        if sys.modules.get(module.__name__) is module:
            parts = module.__name__.split(".")
            for name in (".".join(parts[:count]) for count in range(1, len(parts) + 1)):
                if name not in SCRIPTS and _is_local(sys.modules.get(name)):
                    del sys.modules[name]


def as_imported(module: ModuleType, code: bytes) -> bytes:
    """Return the code that a module had when it was first asked for: this process goes on executing that."""
    first: bytes = vars(module).setdefault(AS_IMPORTED, code)
    return first


def own_code(version: str) -> bytes:
    """Return compete's version or, from a checkout, where versions say little, all of its sources."""
    if is_library(__file__):
        return version.encode()
    folders = [Path(file).parent for name in OWN if (file := getattr(sys.modules.get(name), "__file__", None))]
    code = b"\0".join(path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py")))
    return as_imported(sys.modules[OWN[0]], code)


def _used_by(module: ModuleType) -> list[ModuleType]:
    """Return the modules that a module's names are, or come from."""
    values = list(vars(module).values())
    named = [value for value in values if isinstance(value, ModuleType)]
    homes = {home for value in values if isinstance(home := getattr(value, "__module__", None), str)}
    return [*named, *(sys.modules[home] for home in homes if home in sys.modules)]


def _is_local(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)
    if module is None or file is None or not Path(file).is_file():  # `torch.ops` names a file that is not there
        return False
    return module.__name__.partition(".")[0] not in OWN and not is_library(file)
