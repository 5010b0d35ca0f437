"""What the kill tests run in child processes; imported there by name."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

import compete.runner
from compete.config import load_config
from compete.plugins import load_plugins
from compete.runs import Run

SLOW_STEP_SECONDS = 0.01


class Slow:
    """Makes a tiny run last long enough to be killed somewhere inside."""

    from compete.hookspecs import hookimpl

    @hookimpl
    def on_step_end(self) -> None:
        time.sleep(SLOW_STEP_SECONDS)


def run_in(folder: str, *overrides: str) -> None:
    """Run the tiny competition of a folder."""
    os.chdir(folder)
    torch.set_num_threads(1)
    told = compete.runner._told

    def slow_told(run: Run):
        run.register(Slow())
        return told(run)

    compete.runner._told = slow_told
    compete.runner.run_competition(load_config(Path("tiny.toml"), overrides))


load_plugins()  # imported before the fork, so that a child starts at once
