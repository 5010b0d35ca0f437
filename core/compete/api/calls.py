"""What a notebook or a script calls: `run`, `load_run`, `init` and `validate`, as `compete.run(...)`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from compete.api.caller import state_kept
from compete.api.result import Result
from compete.api.sources import Overrides, Source, override_list, python_words, read_config
from compete.blending.blend_runs import AUTO, blend_data, blend_runs
from compete.budget.timed_run import run_within
from compete.draft import InitResult, write_toml
from compete.errors import UserError
from compete.leaderboard.records import find_candidate
from compete.scores import SCORES_FILE, read_scores
from compete.session import RunOptions
from compete.stages.run_folder import check_format, read_state

__all__ = ["InitResult", "Result", "blend", "init", "load_run", "run", "validate"]


def run(
    source: Source,
    overrides: Overrides = None,
    *,
    name: str | None = None,
    fresh: bool = False,
    doctor: bool = True,
    hours: float | None = None,
) -> Result:
    """Train the folds, ensemble them, write a checked submission, and return the finished run.

    `source` is a TOML, the same as a dict, or a folder of images and tables: for that a TOML is written into the
    current folder and shown. `overrides` are `{"training.epochs": 3}` or `["training.epochs=3"]`. Relative paths are
    relative to the current folder. `name` chooses the run's folder, `fresh` a new one that reuses no member;
    `doctor` looks for classic mistakes first; `hours` cut epochs, folds, seeds and variants to what fits.

    A run that was stopped resumes at the same call. Raise `CompeteError` with what to do about it.
    """
    with python_words(), state_kept():
        config = read_config(source, overrides)
        return Result.of(run_within([config], hours, name, fresh, RunOptions(sys.stdout.isatty(), doctor)))


def blend(
    runs: Sequence[Result | str | PathLike[str]],
    method: str = AUTO,
    overrides: Overrides = None,
    *,
    files: Mapping[str, Sequence[str]] | None = None,
    name: str | None = None,
) -> Result:
    """Blend finished runs into a new one, joined by id, and return it; the first one's rows, folds and metric count.

    `method` is an ensemble; "auto" judges all of them on folds that they were not fitted on, and takes the best that is
    clearly better than the mean. `files` are predictions from elsewhere: `{"team": ["oof.csv", "test.csv"]}`.
    """
    with python_words(), state_kept():
        folders = [run.folder if isinstance(run, Result) else _run_folder(run) for run in runs]
        data = blend_data(folders, files or {}, method)
        return Result.of(blend_runs(data, override_list(overrides), method=method, name=name))


def validate(source: Source, overrides: Overrides = None) -> tuple[str, ...]:
    """Check a TOML, or the same as a dict, without its data, and return notes on it.

    Raise `ConfigError` with every problem at once.
    """
    with python_words():
        return read_config(source, overrides).notes


def init(
    folder: str | PathLike[str], output: str | PathLike[str] | None = None, plugins: Sequence[str | PathLike[str]] = ()
) -> InitResult:
    """Inspect a folder of images and tables, and write a TOML that runs, with the reason for each choice.

    `output` is by default the folder's name with `.toml`, in the current folder. `plugins` are files with datasets.
    """
    with python_words(), state_kept():
        return write_toml(Path(folder), None if output is None else Path(output), [Path(file) for file in plugins])


def load_run(folder: str | PathLike[str], *, device: str | None = None) -> Result:
    """Return a finished run by its folder or name; `device` ("cpu", "cuda") predicts elsewhere than it was trained."""
    place = _run_folder(folder)
    state = read_state(place)
    if state is None or not (place / SCORES_FILE).is_file():
        hint = f" Its runs: {', '.join(runs)}." if (runs := _runs_below(place)) else ""
        raise UserError(f"{place}: not the folder of a finished run, such as submissions/mask/run-001.{hint}")
    check_format(place, state)
    scores = read_scores(place)
    return Result(place, scores, (), scores.warnings, device)


def _run_folder(run: str | PathLike[str]) -> Path:
    """Return a run's folder, which a bare name such as "run-001" means as on the command line."""
    folder = Path(run).expanduser()
    if folder.exists() or len(folder.parts) != 1:
        return folder
    candidate = find_candidate(str(run))  # raises with the nearest name
    return folder if candidate.folder is None else candidate.folder


def _runs_below(folder: Path) -> list[str]:
    """Return the finished runs in a folder, which may be that of a competition or of all."""
    return sorted(str(file.parent) for depth in ("*", "*/*") for file in folder.glob(f"{depth}/{SCORES_FILE}"))[-5:]
