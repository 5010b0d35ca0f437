"""`compete run --hours`: measure, choose a plan, follow it, and replace it where it goes wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from compete.blending.entry import run_entries
from compete.budget.ledger import PLAN_FILE, RESERVE, Ledger, ledger_from, smallest
from compete.budget.measure import measure
from compete.budget.plan import ORDER, Cost, Plan, Unit, describe, full_plan, plans, seconds
from compete.budget.watch import ReplanError, Watch
from compete.errors import ConfigError
from compete.identity import config_key, digest, read_sources
from compete.session import DEFAULT_OPTIONS, RunOptions
from compete.stages.run_folder import (
    competition_folder,
    find_run,
    forget_attempt,
    read_state,
    run_folders,
    update_state,
)
from compete.store import folder_lock, read_json, write_text
from compete.text import duration, echo
from compete.toml.read import write_toml_text

if TYPE_CHECKING:
    from pathlib import Path

    from compete.config.load import Config, Variant
    from compete.session import RunRows

CUT = ("epochs", "only_folds", "seeds", "refit")
Measure = Callable[["Config", str], tuple[Unit, Cost]]


def run_within(
    configs: Sequence[Config],
    hours: float | None,
    name: str | None = None,
    fresh: bool = False,
    options: RunOptions = DEFAULT_OPTIONS,
    *,
    clock: Callable[[], float] = time.monotonic,
    measured: Measure = measure,
) -> RunRows:
    """Run TOMLs to a checked submission, within some hours of work if given; the same call resumes the same plan.

    Raise `ConfigError` before anything starts if not even the smallest plan fits, with the hours that it needs.
    """
    if hours is None:
        return run_entries(configs, name, fresh, options)
    _refuse(configs, hours)
    ledger = _resumed(configs, hours, clock) if not fresh else None
    if ledger is None:
        ledger = _planned(configs, hours, clock, measured)
    elif ledger.before is not None:
        _adopt_all(configs, ledger)
    echo(*(f"plan: {line}" for line in describe(ledger.plan, ledger.units)))
    while True:
        given = apply_plan(configs, ledger.units, ledger.plan)
        watch = Watch(ledger, [unit for config in given for unit in units_of(config)], _note(ledger, hours))
        try:
            run = run_entries(given, _free(given, name), fresh, replace(options, watch=watch))
        except ReplanError as error:
            ledger.change(error.plan)
            echo(_why(ledger), *(f"plan: {line}" for line in describe(ledger.plan, ledger.units)))
            _adopt_all(configs, ledger)
            fresh = False
            continue
        ledger.tick()
        ledger.done = True
        ledger.save()
        echo(_ended(ledger))
        return run


def _refuse(configs: Sequence[Config], hours: float) -> None:
    """Raise `ConfigError` for hours that are none, and for TOMLs whose members do not train one after the other."""
    problems = [] if 0 < hours < math.inf else [f"--hours {hours:g}: must be more than 0"]
    for config in configs:
        if config.blend.runs or config.blend.files:
            problems.append(f"{config.path}: [blend] trains nothing. Run it without --hours.")
        for unit in units_of(config):
            executor = unit.one("executors").name
            if executor != "local":
                problems.append(
                    f'{config.path}: [executor] name = "{executor}": --hours plans members one after the other. '
                    'Set "local", or run without --hours.'
                )
    if problems:
        raise ConfigError(dict.fromkeys(problems))


def units_of(config: Config) -> tuple[Config, ...]:
    """Return the configurations that train: those of the variants, or the TOML's own."""
    return tuple(variant.config for variant in config.variants) or (config,)


def _names(configs: Sequence[Config]) -> list[str]:
    return [name for config in configs for name in ([v.name for v in config.variants] or [config.path.stem or "run"])]


