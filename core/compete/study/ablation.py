"""An ablation: what the CV loses without one thing, on the same folds and seeds, for each thing in turn."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compete.config.load import check_config
from compete.errors import CompeteError, ConfigError, PluginRuntimeError, UserError, code_of_others, error_location
from compete.identity import config_key, digest, read_sources, settings_that_affect
from compete.scores import read_scores
from compete.stages.run_folder import competition_folder, find_run
from compete.stages.runner import run_competition
from compete.store import write_json, write_text
from compete.study.differences import CONFIDENCE, Difference, compare, validated_ratio
from compete.text import duration, plural
from compete.toml.read import read_toml

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.session import Run

# Without these, or with other ones, two runs would not validate the same members on the same rows by the same metric.
COMPARED_BY = ("plugins", "competition", "dataset", "target", "folds", "metric", "training.seed", "training.seeds",
               "training.only_folds")  # fmt: skip


@dataclass(frozen=True)
class Switch:
    """Something to switch off: its name, and the keys of the TOML that are then left out."""

    label: str
    keys: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Outcome:
    """A run without something, against the base."""

    off: str
    keys: tuple[str, ...]
    run: str
    score: float | None
    oof: float | None
    difference: Difference


def augmentation_switches(config: Config) -> tuple[list[Switch], list[str]]:
    """Return each random transform and batch transform, and all of them; and notes on what cannot be switched off."""
    found: list[Switch] = []
    notes: list[str] = []
    for number, bound in enumerate(config.many("transforms")):
        place = ("transforms", str(number))
        listed = bound.options.get("random")
        if isinstance(listed, list | tuple) and all(isinstance(item, dict) for item in listed):
            found += [
                Switch(str(item.get("name", bound.name)), ((*place, "random", str(n)),))
                for n, item in enumerate(listed)
            ]
            continue
        transform = _built(bound)
        if transform.random is not None and transform.fixed is None:
            found.append(Switch(bound.name, (place,)))
        elif transform.random is not None:
            notes.append(f"[[transforms]] {bound.name} has a fixed part too, which every image needs: kept")
    for number, bound in enumerate(config.many("batch_transforms")):
        found.append(Switch(bound.name, (("batch_transforms", str(number)),)))
    if len(found) > 1:
        found.append(Switch("all", tuple(key for switch in found for key in switch.keys)))
    return found, notes


def _built(bound: BoundComponent) -> Any:  # noqa: ANN401 - a Transform
    def raised(error: BaseException) -> PluginRuntimeError:
        return PluginRuntimeError(f"[[transforms]] {bound.name} raised {error!r} at {error_location(error)}")

    with code_of_others(raised):
        return bound.build()


def named_switches(off: Sequence[str]) -> list[Switch]:
    """Return a switch for each dotted key. Raise `UserError` for those without which runs could not be compared."""
    problems = []
    for key in off:
        parts = key.split(".")
        if not all(parts):
            problems.append(f"--off {key}: must be a table or a dotted key, such as sampler or transforms.0.random.1")
        elif parts[0] in COMPARED_BY or ".".join(parts[:2]) in COMPARED_BY or key == "training":
            problems.append(f"--off {key}: the runs are compared by it: same rows, folds, metric and members")
    if problems:
        raise UserError(problems)
    return [Switch(key, (tuple(key.split(".")),)) for key in dict.fromkeys(off)]


def variants(config: Config, switches: Sequence[Switch]) -> list[Config]:
    """Return the configuration without each. Raise `ConfigError` for all that cannot be switched off."""
    written, lines = read_toml(config.path)
    found: list[Config] = []
    problems: list[str] = []
    for switch in switches:
        try:
            other = check_config(written, config.overrides, config.path, lines, switch.keys)
        except ConfigError as error:
            problems += [f"without {switch.label}: {problem}" for problem in error.problems]
            continue
        if _scored_by(other) == _scored_by(config):
            problems.append(f"without {switch.label}: no member's score depends on it, so there is nothing to compare")
        found.append(other)
    if problems:
        raise ConfigError(problems)
    return found


def _scored_by(config: Config) -> dict[str, Any]:
    return settings_that_affect(config, "training", "inference")


def run_name(switch: Switch | None, config: Config) -> str | None:
    """Return the name of a new run folder; None where the configuration has a run already."""
    sources = read_sources(config)
    if find_run(config, sources) is not None:
        return None
    what = "base" if switch is None else "no-" + re.sub(r"[^A-Za-z0-9]+", "-", switch.label).strip("-")[:60]
    return f"ablate-{what}-{config_key(config, sources)[:6]}"


def finished_seconds(config: Config) -> float | None:
    """Return the training time of a member of a finished run, or None if the configuration has none."""
    folder = find_run(config, read_sources(config))
    try:
        scores = read_scores(folder) if folder is not None else None
    except CompeteError:
        return None
    return None if scores is None else scores.seconds / max(1, len(scores.members))


def untrained(base: Config, others: Sequence[Config]) -> list[Config]:
    """Return the configurations whose members must be trained: not finished, nor the base with other predictions."""
    trained = settings_that_affect(base, "training")
    new = [other for other in others if settings_that_affect(other, "training") != trained]
    return [config for config in (base, *new) if finished_seconds(config) is None]


def ablate(
    config: Config,
    switches: Sequence[Switch],
    log: Callable[[str], None],
    run: Callable[[Config, str | None], Run] = run_competition,
) -> tuple[Run, list[Outcome]]:
    """Run the base and then the configuration without each; resume where an earlier try stopped.

    Results are written after each run, beside the runs. Raise `ConfigError` if folds are not the same.
    """
    others = variants(config, switches)
    base = run(config, run_name(None, config))
    outcomes: list[Outcome] = []
    for number, (switch, other) in enumerate(zip(switches, others, strict=True), 1):
        log(f"[{number}/{len(switches)}] without {switch.label}")
        done = run(other, run_name(switch, other))
        if not np.array_equal(done.dataset.folds, base.dataset.folds):
            raise ConfigError(f"without {switch.label}: the folds are others, so the runs cannot be compared")
        outcomes.append(_outcome(switch, base, done))
        write_results(config, base, switches, outcomes)
    return base, outcomes


def _outcome(switch: Switch, base: Run, done: Run) -> Outcome:
    theirs, ratio = read_scores(done.folder), validated_ratio(base.dataset.folds)
    difference = compare(run_scores(base), run_scores(done), ratio, theirs.higher_is_better)
    keys = tuple(".".join(key) for key in switch.keys)
    return Outcome(switch.label, keys, done.folder.name, theirs.cv.mean, theirs.cv.oof, difference)


def run_scores(run: Run) -> dict[tuple[int, int], float | None]:
    """Return the scores of a finished run's members, by fold and seed."""
    places = {member.name: (member.fold, member.seed) for member in run.members}
    return {places[name]: score for name, score in read_scores(run.folder).cv.folds.items()}


