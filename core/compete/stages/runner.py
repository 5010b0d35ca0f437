"""The runner: rows -> network -> images -> members -> OOF -> blend -> post-processing -> submission."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from compete.data.folds import write_folds
from compete.errors import FAULTS, ConfigError, PluginRuntimeError, UserError, error_location, is_a_stop
from compete.files.root import Files
from compete.identity import identify, read_sources
from compete.model.device import make_fabric
from compete.model.losses import joint_loss
from compete.model.network import build_network, build_optimizer, freeze, parameter_groups
from compete.predict.inference import views_of
from compete.predict.postprocessing import submission_frame
from compete.reports import TrainingReport
from compete.run import Run, Session, call_hook
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
from compete.stages.members import RESULT, finish_member, finished, predict_members, read_finished, reuse_members
from compete.stages.open_images import open_images, read_contents
from compete.stages.prepare import choose_members, prepare
from compete.stages.rehearse import rehearse_single
from compete.stages.run_folder import (
    changed_since,
    choose_folder,
    competition_folder,
    environment,
    find_run,
    forget_attempt,
    next_folder,
    run_folders,
    start_folder,
    update_state,
)
from compete.store import folder_lock, make_folder, read_json, write_json
from compete.text import plural

if TYPE_CHECKING:
    from torch import nn

    from compete.config.load import Config
    from compete.data.dataset import Dataset
    from compete.identity import Identity
    from compete.reports import StageReport
    from compete.scores import Scores
    from compete.types import Member, MemberResult


@dataclass(frozen=True)
class Result:
    """What a run came to: its folder, what scores.json holds, and what it noted and warned of on its way."""

    folder: Path
    scores: Scores
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    run: Run


def run_competition(config: Config, name: str | None = None, fresh: bool = False, interactive: bool = False) -> Result:
    """Run a competition from its TOML to a checked submission, resuming where an earlier try stopped.

    `name` chooses the run's folder, `fresh` a new one that reuses nothing. Raise `CompeteError` with what to do
    about it; what was finished is kept.
    """
    sources = read_sources(config)
    folder = choose_folder(config, sources, name, fresh)
    previous = list(run_folders(competition_folder(config)))
    with ExitStack() as held:
        _begin(folder, config, sources, held)
        if folder not in previous:
            held.enter_context(_forgotten_if_wrong(folder))
        manager = config.plugins.new_manager()
        session = Session(config, folder, make_fabric(config.training), manager, interactive, notes=list(config.notes))
        with _events(session):
            run = assemble(session, sources, held)
            write_folds(run.folder / "folds.csv", run.tables.train, run.dataset.folds)
            _reuse_members(run, sources, previous, fresh)
            _report_plan(run)
            scores = _finish(run, _train(run))
            call_hook(session.hook.on_run_end, run=session, scores=scores)
        return Result(session.folder, scores, tuple(session.notes), tuple(session.warnings), run)


def _begin(folder: Path, config: Config, sources: Mapping[str, str], held: ExitStack) -> None:
    make_folder(folder)
    held.enter_context(folder_lock(folder))
    start_folder(folder, config, sources, time.time())


@contextmanager
def _forgotten_if_wrong(folder: Path) -> Iterator[None]:
    """Forget a run that wrong input stops before it trains: it takes no number, and is not compared with later runs."""
    try:
        yield
    except UserError:
        with suppress(OSError):
            forget_attempt(folder)
        raise


@contextmanager
def _events(session: Session) -> Iterator[None]:
    """Notify plugins of the start and the failure of a run."""
    session.register(RunLog(session))
    for bound in session.config.many("callbacks"):
        session.register(bound.build())
    try:
        call_hook(session.hook.on_run_start, run=session)
        yield
    except BaseException as error:
        with suppress(*FAULTS):  # a plugin that fails at this must not hide why the run stopped
            session.hook.on_run_error(run=session, error=error)
        if isinstance(error, SystemExit | KeyboardInterrupt) and not is_a_stop(error):
            raise PluginRuntimeError(f"a plugin raised {error!r} at {error_location(error)}") from error
        raise


def assemble(session: Session, sources: Mapping[str, str], held: ExitStack) -> Run:
    """Stages 1 to 4: rows, network, images. The network comes before any image is decoded: it fails in seconds."""
    config = session.config
    dataset = prepare(config, sources, competition_folder(config) / "folds")
    for warning in dataset.warnings:
        session.warn(warning)
    rows = describe_rows(config, dataset.tables, dataset.target, dataset.labels, dataset.folds, dataset.folds_key)
    _report(session, rows)
    members = choose_members(config, dataset.folds)
    # Where every member may be finished already, that is found out first: then no pretrained weights are needed.
    network = None if _may_be_finished(config, members) else _template(config, dataset, weights=True)
    files = Files(Path(config.competition.root))
    contents = read_contents(session, dataset.tables, files)
    identity = identify(config, sources, dataset, contents.train, contents.test)
    _leave_other_data_alone(session, identity.data, sources, held)
    if network is None:
        network = _template(config, dataset, weights=not _are_finished(config, members, identity))
    images = open_images(session, dataset.tables, files, contents, sources)
    run = Run(session, dataset, images, identity, tuple(members), network)
    images_read = len(images.train.images), len(images.test.images)
    _report(session, describe_images(config, *images_read, dataset.column_count))
    _report_network(run)
    return run


def _template(config: Config, dataset: Dataset, weights: bool) -> nn.Module:
    """Return the network that members' weights are loaded into."""
    network = build_network(config, dataset.target.outputs, dataset.column_count, seed=0, weights=weights)
    _try_views(config)
    rehearse_single(config, dataset, choose_members(config, dataset.folds), network)
    return network


