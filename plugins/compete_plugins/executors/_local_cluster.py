"""A local Ray cluster that several processes share: it ends when the process that started it does, however that ends.

As a program, `python -m compete_plugins.executors._local_cluster`, it prints its address, and ends when its input does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from compete import CompeteError, python_command

ADDRESS = "COMPETE_RAY_ADDRESS"  # of the cluster that this process, and those that it starts, share
OPTIONS = {"log_to_driver": False, "configure_logging": False}
STOP_SECONDS = 20


@contextmanager
def local_cluster(*, address: str = "", **_: object) -> Iterator[None]:
    """Start a cluster for all runs of this process and its children, unless `address` names one."""
    if address or ADDRESS in os.environ or find_spec("ray") is None:  # a run without Ray says what it needs
        yield
        return
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            python_command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the command, which ends it after its runs
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            found = process.stdout.readline().strip()
            if not found:
                errors.seek(0)
                why = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise CompeteError(f"a local Ray cluster does not start: {why or f'exit status {process.wait()}'}")
            os.environ[ADDRESS] = found
            yield
        finally:
            os.environ.pop(ADDRESS, None)
            process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def main() -> None:
    """Run a cluster until the input ends."""
    import ray

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is no address
    ray.init(address="local", include_dashboard=False, **OPTIONS)
    out.write(f"{ray.get_runtime_context().gcs_address}\n")
    out.flush()
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    main()
