"""Runs that are blended: in turn, or with the members of all of them in flight at one time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

from compete.stages.members import (
    begin_training,
    execute_together,
    finished,
    members_to_refit,
    reuse_members,
    unfinished,
)
from compete.stages.runner import finish_run, opened, run_competition
from compete.text import echo

if TYPE_CHECKING:
    from pathlib import Path

    from compete.config.load import Config
    from compete.session import Run, RunOptions
    from compete.types import Member


@dataclass(frozen=True)
class PlannedRun:
    """A run of several, with the `label` that tells it from the others, and the `line` that announces it."""

    config: Config
    label: str
    name: str | None = None
    fresh: bool = False
    line: str = ""


@dataclass(frozen=True)
class _Begun:
    """A run that is open, what ends it, the runs whose members it may use, and whether it uses none."""

    run: Run
    end: ExitStack
    known: list[Path]
    fresh: bool


def run_all(planned: Sequence[PlannedRun], options: RunOptions) -> list[Run]:
    """Run each to its submission; see `run_competition`.

    Where all have one `[executor]`, and that is not `local`, it gets the members of all runs at once: few are left
    over while devices stand idle. A member that several need is trained once.
    """
    if options.watch is None and len(planned) > 1 and _share_executor([each.config for each in planned]):
        return _run_together(planned, options)
    runs = []
    for each in planned:
        if each.line:
            echo(each.line)
        runs.append(run_competition(each.config, each.name, each.fresh, options))
    return runs


def _share_executor(configs: Sequence[Config]) -> bool:
    bound = [config.one("executors") for config in configs]
    keys = [(each.name, each.options, config.training.device) for each, config in zip(bound, configs, strict=True)]
    return bound[0].name != "local" and all(key == keys[0] for key in keys)


def _run_together(planned: Sequence[PlannedRun], options: RunOptions) -> list[Run]:
    """Open all runs, train the members of all, then their refits, and finish one run after the other."""
    shared: dict[str, object] = {}
    with ExitStack() as held:
        begun: list[_Begun] = []
        for plan in planned:
            if plan.line:
                echo(plan.line)
            end = held.enter_context(ExitStack())
            context = opened(plan.config, plan.name, plan.fresh, options, label=plan.label, together=shared)
            run, known = end.enter_context(context)
            begin_training(run, known, run.members)
            begun.append(_Begun(run, end, known, plan.fresh))
        _train(begun, lambda run: run.members)
        _train(begun, _refits)
        for each in begun:
            finish_run(each.run, each.known)
            each.end.close()
        return [each.run for each in begun]


def _refits(run: Run) -> Sequence[Member]:
    found = [finished(run, member, run.member_folder(member)) for member in run.members]
    results = [result for result in found if result is not None]
    return members_to_refit(run, results) if len(results) == len(found) else ()


def _train(begun: Sequence[_Begun], members_of: Callable[[Run], Sequence[Member]]) -> None:
    """Train the members that are not finished; what several runs need is trained for the first one, and reused."""
    chosen = [(each, members_of(each.run)) for each in begun]
    owners: dict[str, Run] = {}
    work = []
    for each, members in chosen:
        run = each.run
        reuse_members(run, each.known, members)
        left = unfinished(run, members)
        own = [each.fresh or owners.setdefault(run.identity.member(member), run) is run for member in left]
        work.append((run, list(compress(left, own))))
    execute_together(work)
    for each, members in chosen:
        others = [] if each.fresh else [other.run.folder for other in begun if other is not each]
        for source, names in reuse_members(each.run, others, members).items():
            echo(f"{each.run.session.label}: reused from {source}, same data and training: {', '.join(names)}")