def _may_be_finished(config: Config, members: list[Member]) -> bool:
    """Return whether each member has a result in some run."""
    runs = list(run_folders(competition_folder(config)))
    return all(any((run / "members" / member.name / RESULT).exists() for run in runs) for member in members)


def _are_finished(config: Config, members: list[Member], identity: Identity) -> bool:
    """Return whether each member has a result in some run that is valid for this one."""
    runs = list(run_folders(competition_folder(config)))
    return all(
        any(read_finished(run / "members" / member.name, identity.member(member)) for run in runs) for member in members
    )


def _leave_other_data_alone(session: Session, data: str, sources: Mapping[str, str], held: ExitStack) -> None:
    """Go to another folder if the chosen one holds results of other data: they are kept, and results never mix.

    It is the one that this configuration has for these data, so that a stopped run resumes there, or a new one.
    """
    if read_json(session.folder / "run.json").get("data") not in (None, data):
        session.notes.append(f"the data has changed since {session.folder.name}, which is kept as it is")
        known = find_run(session.config, sources, data)
        session.folder = known or next_folder(competition_folder(session.config))
        _begin(session.folder, session.config, sources, held)
        if known is None:
            held.enter_context(_forgotten_if_wrong(session.folder))
    update_state(session.folder, data=data)
    found = environment(session.config, session.device, session.precision)
    write_json(session.folder / "environment.json", found)


def _report(session: Session, report: StageReport) -> None:
    call_hook(session.hook.on_stage, run=session, report=report)


def _try_views(config: Config) -> None:
    """Refuse a TTA that cannot make its views before training, not after it."""
    images = torch.zeros(1, config.images.channels, *config.images.size)
    for view in views_of([bound.build() for bound in config.many("tta")])(images):
        if view.shape != images.shape:
            raise ConfigError(f"[[tta]]: a view has shape {tuple(view.shape)}, not {tuple(images.shape)} as its image")


def _report_network(run: Run) -> None:
    """Stages 3 and 4: the network, what of it is trained, and how."""
    config, data, outputs = run.config, run.dataset, run.target.outputs
    frozen = freeze(run.network, config.finetune, outputs)
    _report(run.session, describe_network(config, run.network, outputs, frozen))
    groups = parameter_groups(run.network, config.finetune, outputs)
    optimizer = build_optimizer(config.one("optimizers"), groups)
    joint_loss(config.one("losses"), data.target, data.targets)
    _report(run.session, describe_optimization(config, optimizer, len(data.target.heads)))


def _reuse_members(run: Run, sources: Mapping[str, str], previous: list[Path], fresh: bool) -> None:
    """Note what changed since the last run, and reuse the finished members that are still valid."""
    others = [folder for folder in previous if folder != run.folder]
    if fresh or not others:
        return
    if run.folder not in previous:
        for change in changed_since(others[-1], run.config, sources):
            run.session.notes.append(f"changed since {others[-1].name}: {change}")
    for source, members in reuse_members(run).items():
        run.session.notes.append(f"reused from {source}, same data and training: {', '.join(members)}")


def _report_plan(run: Run) -> None:
    """Stage 5: what training and inference will do."""
    session = run.session
    done = [member for member in run.members if finished(run, member, run.member_folder(member))]
    plan = describe_plan(run.config, run.members, done, session.device, session.precision, session.notes)
    _report(session, plan)


def _train(run: Run) -> list[MemberResult]:
    """Stage 6: train every member that is not finished."""
    _report(run.session, TrainingReport(str(run.folder)))
    executor = run.config.one("executors")
    results = executor.build(list(run.members), lambda member: finish_member(run, member))
    found = [getattr(result, "member", None) for result in results] if isinstance(results, list) else []
    if found != list(run.members):
        raise PluginRuntimeError(
            f'[executor] name = "{executor.name}": must return a list with the result of each of '
            f"{plural(len(run.members), 'member')}, in their order"
        )
    return list(results)


def _finish(run: Run, results: list[MemberResult]) -> Scores:
    """Predict, blend, post-process, check, write and score."""
    predict_members(run)
    blended = blend(run)
    fitted = fit_postprocessing(run, blended.oof)
    frame = submission_frame(run.config, run.tables, fitted.apply(blended.test), run.target)
    submission = write_checked(run, frame)
    scores = score_run(run, blended, fitted, results, submission)
    write_scores(run.folder, scores)
    call_hook(run.hook.on_submission_written, run=run.session, scores=scores)
    update_state(run.folder, finished=True)
    return scores
