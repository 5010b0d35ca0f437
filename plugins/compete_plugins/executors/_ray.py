"""Train members on a Ray cluster: one that runs already, or a local one for this run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import Field

from compete import (
    CompeteError,
    ConfigError,
    Count,
    Job,
    Member,
    MemberResult,
    Shipment,
    TrainMember,
    component,
    failure,
    failure_record,
)

from ._local_cluster import ADDRESS, OPTIONS, local_cluster
from ._nodes import Nodes, last_line, on_node
from ._queue import Waiting

POLL_SECONDS = 0.2


@component(shared=local_cluster)
def ray(
    members: list[Member],
    train: TrainMember,
    *,
    address: str = "",
    members_per_device: Count = 1,
    cpus_per_member: Annotated[int, Field(ge=0, le=1024)] = 0,
    retries: Annotated[int, Field(ge=0, le=100)] = 2,
    storage: str = "",
    ship: bool = False,
) -> list[MemberResult]:
    """Train the members as tasks of a Ray cluster, which also predict: one member a GPU, or on a share of the cores.

    `address` is a running cluster's ("auto", "10.0.0.1:6379"); empty: a local one, ended with the run. Its nodes need
    compete, installed plugins, and the data at the same path or at a URL (`[competition] root`). `ship` copies them to
    each node once, into its folder for temporary files: the root, and files that the TOML names by relative paths.
    `members_per_device` puts several members on one GPU. `cpus_per_member` is a member's cores, for threads and
    loaders; 0: the cluster's, shared out. `retries` is how often a member whose process or node died goes on elsewhere,
    from its last checkpoint. `storage` is a URL (s3://bucket/folder) for checkpoints and results, where nodes do not
    share the run's disk.
    """
    pending = train.pending(members)
    pending = train.fetch(pending, storage) if storage else pending
    if pending:
        with _cluster(address):
            tasks = Tasks(train, Waiting(pending, train, retries), storage)
            tasks.run(pending, ship, members_per_device, cpus_per_member)
    return [train(member) for member in members]


def _import() -> Any:  # noqa: ANN401 - Ray is an extra
    try:
        import ray as library
    except ImportError as error:
        raise ConfigError('[executor] name = "ray" needs Ray: pip install "compete[ray]"') from error
    return library


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    """Connect to a cluster, or start one; Ctrl-C and SIGTERM stay with the command."""
    library, in_main = _import(), threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)} if in_main else {}
    place = address or os.environ.get(ADDRESS, "local")
    local = {"include_dashboard": False} if place == "local" else {}
    try:
        library.init(address=place, **OPTIONS, **local)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise CompeteError(f'[executor] address = "{address}": {str(error).partition(chr(10))[0]}') from error
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)  # Ray puts its own in their place
        yield
    except library.exceptions.RayError as error:  # not of a task: the head is gone, or what runs beside the driver
        raise CompeteError(
            f"the Ray cluster failed: {type(error).__name__}: {last_line(error)}. Finished members are kept, and the "
            "others resume from their last checkpoints when you run the same command again."
        ) from error
    finally:
        library.shutdown()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _work(job: Job, shipment: Shipment | None, sender: Any, events: Any) -> dict[str, Any] | None:  # noqa: ANN401
    """Do a job on a node; return the failure, which is no fault of Ray's."""
    from compete import run_job

    try:
        run_job(on_node(job, shipment, sender), events.put)
    except Exception as error:
        return failure_record(error)
    return None


class Tasks:
    """The tasks of a run's members."""

    def __init__(self, train: TrainMember, waiting: Waiting, storage: str) -> None:
        self._library = _import()
        self._train = train
        self._waiting = waiting
        self._storage = storage
        self._running: dict[Any, Member] = {}

    def run(self, pending: list[Member], ship: bool, members_per_device: int, cpus: int) -> None:
        """Train the pending members, which wait. Raise the first error of a member."""
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        gpus, cpus = self._share(members_per_device, cpus)
        here = NodeAffinitySchedulingStrategy(self._library.get_runtime_context().get_node_id(), soft=False)
        events = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        nodes = Nodes(self._train, pending, self._storage, ship, here)
        nodes.check(cpus, gpus)
        work = self._library.remote(_work).options(num_cpus=cpus, num_gpus=gpus, max_retries=0)
        try:
            while len(self._waiting) or self._running:
                while len(self._waiting):
                    member = self._waiting.take()
                    job = self._train.job(member, cpus=cpus, storage=self._storage)
                    self._running[work.remote(job, *nodes.shipped(job), events)] = member
                done, _ = self._library.wait(list(self._running), timeout=POLL_SECONDS)
                self._show(events)
                for task in done:
                    self._end(task)
        finally:
            for task in self._running:
                self._library.cancel(task, force=True)

    def _share(self, members_per_device: int, cpus: int) -> tuple[float, int]:
        """Return the GPUs and cores of a member. Raise `ConfigError` where the cluster has no such node."""
        nodes = [node["Resources"] for node in self._library.nodes() if node["Alive"]]
        cores, devices = (sum(int(node.get(kind, 0)) for node in nodes) for kind in ("CPU", "GPU"))
        if self._train.device_setting == "cuda" and not devices:
            raise ConfigError('[training] device = "cuda": no node of the Ray cluster has a GPU. Set device = "auto".')
        on_gpu = devices > 0 and self._train.device_setting in ("auto", "cuda")
        each = self._train.devices
        parts = max(1, devices // each) * members_per_device if on_gpu else len(self._waiting)
        largest = max(int(node.get("CPU", 0)) for node in nodes if not on_gpu or node.get("GPU"))
        if cpus > largest:
            raise ConfigError(f"[executor] cpus_per_member = {cpus}: no node has more than {largest} of them")
        if on_gpu and each > max(int(node.get("GPU", 0)) for node in nodes):
            raise ConfigError(f"[training] devices = {each}: no node of the Ray cluster has so many GPUs")
        return (each / members_per_device if on_gpu else 0), cpus or max(1, min(largest, cores // parts))

    def _show(self, events: Any) -> None:  # noqa: ANN401 - Ray's queue
        while size := events.size():
            for record in events.get_nowait_batch(size):
                self._train.replay(record)

    def _end(self, task: Any) -> None:  # noqa: ANN401 - Ray's reference
        member, errors = self._running.pop(task), self._library.exceptions
        try:
            failed = self._library.get(task)
        except errors.RayTaskError as error:  # the node could not even begin, as where compete is not installed
            raise CompeteError(f"{member.name}: a node cannot train it: {last_line(error)}") from None
        except errors.RayError as error:
            self._waiting.died(member, type(error).__name__)
        else:
            if failed is not None:
                raise failure(failed)
            if self._storage:
                self._train.fetch([member], self._storage)
