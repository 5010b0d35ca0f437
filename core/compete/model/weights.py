"""Trained weights that a TOML asks for: on this machine, to be fetched, or not to be had; known without a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from compete.config.options import json_text
from compete.errors import CompeteError, PluginError, code_of_others, error_location
from compete.toml.slots import SLOTS

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.config.registry import Weights

LONGEST_LOOK_UP_S = 5.0
_SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([^'\"()\n]+)")
Progress = Callable[[int, int], object]


class WeightsState(NamedTuple):
    """Whether weights can be had: their size in bytes, or why they cannot be had."""

    weights: Weights
    size: int = 0
    reason: str = ""

    @property
    def at_hand(self) -> bool:
        """Whether they are on this machine."""
        return self.weights.path is not None

    def __str__(self) -> str:
        """Return one line: where they are, that they must be fetched, or that they cannot be had."""
        if self.at_hand:
            return f"{self.weights.name}: at hand"
        if self.reason:
            return f"{self.weights.name}: cannot be had: {self.reason}"
        return f"{self.weights.name}: must be fetched ({megabytes(self.size)})"


def megabytes(size: int) -> str:
    """Write a number of bytes: "46.8 MB"."""
    return f"{size / 1e6:,.1f} MB"


def weights_of(component: BoundComponent) -> tuple[Weights, ...] | None:
    """Return the trained weights that a component's options ask for, or None if it says nothing about weights."""
    declared = component.component.traits.weights

    def raised(error: BaseException) -> PluginError:
        owner, name = component.component.owner, component.name
        return PluginError(f"plugin {owner}: '{name}': its weights raised {error!r} at {error_location(error)}")

    with code_of_others(raised):
        return None if declared is None else tuple(declared(**component.options))


def frozen_from_scratch(config: Config) -> list[str]:
    """Return a warning where a backbone is never trained that has no trained weights either."""
    model = config.one("models")
    if not config.finetune.head_only or weights_of(model) != ():
        return []
    return [f"[finetune] freezes the backbone of '{model.name}', which has no trained weights: its features are random"]


def weights_state(weights: Weights, seconds: float = LONGEST_LOOK_UP_S) -> WeightsState:
    """Find out whether weights can be had; their source is asked for the size, and has a few seconds to answer."""
    if weights.path is not None:
        return WeightsState(weights, weights.path.stat().st_size)
    try:
        return WeightsState(weights, size=_within(seconds, weights.size))
    except Exception as error:  # any library's
        return WeightsState(weights, reason=_reason(error))


def obtain_weights(
    config: Config, component: BoundComponent, try_bare: Callable[[], object], progress: Progress
) -> None:
    """Fetch the weights that a component needs and this machine lacks, once `try_bare` has found no mistake.

    Raise `CompeteError` for those that cannot be had, with the command to type.
    """
    missing = [weights for weights in weights_of(component) or () if weights.path is None]
    states = [weights_state(weights) for weights in missing]
    problems = [_how_to_get(config, component, state) for state in states if state.reason]
    if problems:
        raise CompeteError("\n".join(problems))
    if missing:
        try_bare()
    for weights in missing:
        fetch(weights, progress)


def fetch(weights: Weights, progress: Progress) -> Path:
    """Fetch weights and return their file. Raise `CompeteError` with the reason if that fails."""
    try:
        return weights.fetch(progress)
    except CompeteError:
        raise
    except Exception as error:  # any library's
        again = "What arrived is kept: the same command continues there."
        raise CompeteError(
            f"{weights.name}: could not be fetched from {weights.source}: {_reason(error)}. {again}"
        ) from error


def use_of(component: BoundComponent, weights: Weights, file: Path) -> str:
    """Return the `--set` that makes a component use a local file of weights."""
    return f"--set {quoted(f'{SLOTS[component.component.kind].table}.{weights.option}={file.as_posix()}')}"


def quoted(argument: str) -> str:
    """Return an argument as a shell takes it."""
    return f'"{argument}"' if set(argument) & set(" []()*?;&|$'#~{}") else argument


def _how_to_get(config: Config, component: BoundComponent, state: WeightsState) -> str:
    """Explain that weights cannot be had, and the commands with which a run goes on; each works as typed."""
    kind, weights = component.component.kind, state.weights
    toml = quoted(config.path.as_posix()) if config.path.name else "FILE.toml"
    chosen = "".join(f" --set {quoted(override)}" for override in config.overrides)
    use = use_of(component, weights, Path("weights") / weights.file_name)
    scratch = "".join(f"; or train from scratch: `{text}`" for text in _without(component))
    return (
        f"[{SLOTS[kind].table}] name = {json_text(component.name)}: the trained weights {weights.name} are not on this "
        f"machine and cannot be fetched: {state.reason}. Where there is a network, type `compete weights "
        f"{toml}{chosen} --to weights`, copy that folder here, and add `{use}`{scratch}."
    )


def _without(component: BoundComponent) -> Iterator[str]:
    """Yield the `--set` arguments of a component without trained weights."""
    table, bare = SLOTS[component.component.kind].table, component.component.traits.without_weights
    changed = {key: value for key, value in bare.items() if component.options.get(key) != value}
    if changed:
        yield " ".join(f"--set {table}.{key}={json_text(value)}" for key, value in changed.items())


def _within(seconds: float, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call returns
    """Return what a call returns within some seconds: a name server, or many addresses, keep to no socket's timeout."""
    answers: SimpleQueue[tuple[Any, Exception | None]] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put((call(), None))
        except Exception as error:  # any library's, raised again below
            answers.put((None, error))

    Thread(target=ask, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except Empty:
        raise CompeteError(f"no answer within {seconds:g} seconds") from None
    if error is not None:
        raise error
    return answer


def _reason(error: BaseException) -> str:
    """Return the innermost reason that a library's error repeats, or its first sentence."""
    if found := _SYSTEM_ERROR.findall(str(error)):
        return str(found[-1])
    first = str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")
    return first or type(error).__name__
