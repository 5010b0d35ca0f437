"""The ranks of a member: which rows each gets, and the few things that they exchange.

Not `DistributedDataParallel`: it starts reducing gradients inside the backward pass, so a rank that runs out of memory
or meets an unused parameter leaves the others waiting; it fixes which parameters train when it wraps the network, which
gradual unfreezing changes; and it weights ranks equally, whatever their rows. Here a step has one exchange, after all
its backward passes. What this costs is the overlap of the exchange with the backward pass.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")
BUCKET = 16 << 20  # numbers: 64 MiB in float32, so that no second copy of all gradients is made
PATIENCE = timedelta(hours=2)  # the others wait while the first rank writes a checkpoint or scores a fold


@dataclass(frozen=True)
class Ranks:
    """Which of `count` processes this is, from 0. Every method returns at once where it is the only one.

    All ranks call the same methods in the same order; a rank that fails ends its process, and so the others' waiting.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this rank writes and decides."""
        return self.rank == 0

    def part(self, rows: int) -> slice:
        """Return this rank's places in a batch of so many rows; parts differ by one row at most.

        A batch with fewer rows than ranks is computed by every rank, as a whole: none is left without rows.
        """
        return slice(0, rows) if rows < self.count else self.share(rows)

    def share(self, rows: int) -> slice:
        """Return this rank's share of rows that count exactly once; it is empty where there are fewer than ranks."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def repeats(self, rows: int) -> int:
        """Return how many ranks compute each row of a batch."""
        return self.count if rows < self.count else 1

    def pieces(self, splits: int, rows: int) -> int:
        """Return into how many micro-batches every rank splits its part of a batch: the same number on all of them."""
        return max(1, min(splits, rows if rows < self.count else rows // self.count))

    @torch.no_grad()
    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over the ranks, the same to the bit on all of them."""
        if self.count == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1).float() for tensor in bucket])
            dist.all_reduce(flat)
            for tensor, total in zip(bucket, torch.split(flat, [tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(total.view(tensor.shape))

    def whole(self, part: torch.Tensor, rows: int) -> torch.Tensor:
        """Join the parts (b, ...) of a batch to all its `rows`, in their order: (B, ...) on every rank."""
        if self.repeats(rows) == self.count:
            return part
        longest = -(-rows // self.count)
        padded = part.new_zeros(longest, *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.count)]
        dist.all_gather(parts, padded)
        own = [Ranks(rank, self.count).part(rows) for rank in range(self.count)]
        return torch.cat([some[: where.stop - where.start] for some, where in zip(parts, own, strict=True)])

    def decide(self, value: T) -> T:
        """Return the first rank's value."""
        if self.count == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in their order, on the first; nothing on the others."""
        if self.count == 1:
            return [value]
        values: list[T] | None = [value] * self.count if self.is_first else None
        dist.gather_object(value, values, dst=0)
        return values or []

    @torch.no_grad()
    def copy_from_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Overwrite tensors with the first rank's."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


ALONE = Ranks()


def join_ranks(device: torch.device, environment: Mapping[str, str] = os.environ) -> Ranks:
    """Join the ranks that torchrun's variables name: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.

    What is on a GPU goes over NCCL, and what is on the host over gloo, which makes no GPU wait.
    """
    rank, count = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE, rank=rank, world_size=count)
    return Ranks(rank, count)


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    bucket: list[torch.Tensor] = []
    for tensor in tensors:
        if bucket and sum(other.numel() for other in bucket) + tensor.numel() > BUCKET:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
