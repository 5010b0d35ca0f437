"""Fetch the trained weights that a TOML asks for, and copy them for a machine without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from compete.errors import CompeteError, UserError
from compete.identity import digest_file
from compete.model.weights import fetch, megabytes, quoted, use_of, weights_of, weights_state
from compete.store import make_folder, write_atomic
from compete.toml.slots import SLOTS

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.config.registry import Weights


def weights_lines(config: Config, to: Path | None, progress: Callable[[int, int], object]) -> Iterator[str]:
    """Fetch what is not here and yield what was done, a line each; with `to`, copy all there and yield how to use it.

    Raise `CompeteError` for weights that cannot be had, after those that can, and for damaged ones.
    """
    if to is not None and to.exists() and not to.is_dir():
        raise UserError(f"--to {quoted(to.as_posix())}: a file, not a folder. Name another folder.")
    each = [variant.config for variant in config.variants] or [config]  # variants take the place of the TOML itself
    asked = [pair for own in each for pair in _asked_for(own)]
    found = list({(weights.name, weights.file_name): (component, weights) for component, weights in asked}.values())
    silent = [line for own in each for line in _silent(own, _toml(config), list(_asked_for(own)))]
    yield from dict.fromkeys(silent)
    problems, used = [], []
    for component, weights in found:
        try:
            file = yield from _obtained(weights, progress)
            if to is not None:
                yield from _copied(file, to / weights.file_name)
                used.append(use_of(component, weights, to / weights.file_name))
        except CompeteError as error:
            problems.append(str(error))
    if problems:
        raise CompeteError("\n".join(problems))
    if used and config.variants:
        names = ", ".join(each.removeprefix("--set ") for each in used)
        yield f"without a network, take {to} along, and set in each of [[variants]] what it starts from: {names}"
    elif used:
        chosen = [f"--set {quoted(override)}" for override in config.overrides]
        yield f"without a network, take {to} along: compete run {' '.join([_toml(config), *chosen, *used])}"


def _asked_for(config: Config) -> Iterator[tuple[BoundComponent, Weights]]:
    for components in config.components.values():
        for component in components:
            yield from ((component, weights) for weights in weights_of(component) or ())


def _silent(config: Config, toml: str, found: list[tuple[BoundComponent, Weights]]) -> Iterator[str]:
    """Say that nothing is asked for, and which model does not say."""
    model = config.one("models")
    where = f'{toml}: [{SLOTS["models"].table}] name = "{model.name}"'
    if weights_of(model) is None:
        yield f"{where} does not say which trained weights it needs; it may fetch some when it is built"
    elif not found:
        yield f"{where} asks for no trained weights: nothing to fetch"


def _obtained(weights: Weights, progress: Callable[[int, int], object]) -> Generator[str, None, Path]:
    """Yield where weights are, or that they were fetched; return their file."""
    state = weights_state(weights)
    if weights.path is not None:
        if weights.digest and not digest_file(weights.path).startswith(weights.digest):
            raise CompeteError(f"{weights.path}: damaged: its SHA-256 is wrong. Remove it, and type the same again.")
        yield f"{weights.name}: already here, {megabytes(state.size)}: {weights.path}"
        return weights.path
    if state.reason:
        raise CompeteError(f"{weights.name}: cannot be fetched from {weights.source}: {state.reason}")
    yield f"{weights.name}: fetching {megabytes(state.size)} from {weights.source}"
    file = fetch(weights, progress)
    yield f"{weights.name}: fetched, kept in {file}"
    return file


def _copied(file: Path, copy: Path) -> Iterator[str]:
    """Copy a file of weights, unless it is there already; another file of that name is not replaced."""
    if copy.exists() and digest_file(copy) == digest_file(file):
        yield f"{copy}: already here"
        return
    if copy.exists():
        raise UserError(f"{copy}: another file has this name. Remove it, or choose another folder with --to.")
    make_folder(copy.parent)
    with file.open("rb") as source:
        write_atomic(copy, lambda target: shutil.copyfileobj(source, target))
    yield f"{copy}: copied"


def _toml(config: Config) -> str:
    return quoted(config.path.as_posix())
