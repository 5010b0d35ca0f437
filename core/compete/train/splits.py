"""Out of memory on one of several ranks: a note for their next start, as none of them can repeat a step alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from compete.errors import TrainingError
from compete.store import read_json, write_json

if TYPE_CHECKING:
    from compete.session import Run
    from compete.types import Member

SPLITS = "splits.json"


def split_all_ranks(run: Run, member: Member) -> Callable[[int], None] | None:
    """Return what one of several ranks does that runs out of memory: note the number of micro-batches, and end."""
    if run.ranks.count == 1:
        return None

    def end(splits: int) -> None:
        key = run.identity.member(member)
        write_json(run.member_folder(member) / SPLITS, {"identity": key, "splits": splits})
        raise TrainingError(
            f"{member.name}: out of memory on rank {run.ranks.rank}: all ranks start again from the last checkpoint, "
            f"with {splits} micro-batches a batch"
        )

    return end


def wanted_splits(run: Run, member: Member) -> int:
    """Return the number of micro-batches that a rank asked for when it ran out of memory, else 1."""
    noted = read_json(run.member_folder(member) / SPLITS)
    return int(noted["splits"]) if noted.get("identity") == run.identity.member(member) else 1
