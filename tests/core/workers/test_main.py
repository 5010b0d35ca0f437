"""`python -m compete.workers`, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

from compete.jobs.child import STOPPED
from compete.jobs.job import job_of


def test_the_command_does_jobs_until_its_input_ends(make_run):
    run = make_run("training.epochs=1")
    bad = replace(job_of(run, run.members[1]), identity=replace(run.identity, data="other"))
    with subprocess.Popen(
        [sys.executable, "-m", "compete.workers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        ends = []
        for job in (job_of(run, run.members[0]), bad):
            process.stdin.write(job.to_json() + "\n")
            process.stdin.flush()
            ends.append(next(r for line in process.stdout if (r := json.loads(line))["event"] in ("done", "failed")))
        process.stdin.close()
        assert process.wait(30) == 0
    assert [end["event"] for end in ends] == ["done", "failed"]
    assert "here differ" in ends[1]["failure"]["problems"][0]
    assert (run.member_folder(run.members[0]) / "test.parquet").exists()


def test_a_job_whose_driver_dies_before_it_begins_is_not_done(make_run):
    run = make_run("training.epochs=100000")
    with subprocess.Popen([sys.executable, "-m", "compete.workers"], stdin=subprocess.PIPE) as process:
        process.communicate(job_of(run, run.members[0]).to_json().encode() + b"\n", timeout=60)
    assert process.returncode == STOPPED
