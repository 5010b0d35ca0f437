"""Check a model of 5 folds x 3 seeds x 4 variants on 1, 8 and 64 GPUs against a simulation: python bench/scale_model.py

The simulation does what the executor does: a member waits for a free GPU, opens the run, trains and predicts, and
begins again from its last checkpoint where its node dies. Variants take turns, or all members train together.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
from dataclasses import dataclass

MEMBERS, VARIANTS = 15, 4  # of each variant: 5 folds x 3 seeds
REPEATS = 200


@dataclass(frozen=True)
class Costs:
    """Seconds of a member's training and its spread (a share), of its start, of a run without its members, and faults.

    A node dies once in `between_deaths` hours; a member then loses half of `checkpoint` seconds and a start.
    """

    train: float = 1800.0
    spread: float = 0.1
    start: float = 30.0
    driver: float = 120.0
    checkpoint: float = 600.0
    between_deaths: float = 24.0

    @property
    def deaths_per_second(self) -> float:
        """How often a node dies."""
        return 1 / (self.between_deaths * 3600)


def model(gpus: int, costs: Costs, together: bool) -> float:
    """Return the seconds of the whole: waves of members, each as long as its members on average, and the slowest last.

    Variants are trained `together`, or one after the other.
    """
    groups = [MEMBERS * VARIANTS] if together else [MEMBERS] * VARIANTS
    mean = costs.start + costs.train
    mean += mean * costs.deaths_per_second * (costs.start + costs.checkpoint / 2)
    sigma, total = costs.train * costs.spread, 0.0
    for members in groups:
        waves, busy = members / gpus, min(gpus, members)
        last = sigma * math.sqrt(2 * math.log(busy)) if busy > 1 else 0.0
        total += math.ceil(waves) * mean + last / (1 if waves <= 1 else 2) + costs.driver
    return total


def simulate(gpus: int, costs: Costs, together: bool, draws: random.Random) -> float:
    """Return the seconds that one drawn run takes."""
    total = 0.0
    for members in [MEMBERS * VARIANTS] if together else [MEMBERS] * VARIANTS:
        free = [0.0] * gpus
        for _ in range(members):
            begin = heapq.heappop(free)
            heapq.heappush(free, begin + _member(costs, draws))
        total += max(free) + costs.driver
    return total


def _member(costs: Costs, draws: random.Random) -> float:
    left, passed = max(1.0, draws.gauss(costs.train, costs.train * costs.spread)), costs.start
    while (death := draws.expovariate(costs.deaths_per_second)) < left:
        kept = death // costs.checkpoint * costs.checkpoint
        passed, left = passed + death + costs.start, left - kept
    return passed + left


def main() -> None:
    """Print a line for each number of GPUs, with variants in turn and together."""
    costs = Costs()
    for together in (False, True):
        for gpus in (1, 8, 64):
            draws = random.Random(0)
            runs = [simulate(gpus, costs, together, draws) / 3600 for _ in range(REPEATS)]
            mean, expected = statistics.mean(runs), model(gpus, costs, together) / 3600
            used = MEMBERS * VARIANTS * (costs.train + costs.start) / 3600
            print(
                f"| {gpus} | {'together' if together else 'in turn'} | {expected:.1f} h | {mean:.1f} h "
                f"| {mean * gpus:.0f} | {used / (mean * gpus):.0%} |"
            )


if __name__ == "__main__":
    main()
