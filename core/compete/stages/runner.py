"""The runner: rows -> network -> images -> members -> OOF -> blend -> post-processing -> submission."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compete.data.folds import write_folds
from compete.errors import ConfigError, UserError
from compete.files.root import Files
from compete.identity import identify, read_sources
from compete.model.device import make_fabric
from compete.model.losses import joint_loss
from compete.model.network import attribute, build_network, build_optimizer, freeze, parameter_groups
from compete.predict.inference import views_of
from compete.predict.postprocessing import submission_frame
from compete.run import Run, Session, call_hook
from compete.stages.blend import blend
from compete.stages.finish import fit_postprocessing, score_run, write_checked
from compete.stages.log import RunLog
from compete.stages.members import RESULT, finish_member, finished, predict_members, reuse_members
from compete.stages.open_images import open_images, read_contents
from compete.stages.prepare import choose_members, prepare
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
    from torch import nn

    from compete.config.load import Config
    from compete.data.dataset import Dataset
    from compete.types import Array, Member, MemberResult


@dataclass(frozen=True)
class Result:
    """What a run came to: its folder, what scores.json holds, and what it noted and warned of on its way."""

    folder: Path
    scores: Mapping[str, Any]
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
            _describe_inference(run)
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
        with suppress(Exception):  # a plugin that fails at this must not hide why the run stopped
            session.hook.on_run_error(run=session, error=error)
        raise


def assemble(session: Session, sources: Mapping[str, str], held: ExitStack) -> Run:
    """Stages 1 to 4: rows, network, images. The network comes before any image is decoded: it fails in seconds."""
    config = session.config
    dataset = prepare(config, sources, competition_folder(config) / "folds")
    session.note = dataset.tables.note
    for warning in dataset.warnings:
        session.warn(warning)
    _describe_rows(session, dataset)
    members = choose_members(config, dataset.folds)
    network = _template(session, dataset, members)
    files = Files(Path(config.competition.root))
    contents = read_contents(session, dataset.tables, files)
    identity = identify(config, sources, dataset, contents.train, contents.test)
    _leave_other_data_alone(session, identity.data, sources, held)
    images = open_images(session, dataset.tables, files, contents, sources)
    run = Run(session, dataset, images, identity, tuple(members), network)
    _describe_images(run)
    _describe_network(run)
    _describe_training(run)
    return run


def _template(session: Session, dataset: Dataset, members: list[Member]) -> nn.Module:
    """Return the network that weights are loaded into, without pretrained ones where every member seems finished."""
    config, folder = session.config, session.folder
    done = all((folder / "members" / member.name / RESULT).exists() for member in members)
    network = build_network(config, dataset.target.outputs, dataset.column_count, seed=0, weights=not done)
    _try_views(config)
    return network


def _leave_other_data_alone(session: Session, data: str, sources: Mapping[str, str], held: ExitStack) -> None:
    """Go to a new folder if the chosen one holds results of other data: they are kept, and results never mix."""
    if read_json(session.folder / "run.json").get("data") not in (None, data):
        session.notes.append(f"the data has changed since {session.folder.name}, which is kept as it is")
        session.folder = next_folder(competition_folder(session.config))
        _begin(session.folder, session.config, sources, held)
    update_state(session.folder, data=data)
    found = environment(session.config, session.device, session.precision)
    write_json(session.folder / "environment.json", found)


def _stage(session: Session, number: int, title: str, *lines: str) -> None:
    shown = [line for line in lines if line]
    call_hook(session.hook.on_stage, run=session, number=number, title=title, lines=shown)


def _describe_rows(session: Session, dataset: Dataset) -> None:
    """Stage 1: rows, target, folds and their checks."""
    tables, target, labels, folds = dataset.tables, dataset.target, dataset.labels, dataset.folds
    groups = f", {tables.train['group'].nunique()} groups" if "group" in tables.train else ""
    sizes = np.bincount(folds[folds >= 0])
    classes = f"{len(target.classes)} classes" if len(target.classes) > 1 else "1 output"
    if labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer):
        counts = np.bincount(labels, minlength=len(target.classes))
        largest, smallest = counts.max(), counts[counts > 0].min()
        classes += f", rows in a class {_span(counts[counts > 0])} (imbalance {largest / smallest:.0f}:1)"
    _stage(
        session, 1, "preprocess",
        f"{len(tables.train)} training rows{groups}, {len(tables.test)} test rows",
        f"target {session.config.one('targets').name}: {classes}",
        f"folds {session.config.one('folds').name} {dataset.folds_key}: {len(sizes)} of {_span(sizes)} rows",
    )  # fmt: skip


def _span(numbers: Array) -> str:
    least, most = numbers.min(), numbers.max()
    return f"{least}" if least == most else f"{least} to {most}"


def _describe_images(run: Run) -> None:
    """Stage 2: images."""
    images = run.config.images
    height, width = images.size
    chain = ", ".join(bound.name for bound in run.config.many("transforms")) or "none"
    _stage(
        run.session, 2, "load",
        f"{len(run.images.train.images)} + {len(run.images.test.images)} images at {height} x {width}"
        + (", decoded once into a cache" if images.cache else ""),
        f"augmentation: {chain}" + "".join(f", {b.name}" for b in run.config.many("batch_transforms")),
        f"sampler: {run.config.one('samplers').name}",
        f"beside the images: {run.dataset.column_count} numbers of [columns]" if run.dataset.columns else "",
    )  # fmt: skip


def _describe_network(run: Run) -> None:
    """Stage 3: the network."""
    config, outputs, network = run.config, run.target.outputs, run.network
    frozen = freeze(network, config.finetune, outputs)
    total = sum(p.numel() for p in network.parameters())
    moving = sum(p.numel() for p in network.parameters() if p.requires_grad)
    model = config.one("models")
    backbone, head = model.options.get("backbone", ""), config.one("heads").name
    _stage(
        run.session, 3, "build",
        f"model {model.name} {backbone}: {total / 1e6:.2f} M parameters, {outputs} outputs"
        + (f", head {head}" if head != "linear" else ""),
        f"{moving / 1e6:.2f} M of them train; frozen: {', '.join(frozen[:4])}" if frozen else "",
        *(attribute(network, "notes") or ()),
    )  # fmt: skip


def _try_views(config: Config) -> None:
    """Refuse a TTA that cannot make its views before training, not after it."""
    images = torch.zeros(1, config.images.channels, *config.images.size)
    for view in views_of([bound.build() for bound in config.many("tta")])(images):
        if view.shape != images.shape:
            raise ConfigError(f"[[tta]]: a view has shape {tuple(view.shape)}, not {tuple(images.shape)} as its image")


def _describe_training(run: Run) -> None:
    """Stage 4: loss and optimizer."""
    config, data = run.config, run.dataset
    groups = parameter_groups(run.network, config.finetune, data.target.outputs)
    optimizer = build_optimizer(config.one("optimizers"), groups)
    joint_loss(config.one("losses"), data.target, data.targets)
    heads = f" over {len(data.target.heads)} heads" if len(data.target.heads) > 1 else ""
    rates = sorted({f"{group['lr']:.1e}" for group in optimizer.param_groups})
    settings = config.training
    micro_batches = f" x {settings.accumulation_steps}" if settings.accumulation_steps > 1 else ""
    _stage(
        run.session, 4, "loss and optimizer",
        f"loss {config.one('losses').name}{heads}; scored by {run.session.metric_name}",
        f"optimizer {config.one('optimizers').name}, lr {' and '.join(rates)}",
        f"scheduler {config.one('schedulers').name}",
        f"batch {settings.batch_size}{micro_batches}",
    )  # fmt: skip


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


def _describe_inference(run: Run) -> None:
    """Stage 5: what training and inference will do."""
    config, session = run.config, run.session
    done = [member.name for member in run.members if finished(run, member, run.member_folder(member))]
    folds, seeds = {m.fold for m in run.members}, {m.seed for m in run.members}
    views = ", ".join(bound.name for bound in config.many("tta")) or "none"
    _stage(
        session, 5, "train and infer settings",
        f"{len(folds)} folds x {len(seeds)} seeds x {config.training.epochs} epochs "
        f"on {session.device}, {session.precision}",
        f"TTA {views}; ensemble {config.one('ensembles').name}; submission {config.one('submissions').name}",
        f"already finished: {', '.join(done)}" if done else "",
        *session.notes,
    )  # fmt: skip


def _train(run: Run) -> list[MemberResult]:
    """Stage 6: train every member that is not finished."""
    _stage(run.session, 6, "run", f"run folder {run.folder}")
    results: list[MemberResult] = run.config.one("executors").build(
        list(run.members), lambda member: finish_member(run, member)
    )
    return results


def _finish(run: Run, results: list[MemberResult]) -> dict[str, Any]:
    """Predict, blend, post-process, check, write and score."""
    predict_members(run)
    blended = blend(run)
    fitted = fit_postprocessing(run, blended.oof)
    frame = submission_frame(run.config, run.tables, fitted.apply(blended.test), run.target)
    submission = write_checked(run, frame)
    scores = score_run(run, blended, fitted, results, submission)
    write_json(run.folder / "scores.json", scores)
    call_hook(run.hook.on_submission_written, run=run.session, scores=scores)
    update_state(run.folder, finished=True)
    return scores
