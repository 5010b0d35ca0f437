"""Train members in processes of this machine: one a GPU, or each with a share of the CPU's cores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Annotated, Any

from pydantic import Field

from compete import ConfigError, Count, Member, MemberResult, TrainMember, failure, plural, python_command, signal_name

from ._queue import Waiting

STOP_SECONDS = 10.0  # for a worker to end its step and let its member go


def processes(
    members: list[Member],
    train: TrainMember,
    *,
    workers: Annotated[int, Field(ge=0, le=1024)] = 0,
    members_per_device: Count = 1,
    threads: Annotated[int, Field(ge=0, le=1024)] = 0,
    retries: Annotated[int, Field(ge=0, le=100)] = 2,
) -> list[MemberResult]:
    """Train the members in several processes of this machine, one member a GPU, or each on a share of the cores.

    With `[training] devices` above 1, a member has so many GPUs, or CPU processes. `workers` is the number of members
    in training; 0: `members_per_device` for each GPU, or one for each core. `members_per_device` puts several on one
    GPU, where one alone does not fill it. `threads` is how many CPU threads a process has; 0: OMP_NUM_THREADS where it
    is set, else the cores by the processes. Other threads add up
    in another order, so results are those of `local` to the last bit with the same OMP_NUM_THREADS for both.
    `retries` is how often a member whose process died goes on in another one, from its last checkpoint.
    """
    pending = train.pending(members)
    each, devices = train.devices, _devices(train.device, train.devices) * members_per_device
    count = min(workers or len(devices) or max(1, _cores() // each), len(pending))
    share = threads or _omp_threads() or max(1, _cores() // max(1, count * each))
    if pending:
        pool = Pool(train, Waiting(pending, train, retries), share)
        pool.run([devices[number % len(devices)] if devices else None for number in range(count)])
    return [train(member) for member in members]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _omp_threads() -> int:
    """Return the first number of OMP_NUM_THREADS, which may be a list, one for each level: "4,2"; 0 if it has none."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def _devices(kind: str, each: int) -> list[str]:
    """Return the GPUs as CUDA_VISIBLE_DEVICES names them, `each` together; none on a CPU, one nameless on an Apple GPU.

    Raise `ConfigError` for fewer GPUs than one member needs.
    """
    if kind != "cuda":
        return [] if kind == "cpu" else [""]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = chosen.split(",") if chosen else _all_gpus()
    if len(names) < each:
        raise ConfigError(f"[training] devices = {each}: this machine has {plural(len(names), 'GPU')}")
    return [",".join(names[first : first + each]) for first in range(0, len(names) - each + 1, each)]


def _all_gpus() -> list[str]:
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


class Child:
    """A process that does jobs: `python -m compete.workers`."""

    def __init__(self, device: str | None, threads: int, events: SimpleQueue[tuple[Child, dict[str, Any]]]) -> None:
        self.device = device
        self.member: Member | None = None
        visible = {"CUDA_VISIBLE_DEVICES": device} if device else {}
        self._process = subprocess.Popen(
            python_command("compete.workers"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "OMP_NUM_THREADS": str(threads), **visible},
            start_new_session=True,  # Ctrl-C reaches the driver alone, which then stops its workers
        )
        threading.Thread(target=self._read, args=(events,), daemon=True).start()

    def _read(self, events: SimpleQueue[tuple[Child, dict[str, Any]]]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with suppress(ValueError):  # half a line, of a process that was killed while it wrote
                    events.put((self, json.loads(line)))
        self._process.wait()
        events.put((self, {"event": "died"}))

    def give(self, member: Member, job: str) -> None:
        """Send a job; that a dead process cannot read it is found by its end."""
        self.member = member
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(job + "\n")
            self._process.stdin.flush()

    def why(self) -> str:
        """Return how the process ended."""
        status = self._process.returncode
        if status >= 0:
            return f"exit status {status}"
        name = signal_name(-status)
        return f"{name}, as when memory runs out" if name == "SIGKILL" else name

    def end(self) -> None:
        """Let the process stop: it does so when its input ends."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def kill(self, seconds: float) -> None:
        """Wait for the process, and after some seconds kill it with all that it started."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL) if hasattr(os, "killpg") else self._process.kill()
            self._process.wait()


class Pool:
    """Workers that train the members that wait; however it ends, no worker outlives it."""

    def __init__(self, train: TrainMember, waiting: Waiting, threads: int) -> None:
        self._train = train
        self._waiting = waiting
        self._threads = threads
        self._events: SimpleQueue[tuple[Child, dict[str, Any]]] = SimpleQueue()
        self._children: list[Child] = []

    def run(self, devices: Sequence[str | None]) -> None:
        """Train every member that waits, in one process for each device. Raise the first error of a member."""
        try:
            for device in devices:
                self._start(device)
            while any(child.member for child in self._children):
                child, record = self._events.get()
                if child in self._children:
                    self._handle(child, record)
        finally:
            for child in self._children:
                child.end()
            for child in self._children:
                child.kill(STOP_SECONDS)

    def _start(self, device: str | None) -> None:
        child = Child(device, self._threads, self._events)
        self._children.append(child)
        self._next(child)

    def _next(self, child: Child) -> None:
        child.member = None
        if len(self._waiting):
            member = self._waiting.take()
            child.give(member, self._train.job(member, cpus=self._threads).to_json())

    def _handle(self, child: Child, record: dict[str, Any]) -> None:
        if record["event"] == "failed":
            raise failure(record["failure"])
        if record["event"] == "done":
            self._next(child)
        elif record["event"] != "died":
            self._train.replay(record)
        else:
            child.end()
            self._children.remove(child)
            if child.member is not None:
                self._waiting.died(child.member, child.why())
                self._start(child.device)
