"""`[search.space]`: which values of which keys are tried, each of them checked before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from compete.config.load import check_config, load_config
from compete.config.variants import SHARED
from compete.errors import ConfigError
from compete.identity import settings_that_affect
from compete.text import unknown_name
from compete.toml.read import toml_value

if TYPE_CHECKING:
    from pathlib import Path

    from compete.config.load import Config

# Runs that differ in these have other rows, folds or members, so that their scores could not be compared.
FIXED_TABLES = (*SHARED, "plugins", "dataset", "variants")
FIXED_KEYS = ("training.seed", "training.fold_seed", "training.seeds", "training.only_folds")
RANGE_KEYS = ("low", "high", "log", "step")
# What other tools call them. Of these, a table of numbers is meant as a range, and not as a table of more keys.
MEANT = {
    **dict.fromkeys(("min", "minimum", "lower", "from", "start"), "low"),
    **dict.fromkeys(("max", "maximum", "upper", "to", "stop", "end"), "high"),
    "log_scale": "log",
}
CHOICES = ("choices", "values")
ALL_SHARE = "all trials share it: same rows, folds, metric and members, or they could not be compared."
EXAMPLE = '"optimizer.lr" = { low = 1e-4, high = 1e-2, log = true }'


@dataclass(frozen=True)
class Choice:
    """A key that takes one of several values, of any TOML type."""

    key: str
    values: tuple[Any, ...]

    def ends(self) -> tuple[Any, ...]:
        """Return the values to check."""
        return self.values

    def suggest(self, trial: Any) -> Any:  # noqa: ANN401 - an optuna Trial, and any TOML value
        """Return the value that a trial tries."""
        named = {toml_value(value): value for value in self.values}
        return named[trial.suggest_categorical(self.key, list(named))]


@dataclass(frozen=True)
class Range:
    """A key that takes a number from `low` to `high`, both included: integers where both are."""

    key: str
    low: float
    high: float
    log: bool
    step: float | None

    def ends(self) -> tuple[Any, ...]:
        """Return the values to check."""
        return (self.low, self.high)

    def suggest(self, trial: Any) -> Any:  # noqa: ANN401 - as in Choice
        """Return the value that a trial tries."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.key, self.low, self.high, log=self.log, step=int(self.step or 1))
        return trial.suggest_float(self.key, self.low, self.high, log=self.log, step=self.step)


Parameter = Choice | Range


def overrides_of(values: Mapping[str, Any]) -> list[str]:
    """Return values by key as overrides `table.key=value`; whole tables first, so that their keys can follow."""
    return [f"{key}={toml_value(value)}" for key, value in sorted(values.items(), key=lambda item: item[0].count("."))]


def read_space(config: Config) -> list[Parameter]:
    """Return what the TOML searches. Raise `ConfigError` with every problem of every value, each tried by itself."""
    if not config.search.space:
        raise ConfigError(f"{config.path}: nothing to search. Write [search.space], such as {EXAMPLE}.")
    found: list[Parameter] = []
    flat = list(_flat(config.search.space))
    count = Counter(key for key, _ in flat)
    problems = [
        f"[search.space] {_quoted(key)}: written {count[key]} times. Keep one." for key in count if count[key] > 1
    ]
    for key, written in flat:
        parameter, problem = _parameter(key, written)
        if parameter is None:
            problems.append(f"[search.space] {_quoted(key)}: {problem}")
            continue
        found.append(parameter)
        problems += _problems_of(config, parameter)
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return found


def load_with_space(file: Path, overrides: Sequence[str]) -> Config:
    """Read and check a TOML, and its `[search.space]` if it has one. Raise `ConfigError` with every problem."""
    config = load_config(file, overrides)
    if config.search.space:
        read_space(config)
    return config


