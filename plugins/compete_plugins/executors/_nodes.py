"""The nodes of a Ray cluster before members are trained there: each gets the files that it lacks, or is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compete import CompeteError, ConfigError, Job, Member, Shipment, TrainMember, missing_here, plural

AT_A_TIME = 8  # nodes that read files of the driver's machine
POLL_SECONDS = 0.2


class Sender:
    """A Ray actor on the machine that has the files: nodes read from it what they unpack."""

    def __init__(self, shipments: Mapping[str, Shipment]) -> None:
        self._shipments = shipments

    def read(self, run: str, batch: int) -> list[bytes]:
        """Return the pieces of a batch."""
        return self._shipments[run].read(batch)


def on_node(job: Job, shipment: Shipment | None, sender: Any) -> Job:  # noqa: ANN401 - a handle of Ray's
    """Return the job as it is done on this node, once the files that are shipped are there."""
    if shipment is None:
        return job
    import ray

    def read(batch: int) -> list[bytes]:
        try:
            return list(ray.get(sender.read.remote(job.folder, batch)))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None

    return job.moved(shipment, shipment.unpack(read))


def lacks(job: Job, shipment: Shipment | None, sender: Any) -> list[str]:  # noqa: ANN401 - as in on_node
    """Return what this node lacks for a job, after it got what is shipped."""
    try:
        return missing_here(on_node(job, shipment, sender))
    except CompeteError as error:
        return [str(error)]


class Nodes:
    """What the nodes of a cluster need for the runs of some members; `here` places an actor on the driver's node."""

    def __init__(self, train: TrainMember, members: Sequence[Member], storage: str, ship: bool, here: object) -> None:
        import ray

        self._ray, self._train = ray, train
        of_run = {train.job(member).folder: member for member in members}
        self._jobs = [train.job(member, storage=storage) for member in of_run.values()]
        self._sender, self._shipments = None, dict[str, Any]()
        if ship:
            shipments = {run: train.shipment(member) for run, member in of_run.items()}
            actor = ray.remote(Sender).options(num_cpus=0, max_concurrency=AT_A_TIME, scheduling_strategy=here)
            self._sender = actor.remote(shipments)
            self._shipments = {run: ray.put(shipment) for run, shipment in shipments.items()}

    def shipped(self, job: Job) -> tuple[Any, Any]:
        """Return what `on_node` takes beside a job."""
        return self._shipments.get(job.folder), self._sender

    def check(self, cpus: int, gpus: float) -> None:
        """Have each node that can train a member get its files. Raise `ConfigError` with what nodes lack.

        A node that comes later does the same before its first member.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        able = [
            node["NodeID"]
            for node in self._ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0) >= cpus and node["Resources"].get("GPU", 0) >= gpus
        ]
        task = self._ray.remote(lacks)
        asked = {
            task.options(
                num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote(job, *self.shipped(job)): node
            for node in able
            for job in self._jobs
        }
        waiting, lacking = list(asked), dict[str, list[str]]()
        while waiting:
            done, waiting = self._ray.wait(waiting, timeout=POLL_SECONDS)
            for each in done:
                if problems := self._result(each):
                    lacking.setdefault(asked[each], []).extend(problems)
                if self._sender is not None:
                    self._show(len(asked) - len(waiting), len(asked))
        if lacking:
            first, *others = lacking.values()
            more = [f"{plural(len(others), 'other node')} cannot train either"] if others else []
            raise ConfigError(dict.fromkeys([*first, *more]))

    def _result(self, task: Any) -> list[str]:  # noqa: ANN401 - a reference of Ray's
        try:
            return list(self._ray.get(task))
        except self._ray.exceptions.RayTaskError as error:  # it could not even begin, as without compete
            return [f"a node cannot train members: {last_line(error)}"]
        except self._ray.exceptions.RayError:  # a node that died: the others train its members
            return []

    def _show(self, done: int, total: int) -> None:
        progress = {"event": "progress", "member": "", "what": "ship files to nodes", "done": done, "total": total}
        self._train.replay({**progress, "run": self._jobs[0].folder})


def last_line(error: Exception) -> str:
    """Return the last line of an error of Ray's, which says what happened."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
