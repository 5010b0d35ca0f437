"""What the tests run in child processes, imported there by name: a command, or a run that is killed at a given moment.

The children are forked from a process that has imported everything, so that they start at once. A moment is a number of calls (of Python functions, and of C functions from Python) made inside a place, which is a
function of compete: so a kill can be put between any two calls of a checkpoint's write or of a cache's build.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import torch

import compete.cli
import compete.config.plugins
import compete.data.image_cache
import compete.data.images
import compete.stages.members
import compete.stages.predictions
import compete.stages.runner
import compete.train.checkpoints
import compete.train.loop
from compete.config.load import load_config

PLACES: dict[str, tuple[ModuleType, str]] = {
    "cache build": (compete.data.images, "open_cache"),
    "epoch": (compete.train.loop, "train_epoch"),
    "validation": (compete.train.loop, "validate"),
    "checkpoint": (compete.train.checkpoints, "save_checkpoint"),
    "end of a member": (compete.stages.members, "write_member"),
    "prediction of OOF": (compete.stages.predictions, "_predict_oof"),
    "prediction of test": (compete.stages.predictions, "_predict_test"),
    "ensemble": (compete.stages.runner, "blend"),
    "submission": (compete.stages.runner, "write_checked"),
}


class Calls:
    """Counts the calls made inside places; kills the process at one of them."""

    def __init__(self, place: str, at: int) -> None:
        self.made = dict.fromkeys([place] if place else PLACES, 0)
        self.times = dict.fromkeys(self.made, 0)
        self.inside: list[str] = []
        self.place, self.at, self.process = place, at, os.getpid()
        for name in self.made:
            module, function = PLACES[name]
            setattr(module, function, self._watched(name, getattr(module, function)))

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def watched(*arguments: Any, **options: Any) -> Any:
            self.times[name] += 1
            self.inside.append(name)
            threading.setprofile(self.count)
            sys.setprofile(self.count)
            try:
                return function(*arguments, **options)
            finally:
                self.inside.pop()
                if not self.inside:
                    sys.setprofile(None)
                    threading.setprofile(None)

        return watched

    def count(self, _frame: FrameType, event: str, _argument: object) -> None:
        if event not in ("call", "c_call") or os.getpid() != self.process:  # loader processes inherit this function
            return
        for name in self.inside:
            self.made[name] += 1
        if self.place and self.made[self.place] > self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def command(folder: str, output: str, arguments: tuple[str, ...], limits: dict[int, int], env: dict[str, str]) -> None:
    """Run the command line in a folder, its output in a file, under resource limits."""
    _begin(folder)
    os.environ.update(env)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(stream), "w", buffering=1) for stream in (1, 2))
    for limit, most in limits.items():
        if limit == resource.RLIMIT_AS:  # beyond what is mapped already
            most += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(limit, (most, most))
    sys.argv = ["compete", *arguments]
    compete.cli.main()


def run_killed(folder: str, overrides: tuple[str, ...], place: str = "", at: int = 0, measure: bool = False) -> None:
    """Run the tiny competition of a folder, killed inside a place if one is named, or write down the calls made in each."""
    _begin(folder)
    sys.stdout = Path("output.txt").open("a")  # noqa: SIM115 - the process's own, until it is killed
    config = load_config(Path("tiny.toml"), overrides)
    calls = Calls(place, at) if place or measure else None
    compete.stages.runner.run_competition(config)
    if measure and calls:
        Path("calls.txt").write_text(
            "".join(f"{name}\t{made // max(1, calls.times[name])}\n" for name, made in calls.made.items())
        )


def _begin(folder: str) -> None:
    """Make runs small: no report page, which takes longer than all the rest, and several chunks in a tiny cache."""
    os.chdir(folder)
    torch.set_num_threads(1)
    compete.config.plugins.BUNDLED = tuple(
        name for name in compete.config.plugins.BUNDLED if name != "compete_plugins.report"
    )
    compete.data.image_cache.CHUNK = 5


compete.config.plugins.load_plugins()
import albumentations  # noqa: E402, F401
import sklearn.metrics  # noqa: E402, F401
