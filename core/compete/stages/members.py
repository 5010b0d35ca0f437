"""The members of a run on disk: which are finished, which can be reused, and who trains the others."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from compete.errors import CompeteError, PluginRuntimeError, call_hook, code_of_others, error_location
from compete.identity import read_sources
from compete.jobs.events import Replay, read_result
from compete.jobs.job import TrainMember
from compete.jobs.launch import needs_ranks, train_on_ranks
from compete.jobs.lease import member_lease
from compete.jobs.together import label_members, train_together
from compete.model.selectors import is_fitted
from compete.predict.inference import Scaler
from compete.ranks.splits import SPLITS
from compete.reports import TrainingReport
from compete.session import Run
from compete.stages.describe import describe_plan
from compete.stages.predictions import OOF, PREDICTED, RESULT, TEST, WEIGHTS, is_predicted, predict_member
from compete.stages.run_folder import changed_since
from compete.store import drop_checkpoints, read_json, remove_litter, write_atomic, write_bytes, write_json
from compete.text import echo, plural
from compete.train.fit import plan_notes, store_features
from compete.train.loop import train
from compete.types import ALL_ROWS, Member, MemberResult

if TYPE_CHECKING:
    from compete.config.options import BoundComponent
    from compete.identity import Identity

ONE_AT_A_TIME = threading.RLock()


def begin_training(run: Run, runs: Sequence[Path], members: Sequence[Member]) -> None:
    """Stage 5, and what stage 6 needs to train those of some members that are not finished in this or another run."""
    _reuse_members(run, [other for other in runs if other != run.folder])
    _report_plan(run)
    stored = tuple(store_features(run, unfinished(run, members)))
    call_hook(run.hook.on_stage, run=run.session, report=TrainingReport(str(run.folder), notes=stored))


def _reuse_members(run: Run, others: Sequence[Path]) -> None:
    """Note what changed since the last run, and reuse the finished members of other runs that are still valid."""
    if others and not (run.folder / "members").exists():
        for change in changed_since(others[-1], run.config, read_sources(run.config)):
            run.session.notes.append(f"changed since {others[-1].name}: {change}")
    for source, members in reuse_members(run, others, run.members).items():
        run.session.notes.append(f"reused from {source}, same data and training: {', '.join(members)}")


def _report_plan(run: Run) -> None:
    """Stage 5: what training and inference will do."""
    session = run.session
    done = [member for member in run.members if finished(run, member, run.member_folder(member))]
    submitted = run.tables.has_test
    if done and run.config.many("hooks"):
        session.notes.append(f"[[hooks]] watch training: {plural(len(done), 'finished member')} will not be watched")
    session.notes.extend(plan_notes(run))
    plan = describe_plan(run.config, run.members, done, session.device, session.precision, submitted, session.notes)
    plan = replace(plan, epochs=1) if is_fitted(run.network) else plan
    call_hook(session.hook.on_stage, run=session, report=plan)


def finish_member(run: Run, member: Member) -> MemberResult:
    """Return the member's result, after training it unless it is finished and still valid.

    Threads wait for each other: every step seeds the process's own random generators.
    """
    with _held(run, member):
        return _finished_now(run, member)


def execute(run: Run, members: Sequence[Member], predict: bool = False) -> list[MemberResult]:
    """Have `[executor]` train every one of some members that is not finished, and `predict` with each."""
    executor = run.config.one("executors")
    results = _call_executor(executor, list(members), training_of(run, members, predict))
    found = [getattr(result, "member", None) for result in results] if isinstance(results, list) else []
    if found != list(members):
        raise PluginRuntimeError(
            f'[executor] name = "{executor.name}": must return a list with the result of each of '
            f"{plural(len(members), 'member')}, in their order"
        )
    return list(results)


def execute_together(wanted: Sequence[tuple[Run, Sequence[Member]]]) -> None:
    """Have the `[executor]` that several runs share train members of all of them at one time, and predict with each."""
    wanted = [(run, members) for run, members in wanted if members]
    if wanted:
        train = train_together([training_of(run, members, predict=True) for run, members in wanted])
        labeled = [member for run, members in wanted for member in label_members(run, members)]
        _call_executor(wanted[0][0].config.one("executors"), labeled, train)


def _call_executor(executor: BoundComponent, members: list[Member], train: TrainMember) -> Any:  # noqa: ANN401
    """Return what an executor returns. Raise `PluginRuntimeError` that names it for what it raises by itself.

    What training raises in this process passes through: it is no fault of the executor.
    """
    of_training: list[BaseException] = []

    def work(member: Member) -> MemberResult:
        try:
            return train.work(member)
        except BaseException as error:
            of_training.append(error)
            raise

    def raised(error: BaseException) -> PluginRuntimeError:
        return PluginRuntimeError(
            f'[executor] name = "{executor.name}": raised {error!r} at {error_location(error)}. Finished members are '
            "kept, and the others resume from their last checkpoints when you run the same command again."
        )

    try:
        with code_of_others(raised):
            return executor.build(members, replace(train, work=work))
    except PluginRuntimeError as error:
        if error.__cause__ in of_training:
            raise error.__cause__ from None
        raise


def training_of(run: Run, members: Sequence[Member], predict: bool = False) -> TrainMember:
    """Return what an executor gets to train these members, here or in other processes, and `predict` with each."""
    return TrainMember(
        run,
        work=lambda member: complete_member(run, member) if predict else finish_member(run, member),
        is_finished=lambda member: finished(run, member, run.member_folder(member)) is not None,
        show=Replay(run, members).show,
    )


def complete_member(run: Run, member: Member) -> MemberResult:
    """Train a member unless it is finished, and write its predictions: what a process that joined a run does."""
    with _held(run, member):
        result = _finished_now(run, member)
        predict_member(run, member)
        return result


@contextmanager
def _held(run: Run, member: Member) -> Iterator[None]:
    """Hold a member, which another process may train just now; then that is said, and it is waited for."""

    def wait(owner: str) -> None:
        echo(f"{member.name} is trained by {owner}: waiting for it", err=True)

    with ONE_AT_A_TIME, member_lease(run.member_folder(member), wait):
        yield


def _finished_now(run: Run, member: Member) -> MemberResult:
    folder, before = run.member_folder(member), len(run.session.warnings)
    result = finished(run, member, folder)
    if result is None:
        remove_litter(folder)
        if needs_ranks(run):
            train_on_ranks(run, member, Replay(run, [member]).show)
            result = finished(run, member, folder)
            assert result is not None
        else:
            result = _train(run, member, run.session.warnings[:before])
    else:
        for text in read_json(folder / RESULT).get("warnings", []):
            run.session.warn(text)
    return result


def train_rank(run: Run, member: Member) -> None:
    """Train a member together with the other ranks. Whoever started them holds it; the first one writes it."""
    _train(run, member)


def _train(run: Run, member: Member, known: Sequence[str] = ()) -> MemberResult:
    """Train a member and write it, with the warnings that are not `known`."""
    result, weights, scaler = train(run, member)
    if run.ranks.is_first:
        warnings = [text for text in run.session.warnings if text not in known]
        write_member(run, result, weights, scaler, warnings)
        call_hook(run.hook.on_member_end, run=run.session, result=result)
    return result


def write_member(
    run: Run, result: MemberResult, weights: dict[str, torch.Tensor], scaler: Scaler, warnings: Sequence[str] = ()
) -> None:
    """Write a finished member: its weights, then its result, which marks it finished.

    The scaling of its images goes with it: a network built without pretrained weights may state another one. So do
    `warnings`, for the run that another process trains it for.
    """
    folder = run.member_folder(result.member)
    write_bytes(folder / WEIGHTS, save(weights))
    scaling = {"mean": scaler.mean.flatten().tolist(), "std": scaler.std.flatten().tolist()}
    key = run.identity.member(result.member)
    state = {"identity": key, "scaling": scaling, **asdict(result), "warnings": list(warnings)}
    write_json(folder / RESULT, state)
    drop_checkpoints(folder)
    (folder / SPLITS).unlink(missing_ok=True)


def finished(run: Run, member: Member, folder: Path) -> MemberResult | None:
    """Return the result of a member that was finished with the same data and settings, or None."""
    return read_finished(folder, run.identity.member(member))


def unfinished(run: Run, members: Sequence[Member]) -> list[Member]:
    """Return the members that are not finished in the run's own folder."""
    return [member for member in members if finished(run, member, run.member_folder(member)) is None]


