"""Out of memory: a batch is split into micro-batches that fit, and the gradients stay those of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from compete.errors import TrainingError

T = TypeVar("T")


@dataclass
class BatchSplitter:
    """Into how many micro-batches a batch is split; doubled, and logged, whenever memory runs out."""

    log: Callable[[str], None]
    count: int = 1

    def fit(self, work: Callable[[int], T], rows: int) -> T:
        """Return `work(count)`, tried again with smaller micro-batches until it fits; `rows` is the largest batch.

        Raise `TrainingError` when a single image does not fit. `work` must leave nothing behind when it fails.
        """
        while True:
            try:
                return work(self.count)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if self.count >= rows:
                    raise TrainingError(
                        "out of memory with a single image. Lower [images] size, or use a smaller model."
                    ) from error
            # Only outside `except` are the tensors of the failed attempt free.
            torch.cuda.empty_cache()
            self.count = min(2 * self.count, rows)
            self.log(f"out of memory: splitting batches of {rows} into {self.count} micro-batches (same gradients)")


def out_of_memory(error: RuntimeError) -> bool:
    """Return whether a device or the main memory refused an allocation."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text
