"""Out of memory on one of several ranks: a note for their next start, as none of them can repeat a step alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compete.errors import TrainingError
from compete.ranks.group import Ranks
from compete.store import read_json, write_json

SPLITS = "splits.json"


def split_all_ranks(ranks: Ranks, folder: Path, key: str) -> Callable[[int], None] | None:
    """Return what one of several ranks does that needs more micro-batches: note how many, and end.

    `folder` is the member's, and `key` its identity.
    """
    if ranks.count == 1:
        return None

    def end(splits: int) -> None:
        write_json(folder / SPLITS, {"identity": key, "splits": splits})
        raise TrainingError(
            f"{folder.name}: out of memory on rank {ranks.rank}: run it again, in smaller micro-batches"
        )

    return end


def wanted_splits(folder: Path, key: str) -> int:
    """Return the number of micro-batches that a rank asked for when it ran out of memory, else 1."""
    noted = read_json(folder / SPLITS)
    return int(noted["splits"]) if noted.get("identity") == key else 1
