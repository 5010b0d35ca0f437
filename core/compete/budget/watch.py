"""Watches a run's clock, and stops it where another plan must take over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from compete.errors import CompeteError
from compete.hookspecs import hookimpl
from compete.stages.members import finished
from compete.store import NEWEST_FIRST

if TYPE_CHECKING:
    from compete.budget.ledger import Ledger
    from compete.budget.plan import Plan
    from compete.config.load import Config
    from compete.session import Session
    from compete.train.trainer import Trainer
    from compete.types import MemberResult


SAVE_SECONDS = 5.0  # of work that a kill leaves uncounted at most


class ReplanError(CompeteError):
    """The run stops here to go on with another plan."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("the plan of --hours has changed; finished members are kept")
        self.plan = plan


class Watch:
    """Counts time and epochs of the runs of a plan; `configs` are those of its units, as the plan has them."""

    def __init__(self, ledger: Ledger, configs: Sequence[Config], note: str) -> None:
        self.ledger, self.configs, self.note = ledger, configs, note
        self.partial = False
        self._saved = ledger.clock()

    def unit(self, run: Session) -> int:
        """Return the number of a run's unit."""
        return next(number for number, config in enumerate(self.configs) if config is run.config)

    @hookimpl
    def on_run_start(self, run: Session) -> None:
        """Write the plan into the run's folder, and say in its results what was left out."""
        self.ledger.tick()
        self._save(run)
        if self.note:
            run.warn(self.note)

    @hookimpl
    def on_member_start(self, trainer: Trainer) -> None:
        """Note what is finished and how long the opening took; a member that has not begun may be left out."""
        ledger, run = self.ledger, trainer.run
        passed, unit = ledger.tick(), self.unit(run.session)
        if unit not in ledger.opened:
            ledger.opened.add(unit)
            cost = ledger.costs[unit]
            ledger.costs[unit] = replace(cost, start=cost.reopen, reopen=min(cost.reopen, passed))
            for member in run.members:
                if finished(run, member, run.member_folder(member)):
                    ledger.epochs[self._key(run.session, member.fold, member.seed)] = ledger.plan.epochs[unit]
        self._save(run.session)
        self.partial = any((trainer.folder / name).exists() for name in NEWEST_FIRST)
        if not self.partial and trainer.member.epochs is None:
            self._go_on_with(ledger.shrink())

    @hookimpl
    def on_step_end(self) -> None:
        """Count the time of an epoch that may be interrupted."""
        self._save_soon()

    @hookimpl
    def on_progress(self) -> None:
        """Count the time of long work that may be interrupted."""
        self._save_soon()

    @hookimpl
    def on_run_error(self) -> None:
        """Count the time until the run failed or was stopped."""
        self.ledger.save()

    @hookimpl
    def on_epoch_end(self, trainer: Trainer) -> None:
        """Learn from the epoch how long one takes; the first one of all may change the plan's epochs."""
        ledger, member = self.ledger, trainer.member
        passed, unit = ledger.tick(), self.unit(trainer.run.session)
        if member.epochs is not None:
            ledger.costs[unit] = replace(ledger.costs[unit], refit_epoch=passed)
            return
        if not self.partial:
            ledger.costs[unit] = replace(ledger.costs[unit], epoch=passed)
        first = not ledger.epochs
        ledger.epochs[self._key(trainer.run.session, member.fold, member.seed)] = len(trainer.history)
        self._save(trainer.run.session)
        if first and not self.partial and not ledger.calibrated:
            self._go_on_with(ledger.calibrate())
        elif (smaller := ledger.shrink()) and not ledger.same_training(smaller):  # fewer members can wait
            self._go_on_with(smaller)
        self.partial = False

    @hookimpl
    def on_member_end(self, run: Session, result: MemberResult) -> None:
        """Count the member, and leave out others where time is short."""
        ledger, unit = self.ledger, self.unit(run)
        ledger.tick()
        if result.member.epochs is None:
            ledger.epochs[self._key(run, result.member.fold, result.member.seed)] = ledger.plan.epochs[unit]
            self._save(run)
            self._go_on_with(ledger.shrink())

    @hookimpl
    def on_run_end(self, run: Session) -> None:
        """Count the run."""
        self.ledger.tick()
        self.ledger.finish(self.unit(run))
        self._save(run)

    def _key(self, run: Session, fold: int, seed: int) -> tuple[int, int, int]:
        return self.unit(run), fold, seed - run.config.training.seed

    def _save(self, run: Session) -> None:
        self.ledger.folders[self.unit(run)] = run.folder
        self.ledger.save()

    def _save_soon(self) -> None:
        if self.ledger.clock() - self._saved >= SAVE_SECONDS:
            self._saved = self.ledger.clock()
            self.ledger.save()

    def _go_on_with(self, plan: Plan | None) -> None:
        if plan is not None and plan != self.ledger.plan:
            raise ReplanError(plan)
