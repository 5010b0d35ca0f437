"""A node that follows: it starts its ranks of each member that the first node trains, until that one is finished."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from compete.errors import CompeteError, ConfigError, Stopped, TrainingError
from compete.jobs.failures import failure, failure_record
from compete.jobs.job import Job, Record
from compete.jobs.launch import refuse_ranks
from compete.jobs.local_ranks import Start, started
from compete.nodes.lead import WAIT_SECONDS
from compete.ranks.nodes import Link, Message
from compete.ranks.place import Place
from compete.store import make_folder
from compete.text import duration, echo

if TYPE_CHECKING:
    from compete.config.load import Config

RETRY_SECONDS = 0.5
Inbox = queue.SimpleQueue[tuple[int, int, Record] | Message | None]  # (turn, rank, record) of ours, or the first node's


def follow(place: Place, configs: Sequence[Config], settings: Message, seconds: float = WAIT_SECONDS) -> None:
    """Train this node's part of every member until the first node is finished, which writes all results.

    Raise `CompeteError` as the first node does, or where it is not there after so many seconds, or gone; `Stopped`
    where it was stopped.
    """
    me = f"node {place.node} ({socket.gethostname()})"
    hello: Message = {"node": place.node, "host": socket.gethostname(), "settings": settings}
    problem = _problem(configs)
    if problem is not None:
        hello["failure"] = _of_node(me, failure_record(problem))
    echo(f"{place}: joins node 0 at {place.address}:{place.port}, waiting {duration(seconds)} at most")
    link = _connected(place, seconds)
    try:
        link.send(hello)
        _obey(place, me, link)
    except Stopped:
        link.send({"left": "was stopped"})
        raise
    except CompeteError as error:
        link.send({"left": f"failed: {error}"})
        raise
    finally:
        link.close()


def _problem(configs: Sequence[Config]) -> CompeteError | None:
    """Return what this machine lacks."""
    try:
        for config in configs:
            for each in [variant.config for variant in config.variants] or [config]:
                refuse_ranks(each, nodes=True)
    except CompeteError as error:
        return error
    return None


def _connected(place: Place, seconds: float) -> Link:
    until = time.monotonic() + seconds
    while True:
        try:
            connection = socket.create_connection((place.address, place.port), timeout=max(1.0, seconds / 60))
        except socket.gaierror as error:
            raise ConfigError(f"MASTER_ADDR = {place.address}: unknown host ({error.strerror})") from error
        except OSError as error:
            if time.monotonic() > until:
                raise TrainingError(
                    f"node 0 does not answer at {place.address}:{place.port} after {duration(seconds)} "
                    f"({error.strerror or error}). It may be finished, or failed: look at its output."
                ) from error
            time.sleep(RETRY_SECONDS)
        else:
            connection.settimeout(None)
            return Link(connection)


def _obey(place: Place, me: str, link: Link) -> None:
    """Do what the first node says, and report what our ranks do, until it is over."""
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_read, args=(link, inbox), daemon=True).start()
    with ExitStack() as ranks:
        while True:
            message = inbox.get()
            if isinstance(message, tuple):
                turn, rank, record = message
                if "failure" in record:
                    record["failure"] = _of_node(me, record["failure"])
                link.send({"turn": turn, "rank": rank, "record": record})
                continue
            ranks.close()  # those of the last member
            if message is None:
                raise TrainingError(
                    f"node 0 ({place.address}) is gone: its process was killed, or the machine or its network failed. "
                    "Run the same command again on every node: members resume from their last checkpoints."
                )
            if message["do"] == "train":
                echo(f"{place}: trains its part of {message['member']}")
                _start(place, ranks, message, inbox)
            elif message["do"] == "over":
                _end(place, message)
                return


def _read(link: Link, inbox: Inbox) -> None:
    while message := link.receive():
        inbox.put(message)
    inbox.put(None)


def _start(place: Place, ranks: ExitStack, message: Message, inbox: Inbox) -> None:
    """Start this node's ranks of a member; what is wrong with its disk is reported for the first of them."""
    turn, devices = message["turn"], message["devices"]
    own = range(devices * place.node, devices * (place.node + 1))
    job = Job.from_json(message["job"])
    try:
        _refuse_other_disk(job)
        log = Path(job.folder) / "members" / job.member.name / f"ranks-node{place.node}.log"
        make_folder(log.parent)
        start = Start(message["job"], own, devices * place.count, place.address, message["port"], log)
        ranks.callback(log.unlink, missing_ok=True)
        ranks.enter_context(started(start, lambda rank, record: inbox.put((turn, rank, record))))
    except CompeteError as error:
        inbox.put((turn, own[0], {"event": "failed", "failure": failure_record(error)}))


def _refuse_other_disk(job: Job) -> None:
    for folder, what in ((Path(job.cwd), "where the run was started"), (Path(job.folder), "the run's folder")):
        if not folder.is_dir() or (folder == Path(job.folder) and not (folder / "run.json").exists()):
            raise CompeteError(f"{folder}, {what}, is not there: share its disk, at the same path on every node")


def _of_node(me: str, record: Record) -> Record:
    """Return the record of a failure with this node's name in front of each problem."""
    return {**record, "problems": [f"{me}: {problem}" for problem in record["problems"]]}


def _end(place: Place, message: Message) -> None:
    if message["how"] == "stopped":
        raise Stopped
    if message["how"] == "failed":
        raise failure(message["failure"])
    echo(f"{place}: node 0 is finished, and has the results")
