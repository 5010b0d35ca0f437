"""Fixtures for the commands around submitting: a finished run of the tiny competition, and commands as typed."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from compete import cli
from compete.config.load import load_config
from compete.identity import digest_file
from compete.leaderboard.commands import add_commands
from compete.leaderboard.retry import Clock
from compete.scores import write_scores
from compete.stages.run_folder import start_folder
from kaggle_server import Competition, KaggleServer
from scores_fixtures import make_scores

COMMANDS = """
from compete import cli
from compete.leaderboard.commands import add_commands
if not any(command.callback.__name__ == "submit" for command in cli.app.registered_commands):
    add_commands(cli.app)
cli.main()
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("train.csv", "id,label\n1,0\n")
    with KaggleServer(Competition("digits", daily=2, archive=data.getvalue())) as server:
        server.polls = 0
        environment = server.environment(tmp_path / "home", KAGGLE_API_TOKEN="good-token")
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def compete(monkeypatch, capsys):
    """Return a function that runs a command; it gives the exit status, stdout and stderr."""
    if not any(command.callback.__name__ == "submit" for command in cli.app.registered_commands):
        add_commands(cli.app)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["compete", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr("compete.leaderboard.flow.CLOCK", Clock(pause=lambda _: None))


def write_predictions(tiny: Path, path: Path, number: int = 0) -> None:
    """Write a file that fits the sample submission, another one for each number: its bits are the classes."""
    header, *rows = (tiny / "data/sample.csv").read_text().splitlines()
    cells = [f"{row.partition(',')[0]},{number >> place & 1}" for place, row in enumerate(rows)]
    path.write_text("\n".join([header, *cells]) + "\n")


def make_run(tiny: Path, name: str = "run-001", upload: str = '{name="kaggle", competition="digits"}') -> Path:
    """Write a finished run's folder, as the runner does; its file depends on the number in its name."""
    overrides = [f"upload={upload}"] if upload else []
    folder = tiny / "submissions/tiny" / name
    start_folder(folder, load_config(tiny / "tiny.toml", overrides), {}, time.time())
    file = folder / "submission.csv"
    write_predictions(tiny, file, int(re.sub(r"\D", "", name) or 1) - 1)
    cv = {"mean": 0.73, "std": 0.01, "oof": 0.74, "folds": {"fold0-seed42": 0.72, "fold1-seed42": 0.74}}
    scores = make_scores(cv=cv, submission={"sha256": digest_file(file)}, competition="tiny", run=name)
    write_scores(folder, scores)
    return folder


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMANDS, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the same sources as here
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
