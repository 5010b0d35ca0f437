"""Out of memory: more and more micro-batches, until one image does not fit."""

from __future__ import annotations

import pytest
import torch

from compete.errors import TrainingError
from compete.model.memory import BatchSplitter, out_of_memory


def fits(most: int, rows: int, tried: list[int]):
    """Return work that runs out of memory with micro-batches of more than `most` rows."""

    def work(count: int) -> str:
        tried.append(count)
        if -(-rows // count) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return "done"

    return work


def test_the_count_doubles_until_it_fits_and_stays() -> None:
    logged: list[str] = []
    tried: list[int] = []
    splitter = BatchSplitter(logged.append)
    assert splitter.fit(fits(2, 7, tried), 7) == "done"
    assert tried == [1, 2, 4] and splitter.count == 4
    assert logged[-1] == "out of memory: splitting batches of 7 into 4 micro-batches (same gradients)"
    splitter.fit(fits(2, 7, tried), 7)
    assert tried == [1, 2, 4, 4] and len(logged) == 2


def test_the_count_ends_at_single_images() -> None:
    tried: list[int] = []
    with pytest.raises(TrainingError, match="out of memory with a single image"):
        BatchSplitter(lambda _message: None).fit(fits(0, 3, tried), 3)
    assert tried == [1, 2, 3]


def test_other_errors_are_not_retried() -> None:
    def work(_count: int) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        BatchSplitter(lambda _message: None).fit(work, 8)
    assert out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
