"""Members in processes of their own: the same results, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from compete import CompeteError, ConfigError
from compete.config.load import load_config
from compete.scores import read_scores
from compete.session import RunOptions
from compete.stages.runner import run_competition
from compete.store import NEWEST_FIRST
from compete_plugins.executors._processes import _omp_threads

SAME = ("submission.csv", "oof.parquet", "test.parquet", "members/fold1-seed42/weights.safetensors")
PROCESSES = ("executor.name=processes", "executor.workers=2")


def run(tiny: Path, *overrides: str, **options: object) -> Path:
    return run_competition(
        load_config(tiny / "tiny.toml", overrides), options=RunOptions(doctor=False), **options
    ).folder


def same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in SAME)


def add_to_plugin(tiny: Path, code: str) -> None:
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(code)


DIES = '''

class Dies:
    """Kills the process of a member after its first epoch, as often as it is told to."""

    def __init__(self, times):
        self.times = times

    @hookimpl
    def on_step_end(self, trainer):
        import os, signal
        if trainer.member.fold == 1 and (trainer.epoch, trainer.step) == (1, 1):
            mark = Path("died.txt")
            died = len(mark.read_text()) if mark.exists() else 0
            if died < self.times:
                mark.write_text("x" * (died + 1))
                os.kill(os.getpid(), signal.SIGKILL)


def dies(*, times: int = 1):
    """Kill."""
    return Dies(times)


@hookimpl
def register_hooks() -> dict:
    return {"dies": dies}
'''


def test_processes_give_the_results_of_one_and_survive_the_death_of_a_worker(tiny, capsys):
    add_to_plugin(tiny, DIES)
    local = run(tiny)
    folder = run(tiny, *PROCESSES, 'hooks=[{name="dies"}]', fresh=True)
    assert same(local, folder)
    scores = read_scores(folder)
    assert [w for w in scores.warnings if "fold1-seed42: the process that trained it died (SIGKILL" in w]
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    epochs = sorted((e["member"], e["number"]) for e in events if e["event"] == "epoch")
    assert epochs == [(f"fold{fold}-seed42", epoch) for fold in range(3) for epoch in (1, 2)]  # it resumed at epoch 2
    shown = capsys.readouterr().out
    assert "member fold1-seed42 resumes at epoch 2/2" in shown
    assert all(shown.count(f"member fold{fold}-seed42 done") == 2 for fold in range(3))


def test_members_of_several_devices_are_trained_side_by_side(tiny, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    local = run(tiny, "training.devices=2", "folds.n=2")
    folder = run(tiny, "training.devices=2", "folds.n=2", *PROCESSES, fresh=True)
    assert same(local, folder)
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert {event["member"] for event in log if event["event"] == "epoch"} == {"fold0-seed42", "fold1-seed42"}


def test_a_member_that_kills_its_process_again_and_again_ends_the_run(tiny):
    add_to_plugin(tiny, DIES)
    with pytest.raises(CompeteError, match="fold1-seed42: the process that trained it died 2 times, the last time SIG"):
        run(tiny, *PROCESSES, "executor.retries=1", 'hooks=[{name="dies", times=9}]')
    assert not [p for p in psutil.Process().children(recursive=True) if "compete.workers" in p.cmdline()]


def test_an_error_of_a_member_is_the_run_s_own(tiny):
    add_to_plugin(tiny, DIES.replace("os.kill(os.getpid(), signal.SIGKILL)", "raise ValueError('too bright')"))
    with pytest.raises(
        CompeteError, match=r"hook on_step_end: a plugin raised ValueError\('too bright'\) at .*tiny_pl"
    ):
        run(tiny, *PROCESSES, 'hooks=[{name="dies"}]')


def test_wrong_options_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"\[executor\] workers = -1"):
        load_config(tiny / "tiny.toml", ["executor.name=processes", "executor.workers=-1"])


def test_ctrl_c_ends_every_process_and_the_same_command_resumes(tiny):
    local = run(tiny, "training.epochs=40")
    command = [sys.executable, "-m", "compete", "run", "tiny.toml", "--fresh", "--name", "stopped"]
    sets = [part for override in (*PROCESSES, "training.epochs=40") for part in ("--set", override)]
    with subprocess.Popen([*command, *sets], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            if " epoch 3/40" in line:
                break
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130 and "Run the same command again to resume" in rest and "Traceback" not in rest
    assert len(children) == 2 and not psutil.wait_procs(children, timeout=10)[1]
    folder = tiny / "submissions/tiny/stopped"
    assert any(list(folder.glob(f"members/*/{name}")) for name in NEWEST_FIRST)  # it may stop between two renames
    assert run(tiny, *PROCESSES, "training.epochs=40", name="stopped").resolve() == folder and same(local, folder)


def test_workers_of_a_killed_driver_end(tiny):
    command = [sys.executable, "-m", "compete", "run", "tiny.toml", "--set", "training.epochs=2000"]
    sets = [part for override in PROCESSES for part in ("--set", override)]
    with subprocess.Popen([*command, *sets], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout:
            if " epoch 1/2000" in line:
                break
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert len(children) == 2 and not psutil.wait_procs(children, timeout=15)[1]


@pytest.mark.parametrize(("text", "threads"), [("", 0), ("3", 3), ("4,2", 4), ("many", 0)])
def test_omp_num_threads_may_be_a_list_or_empty(monkeypatch, text, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert _omp_threads() == threads
