"""The time of a run: what is spent, what a plan still needs, and which plan fits where that is too much."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, product
from pathlib import Path
from typing import Any

from compete.budget.plan import Cost, Done, Plan, Unit, plans, seconds
from compete.store import write_json

PLAN_FILE = "plan.json"
RESERVE = 1.1  # of an estimate, before anything is measured in training
GROWTH = 1.25  # a plan is replaced by a richer one only if that is worth the epoch that it throws away
Valid = Callable[[Plan], bool]
MemberKey = tuple[int, int, int]


@dataclass
class Ledger:
    """What a plan is made from, what was spent and done, and the folders that hold a copy of it.

    Time counts while a command works, also that of an epoch that is interrupted; the pause is not counted. Once all is
    `done`, the time starts again.
    """

    key: str
    limit: float
    units: tuple[Unit, ...]
    costs: list[Cost]
    plan: Plan
    valid: Valid = lambda _: True
    clock: Callable[[], float] = time.monotonic
    spent: float = 0.0
    calibrated: bool = False
    before: Plan | None = None
    done: bool = False
    folders: dict[int, Path] = field(default_factory=dict)  # by unit
    epochs: dict[MemberKey, int] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    _last: float | None = None

    def tick(self) -> float:
        """Count the time since the last call as spent, and return it."""
        before, self._last = self._last, self.clock()
        passed = 0.0 if before is None else self._last - before
        self.spent += passed
        return passed

    @property
    def left(self) -> float:
        """The seconds that are left; negative when it is late."""
        return self.limit - self.spent

    def change(self, plan: Plan) -> None:
        """Go on with another plan: members with other epochs begin from scratch, and runs are opened again."""
        if not self.same_training(plan):
            self.epochs.clear()
        if not self._same_members(plan):
            self.finished.clear()
        self.before, self.plan = self.plan, plan
        self.opened.clear()
        self.save()

    def finish(self, unit: int) -> None:
        """Note that a unit is finished."""
        folds, seeds = self.plan.members(self.units[unit])
        for member in product([unit], self.units[unit].folds[:folds], range(seeds)):
            self.epochs[member] = self.plan.epochs[unit]
        self.finished.add(unit)

    def save(self) -> None:
        """Write the plan into the folders of its runs, with the time up to now."""
        since = 0.0 if self._last is None else self.clock() - self._last
        data = {
            "key": self.key,
            "seconds": self.limit,
            "spent": self.spent + since,
            "calibrated": self.calibrated,
            "done": self.done,
            "plan": asdict(self.plan),
            "before": None if self.before is None else asdict(self.before),
            "units": [asdict(unit) for unit in self.units],
            "costs": [asdict(cost) for cost in self.costs],
        }
        for folder in self.folders.values():
            write_json(folder / PLAN_FILE, data)

    def need(self, plan: Plan) -> float:
        """Return the seconds that a plan still needs; another plan than the present one opens its runs again."""
        done = Done(
            self.epochs if self.same_training(plan) else {},
            frozenset(self.opened if plan == self.plan else ()),
            frozenset(self.finished if self._same_members(plan) else ()),
        )
        return seconds(plan, self.units, self.costs, done)

    def same_training(self, plan: Plan) -> bool:
        """Return whether the units of another plan have the epochs that they have now."""
        return plan.epochs == self.plan.epochs[: len(plan.epochs)]

    def _same_members(self, plan: Plan) -> bool:
        return self.same_training(plan) and replace(plan, epochs=self.plan.epochs) == self.plan

    def calibrate(self) -> Plan | None:
        """Return the plan that the first epoch shows to be right, or None to go on."""
        self.calibrated = True
        best = next((plan for plan in plans(self.units, self.valid) if self.need(plan) * RESERVE <= self.left), None)
        if best is None or best == self.plan:
            return self.shrink()
        work, present = (seconds(plan, self.units, self.costs) for plan in (best, self.plan))
        too_long = self.need(self.plan) > self.left
        return best if too_long or work > GROWTH * present else None

    def shrink(self) -> Plan | None:
        """Return a plan that fits where the present one does not: with fewer members or, if none is finished, epochs.

        Where nothing fits, it is the smallest: a late submission is better than none.
        """
        if self.need(self.plan) <= self.left:
            return None
        found = list(plans(self.units, self.valid))
        smaller = found[found.index(self.plan) + 1 :] if self.plan in found else found
        same = [plan for plan in self._same_epochs() if plan != self.plan and self.valid(plan)]
        choice = chain(same, [] if self._any_finished() else smaller)
        fits = next((plan for plan in choice if self.need(plan) <= self.left), None)
        return fits or (same[-1] if same else None)

    def _same_epochs(self) -> Iterator[Plan]:
        """Yield the present plan with fewer members: seeds, units, folds, refit; the smallest last."""
        plan = self.plan
        for seeds in range(plan.seeds - 1, 0, -1):
            plan = replace(plan, seeds=seeds)
            yield plan
        for count in range(len(plan.epochs) - 1, 0, -1):
            plan = replace(plan, epochs=plan.epochs[:count])
            yield plan
        for folds in range(plan.folds - 1, 0, -1):
            plan = replace(plan, folds=folds)
            yield plan
        if plan.refit:
            yield replace(plan, refit=False)

    def _any_finished(self) -> bool:
        return any(count >= self.plan.epochs[member[0]] for member, count in self.epochs.items())


def ledger_from(data: Mapping[str, Any], clock: Callable[[], float]) -> Ledger:
    """Return the ledger that was saved, with all of its time where nothing of it is left to do."""
    before = data["before"]
    return Ledger(
        key=data["key"],
        limit=data["seconds"],
        units=tuple(Unit(**{**unit, "folds": tuple(unit["folds"])}) for unit in data["units"]),
        costs=[Cost(**cost) for cost in data["costs"]],
        plan=_plan(data["plan"]),
        clock=clock,
        spent=0.0 if data["done"] else data["spent"],
        calibrated=data["calibrated"],
        before=None if before is None else _plan(before),
    )


def _plan(data: Mapping[str, Any]) -> Plan:
    return Plan(**{**data, "epochs": tuple(data["epochs"])})


def smallest(units: Sequence[Unit], costs: Sequence[Cost], valid: Valid) -> tuple[Plan, float]:
    """Return the smallest plan and its seconds, with the reserve."""
    plan = list(plans(units, valid))[-1]
    return plan, seconds(plan, units, costs) * RESERVE
