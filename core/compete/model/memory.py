"""When memory runs out: a batch is cut into pieces that fit, and the step stays that of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from compete.errors import TrainingError

T = TypeVar("T")


@dataclass
class BatchSplitter:
    """Into how many pieces a batch is cut; doubled whenever memory runs out, which `say` hears about."""

    say: Callable[[str], None]
    count: int = 1

    def fit(self, work: Callable[[int], T], rows: int) -> T:
        """Return `work(pieces)`, tried again with smaller pieces until it fits; `rows` is the largest batch.

        Raise `TrainingError` when one image at a time does not fit. `work` must leave nothing behind when it fails.
        """
        while True:
            try:
                return work(self.count)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if self.count >= rows:
                    raise TrainingError(
                        "memory runs out with one image at a time. Lower [images] size, or take a smaller model."
                    ) from error
            # Only outside `except` are the tensors of the failed attempt free.
            torch.cuda.empty_cache()
            self.count = min(2 * self.count, rows)
            self.say(f"memory ran out: batches of {rows} are cut into {self.count} pieces and joined again")


def out_of_memory(error: RuntimeError) -> bool:
    """Tell whether a device or the main memory refused an allocation."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text
