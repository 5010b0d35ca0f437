"""What fits into a time: fewer seeds, variants, epochs and folds, in a stated order, until the estimate does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from compete.text import plural

ORDER = "seeds, variants, epochs down to half, folds, refit, epochs down to 1"


@dataclass(frozen=True)
class Unit:
    """A run as its TOML has it: one of several TOMLs or `[[variants]]`. A plan never exceeds it."""

    name: str
    epochs: int
    folds: tuple[int, ...]
    seeds: int
    refit: bool


@dataclass(frozen=True)
class Cost:
    """Seconds of one unit: until its first step, when it is opened again, of a member's epoch, and so on."""

    start: float
    reopen: float
    epoch: float
    refit_epoch: float
    predict: float
    finish: float


@dataclass(frozen=True)
class Plan:
    """What is trained: the epochs of each unit that is, its first folds, at most so many seeds, and the refit."""

    epochs: tuple[int, ...]
    folds: int
    seeds: int
    refit: bool

    def members(self, unit: Unit) -> tuple[int, int]:
        """Return a unit's folds and seeds."""
        return min(self.folds, len(unit.folds)), min(self.seeds, unit.seeds)


@dataclass(frozen=True)
class Done:
    """What is paid already: epochs of members by (unit, fold, seed number), units that are open, and finished units."""

    epochs: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    opened: frozenset[int] = frozenset()
    finished: frozenset[int] = frozenset()


NOTHING = Done()


def full_plan(units: Sequence[Unit]) -> Plan:
    """Return the plan that leaves out nothing."""
    return Plan(
        tuple(unit.epochs for unit in units),
        max(len(unit.folds) for unit in units),
        max(unit.seeds for unit in units),
        any(unit.refit for unit in units),
    )


def plans(units: Sequence[Unit], valid: Callable[[Plan], bool] = lambda _: True) -> Iterator[Plan]:
    """Yield every `valid` plan, the richest first, in `ORDER`; the last one is the smallest."""
    yield from filter(valid, _plans(units))


def _plans(units: Sequence[Unit]) -> Iterator[Plan]:
    plan = full_plan(units)
    most = max(plan.epochs)
    yield plan
    for seeds in range(plan.seeds - 1, 0, -1):
        plan = replace(plan, seeds=seeds)
        yield plan
    for count in range(len(units) - 1, 0, -1):
        plan = replace(plan, epochs=plan.epochs[:count])
        yield plan
    half = -(-most // 2)
    for epochs in range(most - 1, half - 1, -1):
        plan = replace(plan, epochs=_scaled(units, plan, epochs / most))
        yield plan
    for folds in range(plan.folds - 1, 0, -1):
        plan = replace(plan, folds=folds)
        yield plan
    if plan.refit:
        plan = replace(plan, refit=False)
        yield plan
    for epochs in range(half - 1, 0, -1):
        plan = replace(plan, epochs=_scaled(units, plan, epochs / most))
        yield plan


def _scaled(units: Sequence[Unit], plan: Plan, share: float) -> tuple[int, ...]:
    """Return the same share of each unit's epochs; at least one."""
    return tuple(max(1, round(unit.epochs * share)) for unit in units[: len(plan.epochs)])


def seconds(plan: Plan, units: Sequence[Unit], costs: Sequence[Cost], done: Done = NOTHING) -> float:
    """Return the estimated seconds of what a plan still has to do."""
    return sum(
        _unit_seconds(number, plan, unit, cost, done)
        for number, (unit, cost, _) in enumerate(zip(units, costs, plan.epochs, strict=False))
    )


def _unit_seconds(number: int, plan: Plan, unit: Unit, cost: Cost, done: Done) -> float:
    if number in done.finished:
        return 0.0
    folds, seeds = plan.members(unit)
    epochs = plan.epochs[number]
    members = [(number, fold, seed) for seed in range(seeds) for fold in unit.folds[:folds]]
    trained = sum(max(0, epochs - done.epochs.get(member, 0)) for member in members)
    refitted = epochs * seeds if plan.refit and unit.refit else 0
    start = 0.0 if number in done.opened else cost.start
    ends = len(members) * cost.predict + cost.finish
    return start + trained * cost.epoch + refitted * cost.refit_epoch + ends


def describe(plan: Plan, units: Sequence[Unit]) -> Iterator[str]:
    """Yield a line for each unit: what of it the plan trains."""
    for number, unit in enumerate(units):
        if number >= len(plan.epochs):
            yield f"{unit.name}: left out"
            continue
        folds, seeds = plan.members(unit)
        parts = [
            _of(plan.epochs[number], unit.epochs, "epoch"),
            _of(folds, len(unit.folds), "fold"),
            _of(seeds, unit.seeds, "seed"),
        ]
        if unit.refit:
            parts.append("refit" if plan.refit else "no refit")
        yield f"{unit.name}: {', '.join(parts)}"


def _of(count: int, most: int, noun: str) -> str:
    return plural(count, noun) if count == most else f"{count} of {plural(most, noun)}"
