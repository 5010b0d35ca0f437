"""Out of memory: a batch is split into micro-batches that fit, with the gradients of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from compete.errors import TrainingError

T = TypeVar("T")


@dataclass
class BatchSplitter:
    """Splits batches into `count` micro-batches; the count doubles, and is logged, whenever memory runs out.

    Several ranks cannot retry, as the others wait inside a step: there `on_more(count)` raises.
    """

    log: Callable[[str], None]
    count: int = 1
    on_more: Callable[[int], None] | None = None

    def fit(self, work: Callable[[int], T], rows: int) -> T:
        """Return `work(count)`, retried with more micro-batches until it fits; `rows` is the largest batch's size.

        Raise `TrainingError` if a single image does not fit. `work` must have no effect if it fails.
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
            # Inside `except` the traceback would still hold the failed attempt's tensors.
            torch.cuda.empty_cache()
            self.count = min(2 * self.count, rows)
            if self.on_more is not None:
                self.on_more(self.count)
            self.log(f"out of memory: splitting batches of {rows} into {self.count} micro-batches (same gradients)")


def out_of_memory(error: RuntimeError) -> bool:
    """Return whether a device or the main memory refused an allocation."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text
