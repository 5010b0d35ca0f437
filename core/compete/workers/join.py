"""Join a run: open its rows, images and network in this process, as its driver did, and check that they are the same.

The driver holds the run's folder; a process that joins holds the members that it trains.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from compete.config.load import check_config
from compete.data.loaders import choose_workers
from compete.errors import CompeteError
from compete.files.root import Files
from compete.identity import Identity, identify, read_sources
from compete.jobs.events import Reporter
from compete.model.device import choose_device, make_fabric
from compete.model.network import build_network
from compete.ranks.group import ALONE, join_ranks
from compete.session import Run, RunOptions, Session
from compete.stages.open_images import open_images, read_contents
from compete.stages.prepare import choose_members, prepare, with_copies_together
from compete.stages.run_folder import FOLDS, competition_folder
from compete.text import format_list

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from compete.config.load import Config
    from compete.jobs.job import Job, Record

# What differs, and what to look at, by the field of an identity.
DIFFERENCES = {
    "config": "compete, plugins, or the files that options name",
    "data": "the training rows or their images",
    "folds": "the folds",
    "test": "the test rows or their images",
    "submission": "the sample submission",
    "training": "the code or settings of training",
    "inference": "the settings of inference",
}


@dataclass
class WorkerSession(Session):
    """The session of a process that joined: its warnings go to the driver at once."""

    reporter: Reporter | None = None

    def warn(self, message: str) -> None:
        """Add a warning, and report it."""
        known = len(self.warnings)
        super().warn(message)
        if len(self.warnings) > known and self.reporter is not None:
            self.reporter.note("warning", text=self.warnings[-1])


def join_run(
    job: Job, report: Callable[[Record], object] = lambda _: None, fabric: Fabric | None = None, is_rank: bool = False
) -> Run:
    """Open a job's run in the working directory `job.cwd`, with the job's settings.

    `fabric` is the device, by default that of `[training]`. `report` gets events as records. Raise `CompeteError` that
    names what is not the same here as where the run was started. A rank joins those of torchrun's variables; only the
    first one reports, and is watched by `[[hooks]]`, which must not change a result.
    """
    config = _on_share(check_config(tomllib.loads(job.toml), path=Path(job.path)), job.cpus)
    reporter = Reporter(report)
    fabric = fabric or make_fabric(config.training, int(os.environ["LOCAL_RANK"]) if is_rank else 0)
    ranks = join_ranks(fabric.device) if is_rank else ALONE
    session = WorkerSession(
        config,
        Path(job.folder),
        fabric,
        config.plugins.new_manager(),
        RunOptions(doctor=job.doctor),
        ranks=ranks,
        reporter=reporter if ranks.is_first else None,
    )
    hooks = config.many("hooks") if ranks.is_first else []
    for bound in (*config.many("callbacks"), *hooks):  # in this order: checkpoints number them
        session.watch(bound.build())
    if ranks.is_first:
        session.register(reporter)
    return _opened(session, config, job.identity)


def _on_share(config: Config, cpus: int) -> Config:
    """Keep threads and loader processes to a share of the cores, where it is given and the TOML does not choose."""
    if not cpus:
        return config
    torch.set_num_threads(cpus)
    device, training = choose_device(config.training.device), config.training
    loaders = min(cpus, choose_workers(training.workers, device, config.images.cache))
    return replace(config, training=training.model_copy(update={"workers": loaders} if training.workers < 0 else {}))


def _opened(session: Session, config: Config, expected: Identity) -> Run:
    """Return the run of a session, once its rows, images, settings and code are those that are expected."""
    sources, folds_folder = read_sources(config), competition_folder(config) / FOLDS
    dataset = prepare(config, sources, folds_folder)
    files = Files(config.competition.root)
    contents = read_contents(session, dataset.tables, files)
    dataset = with_copies_together(config, sources, dataset, contents.train, folds_folder)
    identity = identify(config, sources, dataset, contents.train, contents.test)
    _refuse_other(identity, expected)
    members = tuple(choose_members(config, dataset.folds))
    fetching = session.progress("fetch trained weights")
    network = build_network(config, dataset.target.outputs, dataset.column_count, 0, True, fetching)
    images = open_images(session, dataset.tables, files, contents, sources)
    return Run(session, dataset, images, members, network, identity)


def _refuse_other(found: Identity, expected: Identity) -> None:
    names = [field.name for field in fields(Identity) if getattr(found, field.name) != getattr(expected, field.name)]
    if names:
        raise CompeteError(
            f"here differ from where the run was started: {format_list(DIFFERENCES[name] for name in names)}. "
            "Results are never mixed: use the same data, code and packages on every machine, and change none of them "
            "while the run goes on. Then run the same command again."
        )
