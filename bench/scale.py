"""Time a run's members in 1 and 2 processes and on 1, 2 and 4 Ray nodes of this machine: python bench/scale.py FOLDER

FOLDER has a TOML `tiny.toml` (see tests/conftest.py). Runs of all kinds take turns, so that a busy machine slows each
alike; the table has medians, and the ratio to `local` of the same round.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

ROUNDS, MEMBERS = 3, 4
EPOCHS = 30
WORK = ["folds.n=4", f"training.epochs={EPOCHS}"]


@contextmanager
def cluster(nodes: int) -> Iterator[list[str]]:
    """Start a Ray cluster with one core a node; yield the options that use it."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(nodes):
        found.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    try:
        yield ["executor.name=ray", f"executor.address={found.address}"]
    finally:
        found.shutdown()


def processes(count: int) -> nullcontext[list[str]]:
    """Return the options for some processes."""
    return nullcontext(["executor.name=processes", f"executor.workers={count}"])


KINDS = {
    "local": (1, lambda: nullcontext(["executor.name=local"])),
    "processes, 1": (1, lambda: processes(1)),
    "processes, 2": (2, lambda: processes(2)),
    "ray, 1 node": (1, lambda: cluster(1)),
    "ray, 2 nodes": (2, lambda: cluster(2)),
    "ray, 4 nodes": (4, lambda: cluster(4)),
}


def timed(folder: Path, name: str, overrides: list[str]) -> tuple[float, float]:
    """Return the seconds from the plan to the last member's end, and those that the members trained."""
    sets = [part for override in (*WORK, *overrides) for part in ("--set", override)]
    command = [sys.executable, "-m", "compete", "run", "tiny.toml", "--fresh", "--no-doctor", "--name", name, *sets]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run = folder / "submissions/tiny" / name
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    begin = next(event["time"] for event in events if event["event"] == "stage" and event["number"] == 6)
    end = max(event["time"] for event in events if event["event"] == "member_end")
    trained = [json.loads(file.read_text())["seconds"] for file in run.glob("members/*/result.json")]
    return end - begin, sum(trained)


def main() -> None:
    """Measure, and print a line for each kind."""
    folder = Path(sys.argv[1])
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for number in range(ROUNDS):
        for kind, (_, start) in KINDS.items():
            with start() as overrides:
                name = f"{kind.replace(', ', '-').replace(' ', '-')}-{number}-{os.getpid()}"
                found[kind].append(timed(folder, name, overrides))
            print(number, kind, *(f"{seconds:.1f}" for seconds in found[kind][-1]), flush=True)
    for kind, (workers, _) in KINDS.items():
        spans = [span for span, _ in found[kind]]
        ratios = [span / base for span, (base, _) in zip(spans, found["local"], strict=True)]
        lost = [(workers * span - trained) / MEMBERS for span, trained in found[kind]]
        print(
            f"| {kind} | {statistics.median(spans):.1f} ({min(spans):.1f} to {max(spans):.1f}) "
            f"| {statistics.median(ratios):.2f} | {statistics.median(lost):.1f} |"
        )


if __name__ == "__main__":
    main()
