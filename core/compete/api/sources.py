"""What `run` and `validate` take: a TOML, the same as a dict, a folder of files; overrides as a dict or as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias

from compete.config.load import Config, check_config, load_config
from compete.config.settings import STREAMS
from compete.draft import default_output, write_toml
from compete.draft.output import NEXT
from compete.errors import ConfigError, UserError
from compete.stages.run_folder import STATE
from compete.text import echo
from compete.toml.overrides import apply_overrides
from compete.toml.read import read_toml, toml_value

Source: TypeAlias = "str | PathLike[str] | Mapping[str, Any]"
Overrides: TypeAlias = "Mapping[str, Any] | Iterable[str] | None"
MOST_LEVELS = 20
ELSEWHERE = 'compete.init("{folder}", "other.toml"), then compete.run("other.toml")'
COMMAND_LINE = {
    "--set ": "override ",
    "--name ": "name = ",
    "--fresh": "fresh=True",
    "with -o": "with output=...",
    "--no-doctor": "doctor=False",
}


def read_config(source: Source, overrides: Overrides = None) -> Config:
    """Return the checked configuration. A folder gets a TOML first, which is shown."""
    given = override_list(overrides)
    if isinstance(source, Mapping):
        return check_config(plain_data(source), given)
    if not isinstance(source, str | PathLike):
        raise UserError(f"{type(source).__name__}: give a TOML, a dict or a folder. In a plugin, {STREAMS}.")
    return load_config(toml_of(Path(fspath(source)).expanduser()), given)


def toml_of(path: Path, elsewhere: str = ELSEWHERE) -> Path:
    """Return the TOML itself, the one of a run's folder, or the one that `init` writes for a folder of files.

    A TOML of that name for another folder is refused with what to type instead, `elsewhere`.
    """
    if not path.is_dir():
        return path
    if (path / STATE).is_file():
        return path / "config.toml"
    toml = default_output(path)
    if toml.exists():
        _refuse_other_folder(toml, path, elsewhere)
        _show(f"{toml}: written earlier for {path}, used as it is now; remove it to have it written again")
        return toml
    lines = [line for line in write_toml(path, toml).lines if line != NEXT.format(toml)]
    _show("\n".join([*lines, toml.read_text("utf-8")]))
    return toml


def _refuse_other_folder(toml: Path, folder: Path, elsewhere: str) -> None:
    competition = read_toml(toml)[0].get("competition", {})
    root = competition.get("root") if isinstance(competition, dict) else None
    if not isinstance(root, str) or Path(root).resolve() != folder.resolve():
        raise UserError(
            f"{toml} exists already, for another folder: {root}. Name another file for {folder}: "
            f"{elsewhere.format(folder=folder)}."
        )


def _show(text: str) -> None:
    echo(*text.splitlines())  # at once: a notebook keeps each call as an output of its own


def override_list(overrides: Overrides) -> list[str]:
    """Return overrides as `table.key=value`. Raise `ConfigError` for all that are none."""
    if overrides is None:
        return []
    if isinstance(overrides, str):
        return [overrides]
    if isinstance(overrides, Mapping):
        flat = dict(_flat(overrides))
        unset = [key for key, value in flat.items() if value is None]
        if unset:
            raise ConfigError(f"override {key}=None: an override sets a value; remove the key instead" for key in unset)
        return [f"{key}={_value_text(value)}" for key, value in plain_data(flat, "override ").items()]
    items = list(overrides)
    wrong = [item for item in items if not isinstance(item, str)]
    if wrong:
        raise ConfigError(f"override {item!r}: must be text such as 'training.epochs=3'" for item in wrong)
    return items


def _value_text(value: object) -> str:
    """Write a value as `--set` takes it: text without quotes where it stays text."""
    if isinstance(value, str) and apply_overrides({}, [f"key={value}"]) == {"key": value}:
        return value
    return toml_value(value)


def _flat(overrides: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield `table.key` with its value: `{"training": {"epochs": 3}}` sets what `{"training.epochs": 3}` sets."""
    for name, value in overrides.items():
        if isinstance(value, Mapping) and "." not in str(name):
            yield from ((f"{name}.{key}", item) for key, item in value.items())
        else:
            yield str(name), value


def plain_data(data: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return Python data as TOML has it: paths as text, tuples as lists, NumPy's numbers as Python's.

    A key whose value is None is left out, and so has its default. Raise `ConfigError` for every other value that TOML
    cannot hold.
    """
    problems: list[str] = []
    plain: dict[str, Any] = _plain(data, where, problems, 0)
    if problems:
        raise ConfigError(problems)
    return plain


def _plain(value: Any, where: str, problems: list[str], level: int) -> Any:  # noqa: ANN401 - any data at all
    if level > MOST_LEVELS:
        problems.append(f"{where.strip('.')[:80]}: nested more than {MOST_LEVELS} levels deep")
        return None
    if isinstance(value, Mapping):
        start = f"{where}." if level else where
        kept = {str(key): item for key, item in value.items() if item is not None}
        return {key: _plain(item, start + key, problems, level + 1) for key, item in kept.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}.{number}", problems, level + 1) for number, item in enumerate(value)]
    if isinstance(value, PathLike):
        return fspath(value)
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return _plain(value.tolist(), where, problems, level + 1)
    if isinstance(value, str | bool | int | float):
        return value
    problems.append(
        f"{where} = {str(value)[:80]}: TOML holds text, numbers, true and false, lists and tables, not a "
        f"{type(value).__name__}. A component of your own goes into a plugin file, and is named here."
    )
    return None


@contextmanager
def python_words() -> Iterator[None]:
    """Let the messages of wrong input name arguments of Python in place of the command line's options."""
    try:
        yield
    except UserError as error:
        problems = error.problems
        for option, argument in COMMAND_LINE.items():
            problems = [problem.replace(option, argument) for problem in problems]
        if problems == error.problems:
            raise
        raise type(error)(problems) from None