def read_finished(folder: Path, key: str) -> MemberResult | None:
    """Return the result in a member's folder, or None unless it is finished and has this key."""
    state = read_json(folder / RESULT)
    if state.get("identity") != key or not (folder / WEIGHTS).exists():
        return None
    try:
        return read_result(state)
    except (KeyError, TypeError, ValueError) as error:
        raise CompeteError(
            f"{folder / RESULT} is damaged ({error!r}). Remove it and run again: the member is trained from scratch."
        ) from error


def may_be_finished(members: Sequence[Member], runs: Sequence[Path]) -> bool:
    """Return whether each member has a result in some run."""
    return all(any((run / "members" / member.name / RESULT).exists() for run in runs) for member in members)


def are_finished(members: Sequence[Member], identity: Identity, runs: Sequence[Path]) -> bool:
    """Return whether each member has a result in some run that is valid for this one."""
    return all(
        any(read_finished(run / "members" / member.name, identity.member(member)) for run in runs) for member in members
    )


def reuse_members(run: Run, others: Sequence[Path], members: Sequence[Member]) -> dict[str, list[str]]:
    """Copy the members of other runs that are still valid, with their predictions; return their names by run."""
    reused: dict[str, list[str]] = {}
    for member in members:
        folder = run.member_folder(member)
        if finished(run, member, folder):
            continue
        for other in others:
            source = other / "members" / member.name
            if finished(run, member, source):
                predicted = [file for file in (OOF, TEST) if is_predicted(run, member, file, source)]
                marks = [PREDICTED] if predicted else []
                for name in (*predicted, *marks, WEIGHTS, RESULT):  # the result last: it marks the member finished
                    _copy(source / name, folder / name)
                reused.setdefault(other.name, []).append(member.name)
                break
    return reused


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        write_atomic(target, lambda copy: shutil.copyfileobj(file, copy))


def refit(run: Run, results: Sequence[MemberResult], runs: Sequence[Path]) -> list[MemberResult]:
    """Train on all rows what predicts the test rows, if `[training] refit` says so; the CV stays that of the folds."""
    members = members_to_refit(run, results)
    if not members:
        return []
    reuse_members(run, runs, members)
    return execute(run, members)


def members_to_refit(run: Run, results: Sequence[MemberResult]) -> tuple[Member, ...]:
    """Return the members to train on all rows, one a seed, if any: to the median of the epochs that the folds chose."""
    wanted = run.config.training.refit and run.tables.has_test
    return refit_members(results) if wanted else ()


def refit_members(results: Sequence[MemberResult]) -> tuple[Member, ...]:
    """Return the members to train on all rows, one a seed: to the median of the epochs that the folds chose."""
    epochs = math.ceil(median(result.best_epoch for result in results))
    return tuple(Member(ALL_ROWS, seed, epochs) for seed in dict.fromkeys(result.member.seed for result in results))
