"""The runner: rows -> network -> images -> members -> OOF -> blend -> post-processing -> submission."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from compete.data.folds import write_folds
from compete.errors import FAULTS, PluginRuntimeError, call_hook, error_location, is_a_stop
from compete.files.root import Files
from compete.identity import identify, read_sources
from compete.jobs.launch import refuse_ranks
from compete.jobs.log import LOG, RunLog
from compete.model.device import make_fabric
from compete.model.finetune import begin_plan, build_optimizer, parameter_groups
from compete.model.losses import joint_loss
from compete.model.network import build_network
from compete.model.selectors import is_fitted
from compete.model.weights import frozen_from_scratch
from compete.predict.postprocessing import submission_frame
from compete.scores import write_scores
from compete.session import DEFAULT_OPTIONS, Run, RunOptions, Session
from compete.stages.blend import blend
from compete.stages.describe import (
    describe_images,
    describe_network,
    describe_optimization,
    describe_rows,
)
from compete.stages.finish import fit_postprocessing, score_run, store_tables, write_checked
from compete.stages.members import (
    are_finished,
    begin_training,
    execute,
    may_be_finished,
    refit,
)
from compete.stages.open_images import open_images, read_contents, try_images, try_views
from compete.stages.predictions import predict_members
from compete.stages.prepare import check_root, choose_members, match_hook, prepare, with_copies_together
from compete.stages.rehearse import rehearse_single
from compete.stages.run_folder import (
    check_name,
    choose_folder,
    claim_folder,
    competition_folder,
    damaged_runs,
    environment,
    find_run,
    next_folder,
    read_state,
    run_folders,
    runs_held,
    update_state,
)
from compete.store import write_json
from compete.train.fit import refuse_steps

if TYPE_CHECKING:
    from torch import nn

    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.data.dataset import Dataset
    from compete.identity import Identity
    from compete.reports import StageReport
    from compete.types import Member


def run_competition(
    config: Config,
    name: str | None = None,
    fresh: bool = False,
    options: RunOptions = DEFAULT_OPTIONS,
) -> Run:
    """Run a competition from its TOML to a checked submission, resuming where an earlier try stopped.

    `name` chooses the run's folder, `fresh` a new one that reuses nothing. Raise `CompeteError` with what to do about
    it; what was finished is kept.
    """
    with opened(config, name, fresh, options) as (run, runs):
        begin_training(run, runs, run.members)
        finish_run(run, runs)
    return run


@contextmanager
def opened(
    config: Config,
    name: str | None,
    fresh: bool,
    options: RunOptions,
    label: str = "",
    together: dict[str, object] | None = None,
) -> Iterator[tuple[Run, list[Path]]]:
    """Stages 1 to 4 of a run, and the folders of those whose members it may use; it ends, or fails, with the context.

    See `run_competition`, and `Session` for `label` and `together`.
    """
    check_name(name)
    check_root(config)
    refuse_ranks(config, nodes=bool(options.nodes))
    sources = read_sources(config)
    with ExitStack() as held:
        folder = claim_folder(config, sources, held, lambda: choose_folder(config, sources, name, fresh))
        manager = config.plugins.new_manager()
        fabric, notes = make_fabric(config.training), list(config.notes)
        session = Session(config, folder, fabric, manager, options, notes=notes, label=label)
        session.together = session.together if together is None else together
        runs = [] if fresh else list(run_folders(competition_folder(config)))
        for warning in damaged_runs(runs):
            session.warn(warning)
        if options.watch is not None:
            session.register(options.watch)
        with events(session, [*config.many("callbacks"), *config.many("hooks")]):
            run = assemble(session, sources, runs, held)
            write_folds(run.folder / "folds.csv", run.tables.train, run.dataset.folds)
            yield run, runs


@contextmanager
def events(session: Session, watchers: Sequence[BoundComponent] = (), log: str = LOG) -> Iterator[None]:
    """Notify plugins, and components that watch, of the start and the failure of a run; `log` is its log file."""
    session.register(RunLog(session, log))
    for bound in watchers:  # in this order: checkpoints number them
        session.watch(bound.build())
    try:
        call_hook(session.hook.on_run_start, run=session)
        yield
    except BaseException as error:
        with suppress(*FAULTS):  # a plugin that fails at this must not hide why the run stopped
            session.hook.on_run_error(run=session, error=error)
        if isinstance(error, SystemExit | KeyboardInterrupt) and not is_a_stop(error):
            raise PluginRuntimeError(f"a plugin raised {error!r} at {error_location(error)}") from error
        raise


def assemble(
    session: Session,
    sources: Mapping[str, str],
    runs: Sequence[Path],
    held: ExitStack,
    accept: Callable[[Sequence[Member]], object] = lambda _: None,
) -> Run:
    """Stages 1 to 4: rows, network, images. The network comes before any image is decoded: it fails in seconds.

    `runs` are those whose finished members may be used; `accept` gets the members once they are known, and may raise.
    """
    config = session.config
    dataset = prepare(config, sources, competition_folder(config) / "folds")
    for warning in (*dataset.warnings, *frozen_from_scratch(config)):
        session.warn(warning)
    _report_rows(session, dataset)
    members = choose_members(config, dataset.folds)
    accept(members)
    # Where every member may be finished already, that is found out first: then no pretrained weights are needed.
    network = None if may_be_finished(members, runs) else _template(session, dataset, weights=True)
    files = Files(config.competition.root)
    try_images(config, dataset.tables, files)
    contents = read_contents(session, dataset.tables, files)
    dataset = _with_copies_together(session, sources, dataset, contents.train)
    members = choose_members(config, dataset.folds)
    identity = identify(config, sources, dataset, contents.train, contents.test)
    _leave_other_data_alone(session, identity, sources, held)
    if network is None:
        network = _template(session, dataset, weights=not are_finished(members, identity, runs))
    images = open_images(session, dataset.tables, files, contents, sources)
    run = Run(session, dataset, images, tuple(members), network, identity)
    images_read = len(images.train.images), len(images.test.images)
    _report(session, describe_images(config, *images_read, dataset.column_count))
    _report_network(run)
    return run


def _report_rows(session: Session, dataset: Dataset) -> None:
    folds = dataset.folds, dataset.folds_key
    _report(session, describe_rows(session.config, dataset.tables, dataset.target, dataset.labels, *folds))


def _with_copies_together(
    session: Session, sources: Mapping[str, str], dataset: Dataset, digests: Sequence[str]
) -> Dataset:
    """Keep rows whose image files have the same bytes in one fold, and report the new folds."""
    folder = competition_folder(session.config) / "folds"
    found = with_copies_together(session.config, sources, dataset, digests, folder)
    for warning in found.warnings:
        session.warn(warning)
    if found.folds_key != dataset.folds_key:
        _report_rows(session, found)
    return found


def _template(session: Session, dataset: Dataset, weights: bool) -> nn.Module:
    """Return the network that members' weights are loaded into."""
    config, target, fetching = session.config, dataset.target, session.progress("fetch trained weights")
    network = build_network(config, target.outputs, dataset.column_count, 0, weights, fetching)
    try_views(config)
    refuse_steps(config, network)
    for bound in config.many("hooks"):
        match_hook(bound, network)
    rehearse_single(config, dataset, choose_members(config, dataset.folds), network)
    return network


