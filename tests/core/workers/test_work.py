"""A process that joins a run trains the same members, and says so to the one that drives it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compete.errors import CompeteError
from compete.hookspecs import hookimpl
from compete.jobs.events import Replay
from compete.jobs.job import job_of
from compete.stages.members import complete_member, finish_member, finished, training_of
from compete.workers.work import Worker, run_job

FILES = ("weights.safetensors", "oof.parquet", "test.parquet")


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


class Seen:
    """Writes down the events of a run."""

    def __init__(self) -> None:
        self.events = []

    @hookimpl
    def on_member_start(self, trainer):
        self.events.append(("start", trainer.member.name, trainer.members.index(trainer.member)))

    @hookimpl
    def on_step_end(self, trainer):
        self.events.append(("step", trainer.epoch, trainer.step, trainer.steps_per_epoch))

    @hookimpl
    def on_epoch_end(self, trainer, epoch):
        self.events.append(("epoch", epoch.number, len(trainer.history), trainer.metric_name))

    @hookimpl
    def on_member_end(self, result):
        self.events.append(("end", result))


def test_who_joins_trains_the_same_member_and_its_events_arrive(make_run):
    run = make_run("training.epochs=2")
    member, seen, records = run.members[1], Seen(), []
    complete_member(run, member)
    local = files_of(run.member_folder(member))
    for file in run.member_folder(member).iterdir():
        file.unlink()
    run.session.register(seen)
    replay = Replay(run, run.members)

    def report(record):
        records.append(record)
        replay.show(json.loads(json.dumps(record)))

    run_job(job_of(run, member), report)
    assert files_of(run.member_folder(member)) == local
    assert [event[0] for event in seen.events if event[0] != "step"] == ["start", "epoch", "epoch", "end"]
    assert seen.events[0] == ("start", member.name, 1) and ("step", 0, 1, 3) in seen.events
    assert seen.events[-1][1] == finished(run, member, run.member_folder(member)) == finish_member(run, member)


def test_a_worker_opens_a_run_once(make_run, monkeypatch):
    run, opened = make_run("training.epochs=1"), []
    import compete.workers.work as work

    join = work.join_run
    monkeypatch.setattr(work, "join_run", lambda *a, **k: opened.append(1) or join(*a, **k))
    worker = Worker()
    for member in run.members[:2]:
        worker.do(job_of(run, member))
    assert opened == [1] and not training_of(run, run.members[:2]).pending(run.members[:2])
    worker.do(replace(job_of(run, member), cwd=os.fspath(Path.cwd()), doctor=not run.session.options.doctor))
    assert opened == [1, 1]


def test_other_data_here_than_where_the_run_was_started_are_refused(make_run, tiny):
    run = make_run()
    table = pd.read_csv(tiny / "data/train.csv", dtype=str)
    table["label"] = np.roll(table["label"].to_numpy(), 2)
    table.to_csv(tiny / "data/train.csv", index=False)
    with pytest.raises(CompeteError, match=r"^here differ from .*the training rows or their images"):
        run_job(job_of(run, run.members[0]))
    assert not run.member_folder(run.members[0]).exists()


def test_warnings_of_a_worker_reach_the_run_also_through_its_files(make_run):
    overrides = ("training.epochs=1", "model.name=oracle")
    run, told = make_run(*overrides), []
    run_job(job_of(run, run.members[0]), told.append)
    texts = [record["text"] for record in told if record["event"] == "warning"]
    assert any(text.startswith("initial loss: ") for text in texts), texts
    other = make_run(*overrides)
    finish_member(other, other.members[0])
    assert set(texts) <= set(other.session.warnings)


def test_what_needs_the_network_says_where_it_is(make_run):
    run = make_run("training.epochs=1")
    record = {"event": "start", "member": run.members[0].name, "epoch": 0, "epochs": 1, "step": 0,
              "steps_per_epoch": 3, "samples_seen": 0, "history": []}  # fmt: skip

    class Greedy:
        @hookimpl
        def on_member_start(self, trainer):
            trainer.network.eval()

    run.session.register(Greedy())
    with pytest.raises(CompeteError, match=r"network: another process trains fold0-seed42.*\[\[callbacks\]\]"):
        Replay(run, run.members).show(record)
