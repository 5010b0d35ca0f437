"""Do jobs: a worker opens a run once, and trains members of it one after another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from typing import TYPE_CHECKING

from compete.stages.members import complete_member
from compete.workers.join import join_run

if TYPE_CHECKING:
    from compete.jobs.job import Job, Record
    from compete.session import Run


class Worker:
    """Does jobs, in this process; what it opened for one it uses for the next of the same run.

    `report` gets each event as a record: a plain dict, as JSON has it.
    """

    def __init__(self, report: Callable[[Record], object] = lambda _: None) -> None:
        self._report = report
        self._opened: tuple[Job, Run] | None = None

    def do(self, job: Job) -> None:
        """Train the job's member from its last checkpoint and predict with it; a finished one stays as it is.

        Another process that trains it is waited for. Raise `CompeteError`; what was finished is kept.
        """
        with chdir(job.cwd):
            run = self._run_of(job)
            complete_member(run, job.member)

    def _run_of(self, job: Job) -> Run:
        known = replace(job, member=self._opened[0].member) if self._opened else None
        if self._opened is None or known != self._opened[0]:
            self._opened = None  # what was open is freed first
            self._opened = (job, join_run(job, self._report))
        return self._opened[1]


def run_job(job: Job, report: Callable[[Record], object] = lambda _: None) -> None:
    """Do one job in this process: what an executor calls where its members are trained.

    `report` gets each event as a record, for `train.replay` in the process that drives the run.
    """
    Worker(report).do(job)
