"""What the kill tests run in child processes, imported there by name: the tiny competition, killed at a given moment.

A moment is a number of calls (of Python functions and of C functions from Python) made inside a place, which is a
function of compete: so a kill can be put between any two calls of a checkpoint's write or of a cache's build.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType

import torch

import compete.images
import compete.members
import compete.runner
import compete.store
import compete.training
from compete.config import load_config
from compete.plugins import load_plugins

PLACES = {
    "cache build": compete.images._open_cache,
    "epoch": compete.training.train_epoch,
    "validation": compete.training.validate,
    "checkpoint": compete.store.save_checkpoint,
    "end of a member": compete.members.write_member,
    "prediction of OOF": compete.members._predict_oof,
    "prediction of test": compete.members._predict_test,
    "blend and submission": compete.runner.blend,
    "anywhere": compete.runner.run_competition,
}


class Calls:
    """Counts the calls made inside each place; kills the process at one of them."""

    def __init__(self, place: str, at: int) -> None:
        self.names: dict[CodeType, str] = {function.__code__: name for name, function in PLACES.items()}
        self.inside = dict.fromkeys(PLACES, 0)
        self.made = dict.fromkeys(PLACES, 0)
        self.place, self.at = place, at

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        name = self.names.get(frame.f_code) if event in ("call", "return") else None
        if name is not None:
            self.inside[name] += 1 if event == "call" else -1
        if event in ("call", "c_call"):
            for place, depth in self.inside.items():
                self.made[place] += depth > 0
            if self.made.get(self.place, 0) > self.at >= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def run_in(folder: str, overrides: tuple[str, ...], place: str = "", at: int = -1) -> None:
    """Run the tiny competition of a folder, killed inside a place if one is named; write down the calls made."""
    os.chdir(folder)
    torch.set_num_threads(1)
    config = load_config(Path("tiny.toml"), overrides)
    calls = Calls(place, at)
    threading.setprofile(calls)
    sys.setprofile(calls)
    compete.runner.run_competition(config)
    sys.setprofile(None)
    Path("calls.txt").write_text("".join(f"{name}\t{made}\n" for name, made in calls.made.items()))


load_plugins()  # imported before the fork, so that a child starts at once
