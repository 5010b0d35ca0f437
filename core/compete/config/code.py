"""The code that a plugin runs: its own module, and the local modules that it reaches."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

from compete.errors import is_library

OWN = ("compete", "compete_plugins")


def code_of(module: ModuleType, source: bytes | None = None) -> bytes:
    """Return the source of a module and of all that it reaches outside libraries, in the order of their names.

    `source` is the module's as it was executed; its file may have changed since.
    """
    found: dict[str, bytes] = {} if source is None else {module.__name__: source}
    waiting = [module]
    reached = {module.__name__}
    while waiting:
        current = waiting.pop()
        file = getattr(current, "__file__", None)
        if file is not None and current.__name__ not in found:
            found[current.__name__] = Path(file).read_bytes()
        for other in _used_by(current):
            if other.__name__ not in reached and _is_local(other):
                reached.add(other.__name__)
                waiting.append(other)
    return b"\0".join(found[name] for name in sorted(found))


def own_code(version: str) -> bytes:
    """Return compete's version or, from a checkout, where versions say little, all of its sources."""
    if is_library(__file__):
        return version.encode()
    folders = [Path(file).parent for name in OWN if (file := getattr(sys.modules.get(name), "__file__", None))]
    return b"\0".join(path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py")))


def _used_by(module: ModuleType) -> list[ModuleType]:
    """Return the modules that a module's names are, or come from."""
    values = list(vars(module).values())
    named = [value for value in values if isinstance(value, ModuleType)]
    homes = {home for value in values if isinstance(home := getattr(value, "__module__", None), str)}
    return [*named, *(sys.modules[home] for home in homes if home in sys.modules)]


def _is_local(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    # `torch.ops` and its like name a file that is not there.
    return (
        file is not None
        and Path(file).is_file()
        and module.__name__.partition(".")[0] not in OWN
        and not is_library(file)
    )
