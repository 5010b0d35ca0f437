"""Do jobs: a worker opens a run once, and trains members of it one after another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from typing import TYPE_CHECKING

from compete.stages.members import complete_member, train_rank
from compete.workers.join import join_run

if TYPE_CHECKING:
    from compete.jobs.job import Job, Record
    from compete.session import Run


class Worker:
    """Does jobs, in this process; what it opened for one it uses for the next of the same run.

    `report` gets each event as a record: a plain dict, as JSON has it. A rank trains its part of a member together
    with others (see `compete.jobs.launch`).
    """

    def __init__(self, report: Callable[[Record], object] = lambda _: None, is_rank: bool = False) -> None:
        self._report = report
        self._is_rank = is_rank
        self._opened: tuple[Job, Run] | None = None

    def do(self, job: Job) -> None:
        """Train the job's member from its last checkpoint and predict with it; a finished one stays as it is.

        Another process that trains it is waited for. Raise `CompeteError`; what was finished is kept.
        """
        with chdir(job.cwd):
            run = self._run_of(job)
            if self._is_rank:
                train_rank(run, job.member)
            else:
                complete_member(run, job.member)

    def _run_of(self, job: Job) -> Run:
        known = replace(job, member=self._opened[0].member) if self._opened else None
        if self._opened is None or known != self._opened[0]:
            self._opened = None  # what was open is freed first
            self._opened = (job, join_run(job, self._report, is_rank=self._is_rank))
        return self._opened[1]


def run_job(job: Job, report: Callable[[Record], object] = lambda _: None) -> None:
    """Do one job in this process: what an executor calls where its members are trained.

    `report` gets each event as a record, for `train.replay` in the process that drives the run.
    """
    Worker(report).do(job)
