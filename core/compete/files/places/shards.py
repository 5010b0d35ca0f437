"""Tar shards, `train-{000..099}.tar`, read as one archive."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from compete.errors import DataError
from compete.files.archives import Archive, Member, base_folder
from compete.text import format_first, plural

MOST_SHARDS = 100_000
AT_ONCE = 4  # shards that are indexed at once: each holds a block
_RANGE = re.compile(r"(.*)\{(\d+)\.\.(\d+)\}(.*)")


@dataclass(frozen=True)
class Shards(Archive):
    """Several archives as one; `owners` are the shards that hold each member."""

    owners: Mapping[str, Archive] = field(default_factory=dict)

    def copy(self, name: str, to: IO[bytes], most_bytes: int) -> None:
        """Write a member's bytes to a file, as its shard does."""
        self.owners[name].copy(name, to, most_bytes)

    def stamp_of(self, name: str) -> str:
        """Return a text that changes with a member."""
        return self.owners[name].stamp_of(name)

    def mark_of(self, name: str) -> str:
        """Return what identifies a member's content where that is known without reading it, or an empty string."""
        return self.owners[name].mark_of(name)


def shard_names(part: str) -> list[str]:
    """Return the names that `train-{000..099}.tar` means, or none for a name without a range."""
    match = _RANGE.fullmatch(part)
    if match is None:
        return []
    before, first, last, after = match.groups()
    if not 0 <= int(last) - int(first) < MOST_SHARDS:
        raise DataError(f"'{part}': from {first} to {last} is not a range of 1 to {MOST_SHARDS:,} shards.")
    return [f"{before}{number:0{len(first)}}{after}" for number in range(int(first), int(last) + 1)]


def refuse_missing(part: str, names: Sequence[str], exists: Callable[[str], bool]) -> None:
    """Raise `DataError` with the shards of a range that are not there."""
    missing = [name for name in names if not exists(name)]
    if missing:
        raise DataError(f"'{part}': {len(missing)} of {plural(len(names), 'shard')} missing: {format_first(missing)}.")


def join_shards(part: str, names: Iterable[str], open_one: Callable[[str], Archive]) -> Shards:
    """Open the shards of a range as one archive. Raise `DataError` for a member that two of them hold."""
    members: dict[str, Member] = {}
    owners: dict[str, Archive] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for shard in pool.map(open_one, names):
            if twice := [name for name in shard.members if name in owners]:
                first = owners[twice[0]].path.name
                raise DataError(
                    f"'{part}': {first} and {shard.path.name} both hold '{twice[0]}'; every member has one name."
                )
            members.update(shard.members)
            owners.update(dict.fromkeys(shard.members, shard))
    stamp = "\n".join(dict.fromkeys(shard.stamp for shard in owners.values()))
    return Shards(Path(part), stamp, members, base_folder(members, Path(part)), owners=owners)
