"""Several processes make trials of one search: each takes the next one from the shared study."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from compete.jobs.job import python_command
from compete.text import plural

if TYPE_CHECKING:
    from compete.search.trials import Search

WAIT_SECONDS = 30


@contextmanager
def helpers(search: Search, count: int, log: Callable[[str], None]) -> Iterator[None]:
    """Start processes that make trials too; wait for them at the end, or stop them if this one stops.

    Each writes its runs' lines to a file of its own in the search's folder. They end when this process does, however
    that happens: their input ends.
    """
    started = [_start(search, number, count + 1) for number in range(1, count + 1)]
    readers = [threading.Thread(target=_pass_on, args=(process.stdout, log), daemon=True) for process in started]
    for reader in readers:
        reader.start()
    try:
        yield
        codes = [process.wait() for process in started]
    except BaseException:
        for process in started:
            process.terminate()
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(WAIT_SECONDS)
        raise
    finally:
        for reader, process in zip(readers, started, strict=True):
            reader.join(WAIT_SECONDS)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
    failed = [number for number, code in enumerate(codes, 1) if code]
    for number in failed:
        log(f"process {number} of {plural(count, 'helper')} failed: {search.folder / f'process-{number}.txt'} says why")


def _start(search: Search, number: int, processes: int) -> subprocess.Popen[str]:
    task = {
        "file": str(search.config.path),
        "overrides": list(search.config.overrides),
        "folder": str(search.folder),
        "higher_is_better": search.higher_is_better,
        "trials": search.trials,
        "deadline": search.deadline if search.deadline != float("inf") else None,
    }
    with (search.folder / f"process-{number}.txt").open("ab") as lines:
        return subprocess.Popen(
            [*python_command("compete.search"), json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=lines,
            text=True,
            env=_environment(number, processes),
        )


def _environment(number: int, processes: int) -> dict[str, str]:
    """Return the environment of a helper: its share of the processor's cores, and the next GPU where there are some."""
    threads = max(1, (os.cpu_count() or 1) // processes)
    found = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    if gpus := _gpus():
        found["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    return found


def _gpus() -> list[str]:
    """Return the numbers of the GPUs that this process may use; this process takes the first."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]


def _pass_on(lines: IO[str] | None, log: Callable[[str], None]) -> None:
    for line in lines or ():
        log(line.rstrip("\n"))