def _planned(configs: Sequence[Config], hours: float, clock: Callable[[], float], measured: Measure) -> Ledger:
    """Measure, and choose the richest plan that fits. Raise `ConfigError` if none does."""
    started, limit = clock(), hours * 3600
    training = [unit for config in configs for unit in units_of(config)]
    found = [measured(config, name) for config, name in zip(training, _names(configs), strict=True)]
    units, costs = tuple(unit for unit, _ in found), [cost for _, cost in found]
    valid = _valid(training, units)
    spent = clock() - started
    fits = (plan for plan in plans(units, valid) if spent + seconds(plan, units, costs) * RESERVE <= limit)
    plan = next(fits, None)
    if plan is None:
        least, needed = smallest(units, costs, valid)
        hours_needed = math.ceil((needed + spent) / 36) / 100
        what = "; ".join(describe(least, units))
        raise ConfigError(
            f"--hours {hours:g}: the smallest plan takes about {duration(needed + spent)} ({what}). "
            f"Set --hours {hours_needed:g} or more."
        )
    for unit, cost in zip(units, costs, strict=True):
        echo(
            f"measured: {unit.name}: {duration(cost.epoch)} an epoch, {duration(cost.predict)} to predict a member, "
            f"{duration(cost.start)} to start; {duration(cost.finish)} for blend and report are estimated"
        )
    everything = seconds(full_plan(units), units, costs)
    echo(
        f"all of it takes about {duration(everything)}, this plan {duration(seconds(plan, units, costs))} of "
        f"{duration(limit)}; cut in this order: {ORDER}"
    )
    ledger = Ledger(_key(configs, hours), limit, units, costs, plan, valid, clock, spent)
    ledger.tick()
    return ledger


def _valid(training: Sequence[Config], units: Sequence[Unit]) -> Callable[[Plan], bool]:
    """Return whether a plan suits the TOMLs: `[finetune] schedule` names epochs, and no two become the same run."""
    alike = list(_alike(training))

    def members(plan: Plan, number: int) -> tuple[object, ...]:
        folds, seeds = plan.members(units[number])
        return plan.epochs[number], units[number].folds[:folds], seeds, plan.refit and units[number].refit

    def valid(plan: Plan) -> bool:
        scheduled = any(
            list(config.finetune.conflicts(epochs))
            for config, epochs in zip(training, plan.epochs, strict=False)
            if epochs != config.training.epochs
        )
        twice = any(b < len(plan.epochs) and members(plan, a) == members(plan, b) for a, b in alike)
        return not scheduled and not twice

    return valid


def _alike(training: Sequence[Config]) -> Iterator[tuple[int, int]]:
    """Yield pairs of units that differ in nothing but what a plan cuts."""
    whole = [config.resolved() for config in training]
    rest = [{**each, "training": {k: v for k, v in each["training"].items() if k not in CUT}} for each in whole]
    for a, b in combinations(range(len(training)), 2):
        if rest[a] == rest[b] and whole[a] != whole[b]:
            yield a, b


def _key(configs: Sequence[Config], hours: float) -> str:
    return digest(hours, [config_key(config, read_sources(config)) for config in configs])


def _resumed(configs: Sequence[Config], hours: float, clock: Callable[[], float]) -> Ledger | None:
    """Return the newest plan of the same command, or None."""
    key = _key(configs, hours)
    folders = [
        folder
        for folder in run_folders(competition_folder(configs[0]))
        if read_json(folder / PLAN_FILE).get("key") == key
    ]
    if not folders:
        return None
    newest = max(folders, key=lambda folder: read_json(folder / PLAN_FILE)["spent"])
    ledger = ledger_from(read_json(newest / PLAN_FILE), clock)
    ledger.valid = _valid([unit for config in configs for unit in units_of(config)], ledger.units)
    ledger.tick()
    echo(f"resuming the plan of {newest}: {duration(ledger.spent)} of {duration(ledger.limit)} spent")
    return ledger


