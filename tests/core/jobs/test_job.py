"""A job says all that another process needs."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

from compete.jobs.job import Job, job_of, python_command
from compete.types import Member


def test_a_job_survives_json_and_pickle(make_run):
    run = make_run("training.refit=true")
    for member in (run.members[1], Member(-1, 42, 3)):
        job = job_of(run, member)
        assert Job.from_json(job.to_json()) == job == pickle.loads(pickle.dumps(job))
        assert "\n" not in job.to_json()
        assert Path(job.folder).is_absolute() and Path(job.cwd) == Path.cwd()


def test_a_user_s_file_does_not_hide_a_module_of_python(tmp_path, monkeypatch):
    (tmp_path / "this.py").write_text("print('mine')")
    monkeypatch.chdir(tmp_path)
    for path, first in ([name for name in sys.path if name], "The"), (["", *sys.path], "mine"):
        monkeypatch.setattr(sys, "path", path)
        done = subprocess.run(python_command("this"), capture_output=True, text=True, check=True)
        assert done.stdout.split()[0] == first
