"""A network written by the user, from a Python file."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import nn

from compete import InputFile, PluginError, code_of_others, component, error_location, unknown_name


def _check(path: str, factory: str, **_: object) -> Iterator[str]:
    """Look for the factory without running the file."""
    if not Path(path).is_file():
        yield f"path = '{path}': no such file: {Path(path).resolve()}."
        return
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (SyntaxError, ValueError) as error:
        yield f"path = '{path}': not valid Python: {error}."
        return
    names = set(_names(tree))
    if factory not in names:
        yield f"{path}: {unknown_name('class or function', factory, names)}"


@component(check=_check)
def network_from_file(
    outputs: int, channels: int, *, path: InputFile, factory: str, arguments: dict[str, Any] | None = None
) -> nn.Module:
    """Build a network with your own code: `factory(outputs, channels, **arguments)` of the Python file `path`.

    `factory` names an `nn.Module` class, or a function that returns a module; the module maps images
    (B, channels, H, W) to logits (B, outputs), and may have the attributes `head_name`, `mean`, `std`, `notes` and
    `stage_names`.
    """

    def raised(error: BaseException) -> PluginError:
        return PluginError(f"{path}: {factory} raised {error!r} at {error_location(error)}")

    with code_of_others(raised):
        network = _import(Path(path), factory)(outputs, channels, **(arguments or {}))
    if not isinstance(network, nn.Module):
        raise PluginError(f"{path}: {factory} returned {type(network).__name__}, not an nn.Module")
    return network


def _names(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module defines at top level."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _import(path: Path, factory: str) -> Callable[..., Any]:
    name = f"compete_network_{path.stem}_{sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a module up by its name
    spec.loader.exec_module(module)
    found: Callable[..., Any] = getattr(module, factory)
    return found