def _leave_other_data_alone(session: Session, identity: Identity, sources: Mapping[str, str], held: ExitStack) -> None:
    """Go to another folder if the chosen one holds results of other data: they are kept, and results never mix.

    It is the one that this configuration has for these data, so that a stopped run resumes there, or a new one.
    """
    config, data, test = session.config, identity.data, identity.submission
    state = read_state(session.folder)
    if state is not None and not state.can_be_of(data, test):
        what = "test set or the sample submission" if state.data == data else "data"
        session.notes.append(f"the {what} has changed since {session.folder.name}, which is kept as it is")

        def choose() -> Path:
            known = find_run(config, sources, lambda state: state.can_be_of(data, test))
            variant = re.match(r"run-\d+(-.+)", session.folder.name)
            return known or next_folder(competition_folder(config), variant[1] if variant else "")

        session.folder = claim_folder(config, sources, held, choose, session.shared)
    update_state(session.folder, data=data, test=test)
    found = environment(session.config, session.device, session.precision)
    with runs_held(session.folder.parent):
        write_json(session.folder / "environment.json", found)


def _report(session: Session, report: StageReport) -> None:
    call_hook(session.hook.on_stage, run=session, report=report)


def _report_network(run: Run) -> None:
    """Stages 3 and 4: the network, what of it is trained, and how."""
    config, data, outputs = run.config, run.dataset, run.target.outputs
    plan, optimizer = begin_plan(run.network, config, outputs), None
    _report(run.session, describe_network(config, run.network, outputs, plan))
    if not is_fitted(run.network):
        optimizer = build_optimizer(config.one("optimizers"), parameter_groups(run.network, config, outputs, plan))
    joint_loss(config.one("losses"), data.target, data.targets)
    _report(run.session, describe_optimization(config, optimizer, len(data.target.heads)))


def finish_run(run: Run, runs: Sequence[Path]) -> None:
    """Train what is left, predict, blend, post-process, check, write and score. Without a test set, submit nothing."""
    results = execute(run, run.members)
    refitted = refit(run, results, runs)
    refits = [result.member for result in refitted]
    predict_members(run, refits)
    blended = blend(run, refits)
    fitted = fit_postprocessing(run, blended.oof)
    submission = None
    if blended.test is not None:
        frame = submission_frame(run.config, run.tables, fitted.apply(blended.test), run.target)
        submission = write_checked(run, frame)
    store_tables(run)
    scores = score_run(run, blended, fitted, results, refitted, submission)
    write_scores(run.folder, scores)
    if submission is not None:
        call_hook(run.hook.on_submission_written, run=run.session, scores=scores)
    update_state(run.folder, finished=True)
    call_hook(run.hook.on_run_end, run=run.session, scores=scores)
