"""A job says all that another process needs."""

from __future__ import annotations

import pickle
from pathlib import Path

from compete.jobs.job import Job, job_of
from compete.types import Member


def test_a_job_survives_json_and_pickle(make_run):
    run = make_run("training.refit=true")
    for member in (run.members[1], Member(-1, 42, 3)):
        job = job_of(run, member)
        assert Job.from_json(job.to_json()) == job == pickle.loads(pickle.dumps(job))
        assert "\n" not in job.to_json()
        assert Path(job.folder).is_absolute() and Path(job.cwd) == Path.cwd()
