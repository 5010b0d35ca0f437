"""The listing of `compete models`: names that match a pattern, and what is known of them without a download."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from compete.config.plugins import load_plugins
from compete.config.registry import Backbone, Component
from compete.errors import UserError
from compete.text import nearest, plural

_SEPARATORS = str.maketrans("", "", "_-.")
HEAD = ("parameters", "image", "weights", "[model]")


def model_lines(pattern: str, plugin_files: Sequence[Path], most: int) -> Iterator[str]:
    """Yield a line for each backbone whose name matches. Raise `UserError` with the nearest name if none does."""
    sources = [c for c in load_plugins(plugin_files).registry["models"].values() if c.traits.backbones is not None]
    names = [(source, name) for source in sources for name in source.traits.backbones.names()]  # type: ignore[union-attr]
    found = [(source, name) for source, name in names if _matches(name, pattern)]
    if not found:
        near = nearest(pattern.replace("*", ""), [name for _, name in names])
        hint = f" The nearest name: compete models {near}" if near else " All: compete models"
        raise UserError(f"no model's name matches '{pattern}'.{hint}")
    yield _row(*HEAD)
    for source, name in found[:most]:
        yield _described(source, name)
    if len(found) > most:
        yield f"and {plural(len(found) - most, 'more model')}: --most {len(found)} lists them, a narrower pattern fewer"


def _matches(name: str, pattern: str) -> bool:
    """Return whether a name matches, whatever its separators; a pattern without * or ? may stand anywhere in it."""
    pattern = pattern.replace(" ", "*") if set(pattern) & set("*?[") else f"*{pattern.replace(' ', '*')}*"
    return fnmatchcase(*(text.lower().translate(_SEPARATORS) for text in (name, pattern)))


def _described(source: Component, name: str) -> str:
    backbone: Backbone = source.traits.backbones.describe(name)  # type: ignore[union-attr]
    parameters = f"{backbone.parameters / 1e6:,.1f} M" if backbone.parameters else "?"
    size = f"{backbone.image_px} px" if backbone.image_px else "?"
    return _row(parameters, size, backbone.weights or "none", f'name = "{source.name}", backbone = "{name}"')


def _row(parameters: str, image: str, weights: str, table: str) -> str:
    return f"{parameters:>10}  {image:>7}  {weights:<24}  {table}"
