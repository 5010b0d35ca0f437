"""Train one member on several devices: start a process (rank) for each, show what the first reports, and end them all.

A rank that fails or dies ends the others, which would wait for it. What the member reached is in its last checkpoint.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from compete.errors import CompeteError, ConfigError, TrainingError
from compete.jobs.failures import failure
from compete.jobs.job import Record, job_of, python_command
from compete.model.device import refuse_devices
from compete.model.selectors import is_fitted
from compete.ranks.splits import wanted_splits
from compete.store import make_folder
from compete.text import plural, signal_name

if TYPE_CHECKING:
    from pathlib import Path

    from compete.config.load import Config
    from compete.session import Run
    from compete.types import Member

GRACE_SECONDS = 1.0  # for a rank to end by itself, before it is killed, which loses nothing
ROOT_SECONDS = 1.0  # after a first failure, which may only follow from that of another rank


def refuse_ranks(config: Config) -> None:
    """Raise `ConfigError` where members cannot be trained on `[training] devices`."""
    devices, executor = config.training.devices, config.one("executors").name
    if devices > 1 and executor != "local":
        raise ConfigError(
            f'[training] devices = {devices}: trains one member on several devices, and [executor] name = "{executor}" '
            'trains each member on one. Set devices = 1, or [executor] name = "local".'
        )
    refuse_devices(config.training)


def needs_ranks(run: Run) -> bool:
    """Return whether this process is to start ranks for its members. A head that is fitted at once needs one device."""
    settings = run.config.training
    return settings.devices > 1 and run.ranks.count == 1 and not is_fitted(run.network)


def train_on_ranks(run: Run, member: Member, show: Callable[[Record], object]) -> None:
    """Train a member on `[training] devices`, until its result is on disk; `show` gets the first rank's events.

    Where one runs out of memory, all start again from the last checkpoint, with more micro-batches. Raise
    `CompeteError` for what ends a rank.
    """
    if run.fabric.device.type == "cuda":
        torch.cuda.empty_cache()  # what this process holds, the first rank cannot have
    folder, key = run.member_folder(member), run.identity.member(member)
    while True:
        splits = wanted_splits(folder, key)
        try:
            with _started(run, member) as ranks:
                _watch(ranks, show)
            return
        except TrainingError:
            more = wanted_splits(folder, key)
            if more <= splits:
                raise
        run.session.warn(
            f"{member.name}: out of memory: splitting each device's part of a batch into {more} micro-batches, from "
            "the last checkpoint on"
        )


@dataclass(frozen=True)
class _Ranks:
    """The processes of a member, and a queue of (rank, record), with None when a process's output ends."""

    processes: list[subprocess.Popen[str]]
    records: queue.SimpleQueue[tuple[int, Record | None]]
    log: Path


@contextmanager
def _started(run: Run, member: Member) -> Iterator[_Ranks]:
    """Start the ranks of a member; none outlives the context."""
    folder = run.member_folder(member)
    make_folder(folder)
    job = job_of(run, member).to_json()
    count, log = run.config.training.devices, folder / "ranks.log"
    records: queue.SimpleQueue[tuple[int, Record | None]] = queue.SimpleQueue()
    processes: list[subprocess.Popen[str]] = []
    try:
        with log.open("w", encoding="utf-8") as errors:
            for rank, environment in enumerate(_environments(count)):
                process = subprocess.Popen(
                    [*python_command("compete.workers"), "rank"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    encoding="utf-8",
                    env=environment,
                    start_new_session=True,  # Ctrl-C is for the process that started them, which ends them
                )
                processes.append(process)
                threading.Thread(target=_read, args=(rank, process, records), daemon=True).start()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(job + "\n")
            process.stdin.flush()
        yield _Ranks(processes, records, log)
        log.unlink(missing_ok=True)
    finally:
        _end(processes)


def _environments(count: int) -> Iterator[Mapping[str, str]]:
    """Yield the environment of each rank, in torchrun's variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = max(1, (os.cpu_count() or 1) // count)
    for rank in range(count):
        yield {
            "OMP_NUM_THREADS": str(threads),  # as torchrun, unless the user has set it
            **os.environ,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }


def _read(rank: int, process: subprocess.Popen[str], records: queue.SimpleQueue[tuple[int, Record | None]]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        with suppress(ValueError):  # half a line, of a process that was killed while it wrote
            records.put((rank, json.loads(line)))
    records.put((rank, None))


def _watch(ranks: _Ranks, show: Callable[[Record], object]) -> None:
    """Show the first rank's events until all are done. Raise `CompeteError` for the failure that ended them."""
    done: set[int] = set()
    while len(done) < len(ranks.processes):
        rank, record = ranks.records.get()
        if record is None or record["event"] == "failed":
            raise _cause(ranks, rank, record)
        if record["event"] == "done":
            done.add(rank)
        elif rank == 0:
            show(record)


def _cause(ranks: _Ranks, rank: int, record: Record | None) -> CompeteError:
    """Return what ended the ranks: an error of compete, a death, or any other error, which may follow from these."""
    found: list[tuple[int, Record | None]] = [(rank, record)]
    until = time.monotonic() + ROOT_SECONDS
    while (left := until - time.monotonic()) > 0:
        try:
            other, more = ranks.records.get(timeout=left)
        except queue.Empty:
            break
        if more is None or more["event"] == "failed":
            found.append((other, more))
    return min((_explained(ranks, *each) for each in found), key=lambda each: each[0])[1]


def _explained(ranks: _Ranks, rank: int, record: Record | None) -> tuple[int, CompeteError]:
    """Return how likely a failure is one that follows from another, and its error."""
    if record is not None:
        error = failure(record["failure"])
        return (2 if type(error) is CompeteError else 0), error
    status: Any = ranks.processes[rank].wait()
    how = f"was killed by {signal_name(-status)}" if status < 0 else f"ended with status {status}"
    cause = ", most often because memory ran out" if status == -signal.SIGKILL else ""
    return 1, TrainingError(
        f"rank {rank} of {plural(len(ranks.processes), 'device')} {how}{cause} (its output: {ranks.log}). The member "
        "resumes from its last checkpoint when you run the same command again."
    )


def _end(processes: list[subprocess.Popen[str]]) -> None:
    """End all ranks: one that waits for another inside the GPU's library hears no signal but the last."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    for process in processes:
        try:
            process.wait(timeout=max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
