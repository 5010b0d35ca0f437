"""Train some members of a run next to other processes that train the others, on this or other machines.

They share the run's folder on one disk. Once all members are finished, the whole run blends them.
"""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from compete.data.folds import write_folds
from compete.identity import read_sources
from compete.jobs.launch import refuse_ranks
from compete.model.device import make_fabric
from compete.session import DEFAULT_OPTIONS, RunOptions, Session
from compete.stages.members import begin_training, execute, unfinished
from compete.stages.prepare import check_root
from compete.stages.run_folder import (
    check_name,
    choose_folder,
    claim_folder,
    competition_folder,
    run_folders,
    runs_held,
)
from compete.stages.runner import assemble, events
from compete.text import echo, format_list, plural

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.session import Run
    from compete.workers.only import Only


def train_part(config: Config, only: Only, name: str | None = None, options: RunOptions = DEFAULT_OPTIONS) -> Run:
    """Train and predict with the members that `only` takes, from their last checkpoints; nothing is blended.

    The folder is the one that the whole run would have, and is not held: each member is, while it trains. Raise
    `ConfigError` for members that the run does not have.
    """
    check_name(name)
    check_root(config)
    refuse_ranks(config, nodes=False)
    sources = read_sources(config)
    with ExitStack() as held:
        folder = claim_folder(config, sources, held, lambda: choose_folder(config, sources, name, False), shared=True)
        manager, fabric = config.plugins.new_manager(), make_fabric(config.training)
        session = Session(config, folder, fabric, manager, options, shared=True, notes=list(config.notes))
        runs = list(run_folders(competition_folder(config)))
        log = f"log-{socket.gethostname()}-{os.getpid()}.jsonl"
        with events(session, [*config.many("callbacks"), *config.many("hooks")], log):
            run = assemble(session, sources, runs, held, only.check)
            with runs_held(run.folder.parent):
                write_folds(run.folder / "folds.csv", run.tables.train, run.dataset.folds)
            members = [member for member in run.members if only.takes(member)]
            begin_training(run, runs, members)
            execute(run, members, predict=True)
    for warning in session.warnings:
        echo(f"warning: {warning}")
    return run


def describe_part(run: Run, command: Sequence[str]) -> list[str]:
    """Return how many members are finished, which are not, and the command that goes on."""
    left = [member.name for member in unfinished(run, run.members)]
    whole = shlex.join(command)
    if left:
        done = f"{len(run.members) - len(left)} of {plural(len(run.members), 'member')} finished in {run.folder}"
        return [f"{done}; left: {format_list(left)}", f"to train these too, and blend: {whole}"]
    return [f"all {plural(len(run.members), 'member')} finished in {run.folder}", f"to blend them: {whole}"]