def apply_plan(configs: Sequence[Config], units: Sequence[Unit], plan: Plan) -> list[Config]:
    """Return the TOMLs as a plan has them; what it leaves as it is, and all else, stays."""
    found: list[Config] = []
    number = 0
    for config in configs:
        kept: list[Variant] = []
        for variant in config.variants:
            if number < len(plan.epochs):
                kept.append(_planned_variant(variant, units[number], plan, plan.epochs[number]))
            number += 1
        if len(kept) > 1:
            found.append(replace(config, variants=tuple(kept)))
        elif kept:
            found.append(kept[0].config)
        if not config.variants:
            if number < len(plan.epochs):
                changes = _changes(config, units[number], plan, plan.epochs[number])
                found.append(replace(config, training=config.training.model_copy(update=changes)))
            number += 1
    return found


def _planned_variant(variant: Variant, unit: Unit, plan: Plan, epochs: int) -> Variant:
    changes = _changes(variant.config, unit, plan, epochs)
    config = replace(variant.config, training=variant.config.training.model_copy(update=changes))
    own = variant.settings.get("training", {})
    return replace(variant, settings={**variant.settings, "training": {**own, **changes}}, config=config)


def _changes(config: Config, unit: Unit, plan: Plan, epochs: int) -> dict[str, Any]:
    """Return the keys of `[training]` that a plan changes; what it leaves as it is stays as the TOML has it."""
    folds, seeds = plan.members(unit)
    changes: dict[str, Any] = {}
    if epochs != unit.epochs:
        changes["epochs"] = epochs
    if folds != len(unit.folds):
        changes["only_folds"] = list(unit.folds[:folds])
    if seeds != unit.seeds:
        changes["seeds"] = seeds
    if config.training.refit and not plan.refit:
        changes["refit"] = False
    return changes


def _adopt_all(configs: Sequence[Config], ledger: Ledger) -> None:
    """Give the run folders of the plan before to those of the new one: finished members stay where they are."""
    assert ledger.before is not None
    before, after = (apply_plan(configs, ledger.units, plan) for plan in (ledger.before, ledger.plan))
    for old, new in zip(before, after, strict=False):
        for one, other in zip(units_of(old), units_of(new), strict=False):
            _adopt(one, other, ledger.key)
        if new.variants:
            _adopt(old, new, ledger.key)
        elif old.variants and (folder := find_run(old, read_sources(old))):
            with suppress(OSError):
                forget_attempt(folder)


def _adopt(old: Config, new: Config, key: str) -> None:
    """Make the plan's run folder of a configuration that of another, which its members suit."""
    sources = read_sources(old)
    if config_key(old, sources) == config_key(new, sources) or find_run(new, sources):
        return
    folder = find_run(old, sources)
    if folder is None or (_is_finished(folder) and read_json(folder / PLAN_FILE).get("key") != key):
        return
    with folder_lock(folder):
        write_text(folder / "config.toml", write_toml_text(new.resolved()))
        update_state(folder, config=config_key(new, sources), finished=False)


def _is_finished(folder: Path) -> bool:
    state = read_state(folder)
    return state is not None and state.finished


def _free(given: Sequence[Config], name: str | None) -> str | None:
    """Return the name to run by: that of the folder where the only run is already, which a variant's may be."""
    if len(given) > 1 or given[0].variants:
        return name
    folder = find_run(given[0], read_sources(given[0]))
    is_variant = folder is not None and name is not None and folder.name.startswith(f"{name}-")
    return folder.name if folder is not None and is_variant else name


def _note(ledger: Ledger, hours: float) -> str:
    """Return what of the TOML was left out, for the results; nothing where all of it is trained."""
    if ledger.plan == full_plan(ledger.units):
        return ""
    return f"--hours {hours:g}: {'; '.join(describe(ledger.plan, ledger.units))}. The CV is over these folds"


def _why(ledger: Ledger) -> str:
    left, need = duration(max(0.0, ledger.left)), ledger.need(ledger.plan)
    late = f"; it will be late by about {duration(need - ledger.left)}" if need > ledger.left else ""
    return f"the plan changes: {left} left, and the new one needs about {duration(need)}{late}"


def _ended(ledger: Ledger) -> str:
    took = f"took {duration(ledger.spent)} of {duration(ledger.limit)}"
    return f"{took}, {duration(-ledger.left)} over the budget" if ledger.left < 0 else took