def results_path(config: Config, switches: Sequence[Switch]) -> Path:
    """Return where the results are written, without an extension."""
    key = digest(config_key(config, read_sources(config)), [asdict(switch) for switch in switches])
    return competition_folder(config) / f"ablate-{key[:6]}"


def write_results(config: Config, base: Run, switches: Sequence[Switch], outcomes: Sequence[Outcome]) -> None:
    """Write the results so far as JSON and CSV."""
    import pandas as pd

    scores = read_scores(base.folder)
    first = {"off": "", "run": base.folder.name, "score": scores.cv.mean, "oof": scores.cv.oof}
    path = results_path(config, switches)
    data = {
        "file": str(config.path),
        "metric": scores.metric,
        "higher_is_better": scores.higher_is_better,
        "confidence": CONFIDENCE,
        "base": {**first, "members": dict(scores.cv.folds)},
        "without": [asdict(outcome) for outcome in outcomes],
        "left": [switch.label for switch in switches[len(outcomes) :]],
    }
    write_json(path.with_suffix(".json"), data)
    rows = [first, *map(_row, outcomes)]
    write_text(path.with_suffix(".csv"), pd.DataFrame(rows).to_csv(index=False))


def _row(outcome: Outcome) -> dict[str, object]:
    found = outcome.difference
    numbers = {"difference": found.mean, "standard_error": found.standard_error, "low": found.low, "high": found.high}
    start = {"off": outcome.off, "run": outcome.run, "score": outcome.score, "oof": outcome.oof}
    return {**start, **numbers, **found.units, "verdict": outcome.difference.verdict, "keys": " ".join(outcome.keys)}


def table(base_score: float | None, outcomes: Sequence[Outcome]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of the table for the terminal, its head first."""
    yield "without", "verdict on it", "CV", "difference", "std. error"
    yield "(base)", "", _number(base_score), "", ""
    for outcome in outcomes:
        found = outcome.difference
        mean = "-" if found.mean is None else f"{found.mean:+.4f}"
        yield outcome.off, found.verdict, _number(outcome.score), mean, _number(found.standard_error)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def cost(config: Config, switches: Sequence[Switch], others: Sequence[Config], members: int) -> str:
    """Return what an ablation will cost, before it starts."""
    new = untrained(config, others)
    trained = len(new) * members
    seconds = finished_seconds(config)
    text = (
        f"{plural(1 + len(switches), 'run')}, the base and {len(switches)} without something: "
        f"{plural(trained, 'member')} to train of {(1 + len(switches)) * members}"
    )
    if seconds is None:
        return f"{text}; the base, which comes first, tells how long one takes"
    return f"{text}, about {duration(trained * seconds)} at the base's {duration(seconds)} a member"
