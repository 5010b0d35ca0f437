"""One `submit` never makes two submissions: killed between any two steps, and beside another process."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from compete.leaderboard.records import load_records
from reliability.conftest import PATIENCE_SECONDS, THOROUGH
from submit_fixtures import COMMANDS, compete, make_run, no_pauses, server, start  # noqa: F401

KILLED = "`compete submit` killed before or after any write or request: resumed, it makes exactly one submission"
BESIDE = "`submit` and `submit --resume` of one run at the same moment: at most one submission"

STEPS = """
import os, signal
from compete import store
from compete.leaderboard import records
from compete_plugins.uploads import _child

left = int(os.environ["KILL_AT"])


def step():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def around(owner, name):
    inner = getattr(owner, name)

    def stepped(*positional, **named):
        step()
        result = inner(*positional, **named)
        step()
        return result

    setattr(owner, name, stepped)


around(store, "write_atomic")
around(records, "append_line")
around(_child.Child, "call")
"""


def submit_until(step: int, run: str) -> int:
    """Submit in a process that is killed at a step; return its exit status."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "KILL_AT": str(step)}
    command = [sys.executable, "-c", STEPS + COMMANDS, "submit", run, "--no-wait"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode in {0, -9}, done.stderr.decode()
    return done.returncode


def resume(folder: Path, compete) -> str:
    """Finish what was killed as a user would; a lost request gets the time that it may take."""
    if not load_records(folder / "uploads.json"):
        return compete("submit", folder.name)[1]
    code, out, err = compete("submit", folder.name, "--resume")
    if code == 1 and "Nothing is sent twice" in err:
        data = json.loads((folder / "uploads.json").read_text())
        for record in data["submissions"]:
            record["tried_at"] = (datetime.fromisoformat(record["tried_at"]) - timedelta(hours=2)).isoformat()
        (folder / "uploads.json").write_text(json.dumps(data))
        out = compete("submit", folder.name, "--resume")[1]
    return out


@pytest.mark.promise(KILLED)
def test_a_kill_at_any_step(tiny, server, compete, no_pauses, count):
    server.competitions["digits"].daily = 10_000
    killed, stride = 0, max(1, 5 // THOROUGH)
    step = 1
    while submit_until(step, make_run(tiny, f"run-{step:03}").name) == -9:
        folder, before = tiny / f"submissions/tiny/run-{step:03}", len(server.submissions)
        assert "leaderboard public 0.8125" in resume(folder, compete)
        marker = load_records(folder / "uploads.json")[-1].id
        made = [row for row in server.submissions if row["description"].split()[0] == folder.name]
        assert len(made) == 1 and marker in made[0]["description"] and len(server.submissions) <= before + 1
        killed += 1
        step += stride
    assert step > 20
    count(killed)


@pytest.mark.promise(BESIDE)
def test_submit_and_resume_at_one_moment(tiny, server, count):
    server.competitions["digits"].daily = 10_000
    for number in range(1, 2 + 2 * THOROUGH):
        folder = make_run(tiny, f"run-{number:03}")
        both = [start("submit", folder.name, "--no-wait"), start("submit", folder.name, "--no-wait")]
        both += [start("submit", folder.name, "--resume", "--no-wait") for _ in range(2)]
        for process in both:
            process.communicate(timeout=PATIENCE_SECONDS)
        made = [row for row in server.submissions if row["description"].split()[0] == folder.name]
        assert len(made) == 1, made
        count(1)
