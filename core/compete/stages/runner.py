"""The runner: tables -> folds -> members -> OOF -> ensemble -> post-processing -> submission."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from compete.data.folds import write_folds
from compete.errors import ConfigError, UserError
from compete.model.device import make_fabric
from compete.model.losses import joint_loss
from compete.model.network import build_network, build_optimizer, freeze, parameter_groups
from compete.predict.postprocessing import submission_frame
from compete.reports import TrainingReport
from compete.run import Run, call_hook
from compete.scores import write_scores
from compete.stages.blend import blend
from compete.stages.describe import (
    describe_images,
    describe_network,
    describe_optimization,
    describe_plan,
    describe_rows,
)
from compete.stages.finish import fit_postprocessing, score_run, write_checked
from compete.stages.log import RunLog
from compete.stages.members import finish_member, finished, predict_members, reuse_members
from compete.stages.prepare import open_data, prepare
from compete.stages.run_folder import (
    changed_since,
    choose_folder,
    competition_folder,
    environment,
    forget_attempt,
    next_folder,
    run_folders,
    start_folder,
    update_state,
)
from compete.store import folder_lock, make_folder, read_json, write_json

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.reports import StageReport
    from compete.scores import Scores
    from compete.types import MemberResult


def run_competition(config: Config, name: str | None = None, fresh: bool = False, interactive: bool = False) -> Run:
    """Run a competition from its TOML to a checked submission, going on where an earlier try stopped.

    `name` chooses the run's folder, `fresh` a new one that takes nothing over. Raise `CompeteError` with what to do
    about it; what was finished is kept.
    """
    folder = choose_folder(config, name, fresh)
    previous = list(run_folders(competition_folder(config)))
    with ExitStack() as held:
        _begin(folder, config, held)
        if folder not in previous:
            held.enter_context(_forgotten_if_wrong(folder))
        run = Run(config, folder, make_fabric(config.training), interactive, notes=list(config.notes))
        with _told(run):
            _prepare(run)
            _load(run)
            _leave_other_data_alone(run, held)
            write_folds(run.folder / "folds.csv", run.tables.train, run.folds)
            _describe_network(run)
            _describe_training(run)
            _reuse_members(run, previous, fresh)
            _describe_inference(run)
            scores = _finish(run, _train(run))
            call_hook(run.hook.on_run_end, run=run, scores=scores)
    return run


def _begin(folder: Path, config: Config, held: ExitStack) -> None:
    make_folder(folder)
    held.enter_context(folder_lock(folder))
    start_folder(folder, config, time.time())


@contextmanager
def _forgotten_if_wrong(folder: Path) -> Iterator[None]:
    """A run that wrong input stops before it trains takes no number, and later runs are not compared with it."""
    try:
        yield
    except UserError:
        with suppress(OSError):
            forget_attempt(folder)
        raise


def _leave_other_data_alone(run: Run, held: ExitStack) -> None:
    """Go to a new folder if the chosen one holds results of other data: they are kept, and nothing is mixed."""
    known, now = read_json(run.folder / "run.json").get("data"), run.ready.fingerprint
    if known not in (None, now):
        run.notes.append(f"the data has changed since {run.folder.name}, which is kept as it is")
        run.folder = next_folder(competition_folder(run.config))
        _begin(run.folder, run.config, held)
    update_state(run.folder, data=now)
    write_json(run.folder / "environment.json", environment(run.config, run.device, run.precision))


@contextmanager
def _told(run: Run) -> Iterator[None]:
    """Notify plugins of the start and of the failure of a run."""
    run.register(RunLog(run))
    for bound in run.config.many("callbacks"):
        run.register(bound.build())
    try:
        call_hook(run.hook.on_run_start, run=run)
        yield
    except BaseException as error:
        with suppress(Exception):  # a plugin that fails at this must not hide why the run stopped
            run.hook.on_run_error(run=run, error=error)
        raise


def _report(run: Run, report: StageReport) -> None:
    call_hook(run.hook.on_stage, run=run, report=report)


def _prepare(run: Run) -> None:
    """Stage 1: rows, target, folds and their checks."""
    run.prepared = prepare(run)
    tables, target, _, labels, folds, key, _ = run.prepared
    _report(run, describe_rows(run.config, tables, target, labels, folds, key))


def _load(run: Run) -> None:
    """Stage 2: images."""
    assert run.prepared is not None
    data = run.data = open_data(run, run.prepared)
    _report(run, describe_images(run.config, len(data.train.images), len(data.test.images), data.column_count))


def _describe_network(run: Run) -> None:
    """Stage 3: build the network once, so that a wrong one is found before training."""
    config, outputs = run.config, run.target.outputs
    network = build_network(config, outputs, run.ready.column_count, seed=0)
    frozen = freeze(network, config.finetune, outputs)
    _report(run, describe_network(config, network, outputs, frozen))
    _try_views(run)


def _try_views(run: Run) -> None:
    """A TTA that cannot make its views is found before training, not after it."""
    images = torch.zeros(1, run.config.images.channels, *run.config.images.size)
    for view in run.views(images):
        if view.shape != images.shape:
            raise ConfigError(f"[[tta]]: a view has shape {tuple(view.shape)}, not {tuple(images.shape)} as its image")


def _describe_training(run: Run) -> None:
    """Stage 4: loss and optimizer."""
    config, data = run.config, run.ready
    network = build_network(config, data.target.outputs, data.column_count, seed=0)
    freeze(network, config.finetune, data.target.outputs)
    groups = parameter_groups(network, config.finetune, data.target.outputs)
    optimizer = build_optimizer(config.one("optimizers"), groups)
    joint_loss(config.one("losses"), data.target, data.encoded)
    _report(run, describe_optimization(config, optimizer, len(data.target.heads)))


def _reuse_members(run: Run, previous: list[Path], fresh: bool) -> None:
    """Say what changed since the last run, and take over the finished members that still hold."""
    others = [folder for folder in previous if folder != run.folder]
    if fresh or not others:
        return
    if run.folder not in previous:
        for change in changed_since(others[-1], run.config):
            run.notes.append(f"changed since {others[-1].name}: {change}")
    for source, members in reuse_members(run).items():
        run.notes.append(f"taken over from {source}, same data and training: {', '.join(members)}")


def _describe_inference(run: Run) -> None:
    """Stage 5: what training and inference will do."""
    done = [member for member in run.members if finished(run, member, run.member_folder(member))]
    _report(run, describe_plan(run.config, run.members, done, run.device, run.precision, run.notes))


def _train(run: Run) -> list[MemberResult]:
    """Stage 6: train every member that is not finished."""
    _report(run, TrainingReport(str(run.folder)))
    results: list[MemberResult] = run.config.one("executors").build(
        run.members, lambda member: finish_member(run, member)
    )
    return results


def _finish(run: Run, results: list[MemberResult]) -> Scores:
    """Predict, blend, post-process, check, write and score."""
    predict_members(run)
    blended = blend(run)
    fitted = fit_postprocessing(run, blended.oof)
    frame = submission_frame(run.config, run.tables, fitted.apply(blended.test), run.target)
    submission = write_checked(run, frame)
    scores = score_run(run, blended, fitted, results, submission)
    write_scores(run.folder, scores)
    call_hook(run.hook.on_submission_written, run=run, scores=scores)
    update_state(run.folder, finished=True)
    return scores
