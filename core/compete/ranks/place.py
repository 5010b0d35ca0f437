"""Which of several machines (nodes) this is, and where the first one is: from the variables of torchrun or SLURM."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compete.errors import ConfigError
from compete.text import format_list

PORT = 29500  # torchrun's
NODE, COUNT = ("NODE_RANK", "GROUP_RANK", "SLURM_NODEID"), ("GROUP_WORLD_SIZE", "SLURM_NNODES")
LOCAL = ("LOCAL_RANK", "SLURM_LOCALID")  # of the processes that were started on this machine


@dataclass(frozen=True)
class Place:
    """This machine's number of `count`, from 0, and where the first one listens."""

    node: int
    count: int
    address: str
    port: int

    def __str__(self) -> str:
        """Return "node 1 of 2", counted from 0 as NODE_RANK is."""
        return f"node {self.node} of {self.count}"


def read_place(count: int, environment: Mapping[str, str] = os.environ, command: Sequence[str] | None = None) -> Place:
    """Read the place of this machine among `count`. Raise `ConfigError` with every problem and the commands to type."""
    found = {name: environment[name] for name in (*NODE, *COUNT, *LOCAL, "MASTER_PORT") if environment.get(name)}
    problems = [f"{name} = {text}: must be an integer" for name, text in found.items() if not text.isdecimal()]
    numbers = {name: int(text) for name, text in found.items() if text.isdecimal()}
    node = next((numbers[name] for name in NODE if name in numbers), None)
    address = environment.get("MASTER_ADDR") or _slurm_address(environment)
    missing = [name for name, value in (("NODE_RANK", node), ("MASTER_ADDR", address)) if value in (None, "")]
    if missing and not problems:
        problems.append(f"{format_list(missing)} must say, in the environment, which machine this is and which leads")
    if node is not None and node >= count:
        problems.append(f"this machine is number {node}, and they are counted from 0 to {count - 1}")
    problems += [f"{name} = {numbers[name]}" for name in COUNT if numbers.get(name, count) != count]
    if numbers.get("MASTER_PORT", PORT) not in range(1, 65535):
        problems.append(f"MASTER_PORT = {numbers['MASTER_PORT']}: must be from 1 to 65534")
    if any(numbers.get(name) for name in LOCAL) or environment.get("LOCAL_WORLD_SIZE", "1") != "1":
        problems.append("several processes were started on this machine: start one, which starts one for each device")
    if problems:
        raise ConfigError(f"[training] nodes = {count}: {'; '.join(problems)}.\n{_commands(count, command)}")
    assert node is not None
    return Place(node, count, address, _port(numbers, environment))


def _port(numbers: Mapping[str, int], environment: Mapping[str, str]) -> int:
    if "MASTER_PORT" in numbers:  # torchrun itself listens there
        return numbers["MASTER_PORT"] + (environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True")
    job = environment.get("SLURM_JOB_ID", "")
    return 15000 + int(job[-4:]) if job.isdecimal() else PORT  # as Lightning does: two jobs may share a machine


def _slurm_address(environment: Mapping[str, str]) -> str:
    """Return the first machine of a SLURM job."""
    names = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    if not names or not environment.get("SLURM_NODEID"):
        return ""
    from lightning_fabric.plugins.environments import SLURMEnvironment

    return str(SLURMEnvironment.resolve_root_node_address(names))


def _commands(count: int, command: Sequence[str] | None) -> str:
    """Return what to type on each machine, with this one as the first."""
    typed, host = shlex.join(command or ["compete", *sys.argv[1:]]), socket.gethostname()
    lines = [f"  NODE_RANK={node} MASTER_ADDR={host} {typed}" for node in range(min(count, 2))]
    lines += ["  ..."] if count > 2 else []
    return "\n".join(
        [
            f"Type these in the same folder of a shared disk, the first line on this machine ({host}):",
            *lines,
            f"or in a SLURM job: srun --nodes={count} --ntasks-per-node=1 {typed}",
            "MASTER_PORT is 29500 where it is not set. To use this machine alone: --set training.nodes=1",
        ]
    )
