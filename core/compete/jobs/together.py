"""Members of several runs for one executor: each knows its run, and so does each event of another process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from compete.jobs.job import Job, Record, TrainMember
from compete.types import Member, MemberResult

if TYPE_CHECKING:
    from compete.jobs.shipment import Shipment
    from compete.session import Run


@dataclass(frozen=True)
class LabeledMember(Member):
    """A member of one of several runs; its name says of which."""

    label: str = ""

    @property
    def name(self) -> str:
        """The run's label and the member's name."""
        return f"{self.label} {super().name}"

    @property
    def plain(self) -> Member:
        """The member as its run knows it."""
        return Member(self.fold, self.seed, self.epochs)


def label_members(run: Run, members: Sequence[Member]) -> list[Member]:
    """Return members that know their run by its label."""
    return [LabeledMember(member.fold, member.seed, member.epochs, run.session.label) for member in members]


@dataclass(frozen=True)
class TrainTogether(TrainMember):
    """Trains labeled members, each as its run does; `runs` are by label. Their executor and device are the same."""

    runs: Mapping[str, TrainMember] = field(default_factory=dict)

    def job(self, member: Member, cpus: int = 0, storage: str = "") -> Job:
        """Return the job of the member's own run."""
        return _part(self.runs, member).job(_plain(member), cpus, storage)

    def shipment(self, member: Member) -> Shipment:
        """Return what the member's own run needs of this machine's files."""
        return _part(self.runs, member).shipment(_plain(member))

    def fetch(self, members: Sequence[Member], storage: str) -> list[Member]:
        """Fetch members into the folders of their runs; return those that are not finished yet."""
        return [member for member in members if _part(self.runs, member).fetch([_plain(member)], storage)]

    def warn(self, message: str, member: Member | None = None) -> None:
        """Add a warning to the member's run or, without one, to every run."""
        for run in self.runs.values() if member is None else [_part(self.runs, member)]:
            run.warn(message)


def train_together(trains: Sequence[TrainMember]) -> TrainTogether:
    """Return what an executor gets to train members of several runs at one time."""
    runs = {train.run.session.label: train for train in trains}
    folders = {str(train.run.folder.resolve()): train for train in trains}

    def work(member: Member) -> MemberResult:
        return replace(_part(runs, member)(_plain(member)), member=member)

    def is_finished(member: Member) -> bool:
        return _part(runs, member).is_finished(_plain(member))

    def show(record: Record) -> None:
        folders[record["run"]].show(record)

    return TrainTogether(trains[0].run, work, is_finished, show, runs)


def _part(runs: Mapping[str, TrainMember], member: Member) -> TrainMember:
    assert isinstance(member, LabeledMember)
    return runs[member.label]


def _plain(member: Member) -> Member:
    assert isinstance(member, LabeledMember)
    return member.plain