def _flat(space: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys, whether they are written in quotes or not."""
    for name, value in space.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value and not _is_parameter(value):
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def _is_parameter(table: Mapping[str, Any]) -> bool:
    """Return whether a table is meant as one key's range or choices."""
    numbers = {name for name, value in table.items() if isinstance(value, int | float)}
    return bool({*table} & {*RANGE_KEYS} or numbers & {*MEANT} or (len(table) == 1 and {*table} & {*CHOICES}))


def _parameter(key: str, written: object) -> tuple[Parameter | None, str]:
    """Return the parameter of a key, or why there is none."""
    if key.split(".")[0] in FIXED_TABLES or key in FIXED_KEYS:
        return None, ALL_SHARE
    if isinstance(written, list):
        named = [toml_value(value) for value in written]
        if len(set(named)) < 2 or len(set(named)) < len(named):
            return None, f"{toml_value(written)}: list at least two values, each once."
        return Choice(key, tuple(written)), ""
    if not isinstance(written, Mapping):
        return None, f"{toml_value(written)}: write a list of values, or a range such as {{ low = 1, high = 8 }}."
    return _range(key, written)


def _range(key: str, written: Mapping[str, Any]) -> tuple[Parameter | None, str]:
    shown = toml_value(written)
    unknown = [name for name in written if name not in RANGE_KEYS]
    if unknown:
        other = f"{unknown_name('key of a range', unknown[0], RANGE_KEYS)} Such as {{ low = 1, high = 8 }}."
        return None, f"{shown}: {_right_form(key, written) or other}"
    numbers = [written.get(name) for name in ("low", "high")]
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        return None, f"{shown}: low and high must be numbers, such as {{ low = 1, high = 8 }}."
    low, high, log, step = *numbers, written.get("log", False), written.get("step")
    if not isinstance(log, bool):
        return None, f"{shown}: log must be true or false."
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float) or step <= 0):
        return None, f"{shown}: step must be a number above 0."
    whole = isinstance(low, int) and isinstance(high, int)
    if whole and isinstance(step, float):
        return None, f"{shown}: low and high are integers, so step must be one too."
    problem = _range_problem(low, high, log, step)  # type: ignore[arg-type]
    if problem:
        return None, f"{shown}: {problem}"
    return (Range(key, low, high, log, step) if whole else Range(key, float(low), float(high), log, step)), ""  # type: ignore[arg-type]


def _right_form(key: str, written: Mapping[str, Any]) -> str:
    """Return what to write in place of a range in other words, or an empty string; what it says works as typed."""
    name, value = next(iter(written.items()))
    meant = value if name in CHOICES else {MEANT.get(name, name): value for name, value in written.items()}
    found, _ = _parameter(key, meant) if isinstance(meant, list) or {*meant} <= {*RANGE_KEYS} else (None, "")
    return f"write {_quoted(key)} = {toml_value(meant)}." if found else ""


def _range_problem(low: float, high: float, log: bool, step: float | None) -> str:
    if not low < high:
        return "low must be below high."
    if log and step is not None:
        return "log and step exclude each other."
    if log and low <= 0:
        return "low must be above 0 for log = true."
    if step is not None and step > high - low:
        return "step must not exceed high - low."
    if step is not None and (over := (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step))):
        return f"no number of steps leads from low to high. Set high = {Decimal(str(high)) - over}."
    return ""


def _problems_of(config: Config, parameter: Parameter) -> Iterator[str]:
    """Yield the problems of each value by itself, those of all values once; and say if no score depends on any."""
    where, scored, found = f"[search.space] {_quoted(parameter.key)}", [], dict[str, list[str]]()
    values = parameter.ends()
    for value in values:
        try:
            other = configure(config, {parameter.key: value})
        except ConfigError as error:
            for problem in error.problems:
                found.setdefault(_without_origin(problem), []).append(toml_value(value))
            continue
        for fixed in FIXED_KEYS:
            name = fixed.removeprefix("training.")
            if getattr(other.training, name) != getattr(config.training, name):
                found.setdefault(f"changes {fixed}: {ALL_SHARE}", []).append(toml_value(value))
        scored.append(settings_that_affect(other, "training", "inference"))
    for problem, of in found.items():
        yield f"{where}: {problem}" if len(of) == len(values) else f"{where} = {', '.join(of)}: {problem}"
    if len(scored) == len(values) and all(settings == scored[0] for settings in scored):
        yield f"{where}: no member's score depends on it."


def _without_origin(problem: str) -> str:
    """Return a problem without where it came from: the key and the value are said already."""
    return problem[problem.index(": [") + 2 :] if ": [" in problem else problem


def _quoted(key: str) -> str:
    return f'"{key}"'


def configure(config: Config, values: Mapping[str, Any]) -> Config:
    """Return the TOML with a trial's values, without `[search]` and `[[variants]]`. Raise `ConfigError`.

    The file is not read again: it may be edited while a search goes on.
    """
    data = {name: table for name, table in config.written.items() if name not in ("search", "variants")}
    return check_config(data, [*config.overrides, *overrides_of(values)], config.path)


def describe(values: Mapping[str, Any]) -> str:
    """Return values as a person reads them: `optimizer.lr 0.003, model.dropout 0.2`."""
    return ", ".join(f"{key} {_short(value)}" for key, value in values.items()) or "the TOML as it is"


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if isinstance(value, int | str) else toml_value(value)


def value_texts(values: Mapping[str, Any], space: Sequence[Parameter]) -> dict[str, str]:
    """Return each searched key's value as text; empty where a trial has none."""
    return {each.key: _short(values[each.key]) if each.key in values else "" for each in space}
