"""The ranks of a member on this machine: started with torchrun's variables, read, and ended together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from compete.errors import TrainingError
from compete.jobs.failures import failure_record
from compete.jobs.job import Record, python_command
from compete.text import plural, signal_name

GRACE_SECONDS = 1.0  # for a rank to end by itself, before it is killed, which loses nothing
TORCHRUN = "TORCHELASTIC_"  # its variables would have ranks look for a store of its own


@dataclass(frozen=True)
class Start:
    """What starts a member's ranks on a machine: the job, the ranks, of how many, and where the first one listens."""

    job: str
    ranks: range
    count: int
    address: str
    port: int
    log: Path

    def environments(self) -> Iterator[Mapping[str, str]]:
        """Yield the environment of each rank, in torchrun's variables."""
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(TORCHRUN)}
        threads = max(1, (os.cpu_count() or 1) // len(self.ranks))
        for local, rank in enumerate(self.ranks):
            yield {
                "OMP_NUM_THREADS": str(threads),  # as torchrun, unless the user has set it
                **inherited,
                "RANK": str(rank),
                "LOCAL_RANK": str(local),
                "WORLD_SIZE": str(self.count),
                "MASTER_ADDR": self.address,
                "MASTER_PORT": str(self.port),
            }


@contextmanager
def started(start: Start, report: Callable[[int, Record], object]) -> Iterator[None]:
    """Start ranks; none outlives the context. `report` gets (rank, record), the last one "died" where it ends early."""
    processes: list[subprocess.Popen[str]] = []
    try:
        with start.log.open("w", encoding="utf-8") as errors:
            for rank, environment in zip(start.ranks, start.environments(), strict=True):
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
                threading.Thread(target=_read, args=(start, rank, process, report), daemon=True).start()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(start.job + "\n")
            process.stdin.flush()
        yield
    finally:
        _end(processes)


def _read(start: Start, rank: int, process: subprocess.Popen[str], report: Callable[[int, Record], object]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        with suppress(ValueError):  # half a line, of a process that was killed while it wrote
            report(rank, json.loads(line))
    status = process.wait()
    how = f"was killed by {signal_name(-status)}" if status < 0 else f"ended with status {status}"
    cause = ", most often because memory ran out" if status == -signal.SIGKILL else ""
    everywhere = " on every node" if len(start.ranks) < start.count else ""
    error = TrainingError(
        f"rank {rank} of {plural(start.count, 'device')} {how}{cause} (its output: {start.log}). The member resumes "
        f"from its last checkpoint when you run the same command again{everywhere}."
    )
    report(rank, {"event": "died", "failure": failure_record(error)})


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
