"""A search from its TOML to its results: the base, the trials, the table, and the time that all of it took."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

from compete.config.load import load_config
from compete.errors import ConfigError
from compete.scores import read_scores
from compete.search.importance import importances
from compete.search.parallel import helpers
from compete.search.results import importance_lines, next_steps, read_candidates, screen, write_results
from compete.search.select import Selection
from compete.search.space import Choice, Parameter, configure, read_space
from compete.search.storage import import_optuna
from compete.search.trials import Search, run_base, search_folder, work
from compete.store import make_folder, read_json, write_json
from compete.study.dry_run import without_variants
from compete.text import echo, plural
from compete.toml.read import toml_value

CLOCK = "clock.json"


class Clock:
    """The time that a search has taken, in all its commands: it counts while one works."""

    def __init__(self, folder: Path) -> None:
        self.file, self.started = folder / CLOCK, time.time()
        self.before = float(read_json(self.file).get("seconds", 0.0))

    def save(self) -> None:
        """Write the time so far."""
        write_json(self.file, {"seconds": self.before + time.time() - self.started})


def prepare_search(
    file: Path, overrides: Sequence[str], trials: int | None, hours: float | None, interactive: bool = False
) -> Search:
    """Check everything that can be checked before a trial runs. Raise `ConfigError` with every problem."""
    import_optuna()
    if hours is not None and not 0 < hours < math.inf:
        raise ConfigError(f"--hours {hours:g}: must be more than 0")
    config = without_variants(load_config(file, overrides))
    if config.blend.runs or config.blend.files:
        raise ConfigError(f"{config.path}: [blend] trains nothing, so there is nothing to search. Remove it.")
    space = read_space(config)
    base = configure(config, {})
    folder = search_folder(config, base)
    make_folder(folder)
    deadline = math.inf if hours is None else time.time() + hours * 3600 - Clock(folder).before
    higher = bool(base.one("metrics").build().higher_is_better)
    count = trials or config.search.trials
    return Search(config, base, tuple(space), folder, higher, count, deadline, interactive=interactive)


def run_search(search: Search, processes: int = 1) -> Selection:
    """Run the TOML as it is and the trials; write and print what was found."""
    clock = Clock(search.folder)

    def log(line: str) -> None:
        clock.save()
        echo(line)

    echo(
        f"search in {search.folder}: {plural(search.trials, 'trial')} over",
        *(f"  {_line(each)}" for each in search.space),
    )
    base = run_base(search, log)
    scores = read_scores(base.folder)
    log(f"the TOML as it is: {scores.metric} {scores.cv.mean:.4f}")
    with helpers(search, processes - 1, log):
        work(search, log)
    matters = importances(search)
    selection = write_results(search, base, matters)
    clock.save()
    echo("", *screen(search, scores, selection, read_candidates(search, base)))
    echo(*importance_lines(matters), *next_steps(search, selection))
    return selection


def _line(parameter: Parameter) -> str:
    """Return a parameter as one line."""
    if isinstance(parameter, Choice):
        return f"{parameter.key}: {', '.join(map(toml_value, parameter.values))}"
    how = " on a log scale" if parameter.log else f" in steps of {parameter.step}" if parameter.step else ""
    return f"{parameter.key}: {parameter.low} to {parameter.high}{how}"
