"""Do jobs: a worker opens a run once, and trains members of it one after another."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compete.errors import ConfigError
from compete.jobs.mirror import mirrored, scratch_folder
from compete.stages.members import complete_member, train_rank
from compete.workers.join import join_run

if TYPE_CHECKING:
    from compete.jobs.job import Job, Record
    from compete.session import Run

SHARE = "put it there under the same path"
SHIP = 'or have Ray ship it: [executor] name = "ray", ship = true'


class Worker:
    """Does jobs, in this process; what it opened for one it uses for the next of the same run.

    `report` gets each event as a record: a plain dict, as JSON has it. A rank trains its part of a member together
    with others (see `compete.jobs.launch`).
    """

    def __init__(self, report: Callable[[Record], object] = lambda _: None, is_rank: bool = False) -> None:
        self._report = report
        self._is_rank = is_rank
        self._opened: tuple[Job, Run] | None = None
        self._folder = ""

    def do(self, job: Job) -> None:
        """Train the job's member from its last checkpoint and predict with it; a finished one stays as it is.

        Another process that trains it is waited for. Raise `CompeteError`; what was finished is kept.
        """
        self._folder = job.folder
        if self._is_rank:
            with chdir(job.cwd):
                train_rank(self._run_of(job), job.member)
            return
        if missing := missing_here(job):
            raise ConfigError(missing)
        if job.storage:
            job = replace(job, folder=scratch_folder(job.storage))

        def warn(text: str) -> None:
            self._send({"event": "warning", "member": job.member.name, "text": text})

        key = job.identity.predictions(job.member)
        with chdir(job.cwd), mirrored(job.storage, Path(job.folder), job.member.name, key, warn):
            complete_member(self._run_of(job), job.member)

    def _run_of(self, job: Job) -> Run:
        known = replace(job, member=self._opened[0].member) if self._opened else None
        if self._opened is None or known != self._opened[0]:
            self._opened = None  # what was open is freed first
            self._opened = (job, join_run(job, self._send, is_rank=self._is_rank))
        return self._opened[1]

    def _send(self, record: Record) -> None:
        self._report({**record, "run": self._folder})  # as the driver knows it: it may drive several


def missing_here(job: Job) -> list[str]:
    """Return what this machine lacks of what a job names, each with what to do about it."""
    machine = socket.gethostname()
    if not Path(job.cwd).is_dir():
        return [f"{job.cwd}, where the run was started, is not on {machine}: {SHARE}, {SHIP}"]
    other = "or name it by a path relative to the working folder, as what is shipped" if job.shipped else SHIP
    missing = [
        f"{path}, {what}, is not on {machine}: {SHARE}, {other}"
        for path, what in ((Path(job.cwd) / path, what) for path, what in job.named.items())
        if not path.exists()
    ]
    if not job.storage and not (Path(job.folder) / "run.json").exists():
        missing.append(
            f"the run's folder {job.folder} is not on {machine}: share its disk, or set a storage, such as "
            '[executor] storage = "s3://bucket/runs"'
        )
    return missing


def run_job(job: Job, report: Callable[[Record], object] = lambda _: None) -> None:
    """Do one job in this process: what an executor calls where its members are trained.

    `report` gets each event as a record, for `train.replay` in the process that drives the run.
    """
    Worker(report).do(job)
