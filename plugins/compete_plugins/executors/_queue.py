"""The members that wait for a worker, and how often the worker of each has died."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from compete import CompeteError, Member, TrainMember, plural


class Waiting:
    """Members to train, in their order; one whose worker died comes first, and not more than `retries` times again."""

    def __init__(self, members: Sequence[Member], train: TrainMember, retries: int) -> None:
        self._members = deque(members)
        self._train = train
        self._retries = retries
        self._deaths: Counter[Member] = Counter()

    def __len__(self) -> int:
        return len(self._members)

    def take(self) -> Member:
        """Return the next member."""
        return self._members.popleft()

    def died(self, member: Member, why: str) -> None:
        """Put a member back whose worker died. Raise `CompeteError` if that happened too often."""
        self._deaths[member] += 1
        times = self._deaths[member]
        if times > self._retries:
            raise CompeteError(
                f"{member.name}: the process that trained it died {plural(times, 'time')}, the last time {why}. "
                "Finished members are kept, and this one resumes from its last checkpoint."
            )
        self._train.warn(
            f"{member.name}: the process that trained it died ({why}); it resumes from its last checkpoint", member
        )
        self._members.appendleft(member)
