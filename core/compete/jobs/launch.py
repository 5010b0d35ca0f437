"""Train one member on several devices: start a process (rank) for each, show what the first reports, and end them all.

A rank that fails or dies ends the others, which would wait for it. What the member reached is in its last checkpoint.
"""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from compete.errors import CompeteError, ConfigError, TrainingError
from compete.jobs.failures import failure
from compete.jobs.job import Record, job_of
from compete.jobs.local_ranks import Start, started
from compete.model.device import refuse_devices
from compete.model.selectors import is_fitted
from compete.ranks.nodes import Nodes
from compete.ranks.splits import wanted_splits
from compete.store import make_folder

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.session import Run
    from compete.types import Member

ROOT_SECONDS = 1.0  # after a first failure, which may only follow from that of another rank


def refuse_ranks(config: Config, nodes: bool) -> None:
    """Raise `ConfigError` where members cannot be trained on `[training] devices` of `nodes`, if these are there."""
    settings, executor, problems = config.training, config.one("executors").name, []
    if settings.nodes > 1 and executor != "local":
        problems.append(
            f"[training] nodes = {settings.nodes}: trains one member on several machines, and [executor] name = "
            f'"{executor}" trains each member on one. Set nodes = 1, or [executor] name = "local".'
        )
    if settings.nodes > 1 and not nodes:
        problems.append(
            f"[training] nodes = {settings.nodes}: only `compete run FILE` trains members on several machines. Here, "
            "set nodes = 1."
        )
    if problems:
        raise ConfigError(problems)
    refuse_devices(settings, here=executor == "local")


def needs_ranks(run: Run) -> bool:
    """Return whether this process is to start ranks for its members. A head that is fitted at once needs one device."""
    settings = run.config.training
    return settings.total_devices > 1 and run.ranks.count == 1 and not is_fitted(run.network)


def train_on_ranks(run: Run, member: Member, show: Callable[[Record], object]) -> None:
    """Train a member on `[training] devices` of all nodes, until its result is on disk.

    `show` gets the first rank's events. Where one runs out of memory, all start again from the last checkpoint, with
    more micro-batches. Raise `CompeteError` for what ends a rank.
    """
    if run.fabric.device.type == "cuda":
        torch.cuda.empty_cache()  # what this process holds, the first rank cannot have
    folder, key = run.member_folder(member), run.identity.member(member)
    while True:
        splits = wanted_splits(folder, key)
        try:
            with _turn(run, member):
                _watch(run.session.nodes, run.config.training.total_devices, show)
            return
        except TrainingError:
            more = wanted_splits(folder, key)
            if more <= splits:
                raise
        run.session.warn(
            f"{member.name}: out of memory: splitting each device's part of a batch into {more} micro-batches, from "
            "the last checkpoint on"
        )


@contextmanager
def _turn(run: Run, member: Member) -> Iterator[None]:
    """Start the ranks of a member on all nodes; none on this one outlives the context, and the others are told."""
    nodes, settings, folder = run.session.nodes, run.config.training, run.member_folder(member)
    if nodes.lost:
        raise failure(nodes.lost[0]["failure"])
    make_folder(folder)
    nodes.turn += 1
    turn, port, log = nodes.turn, _free_port(), folder / "ranks.log"
    job = job_of(run, member).to_json()
    nodes.send(
        {
            "do": "train",
            "turn": turn,
            "job": job,
            "member": member.name,
            "port": port,
            "devices": settings.devices,
        }
    )
    start = Start(job, range(settings.devices), settings.total_devices, nodes.address, port, log)
    try:
        with started(start, lambda rank, record: nodes.records.put((turn, rank, record))):
            yield
        log.unlink(missing_ok=True)
    finally:
        nodes.send({"do": "end"})


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])


def _watch(nodes: Nodes, count: int, show: Callable[[Record], object]) -> None:
    """Show the first rank's events until all are done. Raise `CompeteError` for the failure that ended them."""
    done: set[int] = set()
    while len(done) < count:
        turn, rank, record = nodes.records.get()
        if turn not in (0, nodes.turn):
            continue
        if record["event"] in ("failed", "died"):
            raise _cause(nodes, record)
        if record["event"] == "done":
            done.add(rank)
        elif rank == 0:
            show(record)


def _cause(nodes: Nodes, record: Record) -> CompeteError:
    """Return what ended the ranks: an error of compete, a death, or any other error, which may follow from these."""
    found = [record]
    until = time.monotonic() + ROOT_SECONDS
    while (left := until - time.monotonic()) > 0:
        try:
            turn, _, more = nodes.records.get(timeout=left)
        except queue.Empty:
            break
        if turn in (0, nodes.turn) and more["event"] in ("failed", "died"):
            found.append(more)
    return failure(min(found, key=_follows)["failure"])


def _follows(record: Record) -> int:
    """Return how likely a failure is one that follows from another."""
    return 1 if record["event"] == "died" else 2 if record["failure"]["kind"] == "CompeteError" else 0
