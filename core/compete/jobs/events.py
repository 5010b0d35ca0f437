"""Events of a member that another process trains: reported there as plain records, and shown here as if it were ours.

There, plugins and the TOML's callbacks and hooks get the real events. Here, what plugins registered when the run
started gets them: the console, the log, a tracker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from compete.errors import call_hook
from compete.hookspecs import hookimpl
from compete.jobs.job import Record
from compete.session import MemberOfRun
from compete.types import Epoch, Member, MemberResult

if TYPE_CHECKING:
    from compete.session import OpenRun
    from compete.types import TrainerView

STEP_SECONDS = 0.25  # between two steps that are reported
FACTS = ("epoch", "epochs", "step", "steps_per_epoch", "samples_seen")


class Reporter:
    """Reports the events of this process as records; registered for one run."""

    def __init__(self, report: Callable[[Record], object]) -> None:
        self._report = report
        self._member = ""
        self._due = 0.0

    def note(self, event: str, **values: object) -> None:
        """Report an event of the member that is being worked on."""
        self._report({"event": event, "member": self._member, **values})

    @hookimpl
    def on_member_start(self, trainer: TrainerView) -> None:
        """Report that a member starts; its first step is due, as it shows where the member resumes."""
        self._member, self._due = trainer.member.name, 0.0
        self.note("start", **_facts(trainer))

    @hookimpl
    def on_step_end(self, trainer: TrainerView) -> None:
        """Report a step now and then, and the last one of each epoch."""
        if trainer.step == trainer.steps_per_epoch or time.monotonic() >= self._due:
            self._due = time.monotonic() + STEP_SECONDS
            self.note("step", **_facts(trainer))

    @hookimpl
    def on_epoch_end(self, trainer: TrainerView, epoch: Epoch) -> None:
        """Report an epoch."""
        self.note("epoch", **_facts(trainer), result=asdict(epoch))

    @hookimpl
    def on_member_end(self, result: MemberResult) -> None:
        """Report a finished member."""
        self.note("end", result=asdict(result))

    @hookimpl
    def on_progress(self, what: str, done: int, total: int) -> None:
        """Report long work."""
        self.note("progress", what=what, done=done, total=total)


def _facts(trainer: TrainerView) -> dict[str, Any]:
    facts = {name: getattr(trainer, name) for name in FACTS}
    return {**facts, "history": [asdict(epoch) for epoch in trainer.history]}


@dataclass(frozen=True)
class RemoteTrainer(MemberOfRun):
    """What is known here of a member that another process trains: the numbers of a `TrainerView`, not its network."""

    run: OpenRun
    member: Member
    epoch: int
    epochs: int
    step: int
    steps_per_epoch: int
    samples_seen: int
    history: Sequence[Epoch] = field(default=())

    @property
    def members(self) -> Sequence[Member]:
        """Every member of the run, and a refitted one that is none of its folds'."""
        members = self.run.members
        return members if self.member in members else (*members, self.member)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - only raises
        raise AttributeError(
            f"{name}: another process trains {self.member.name}. What needs its network belongs in [[callbacks]] or "
            "[[hooks]], which run there"
        )


class Replay:
    """Passes records of other processes on to what is registered in this run."""

    def __init__(self, run: OpenRun, members: Sequence[Member]) -> None:
        self._run = run
        self._members = {member.name: member for member in members}
        session = run.session
        plugins = [plugin for _, plugin in session.config.plugins.manager.list_name_plugin()]
        self._elsewhere = [*plugins, *session.watchers]  # they get the real events

    def show(self, record: Record) -> None:
        """Call the hooks of an event."""
        session, event, name = self._run.session, record["event"], record["member"]
        if event == "warning":
            session.warn(record["text"])
        elif event == "progress":
            what = f"{name}: {record['what']}" if name else record["what"]
            self._call("on_progress", run=session, what=what, done=record["done"], total=record["total"])
        elif event == "end":
            self._call("on_member_end", run=session, result=read_result(record["result"]))
        elif event in ("start", "step", "epoch"):
            trainer = self._trainer(self._members[name], record)
            more = {"epoch": Epoch(**record["result"])} if event == "epoch" else {}
            hook = {"start": "on_member_start", "step": "on_step_end", "epoch": "on_epoch_end"}[event]
            self._call(hook, trainer=trainer, **more)

    def _trainer(self, member: Member, record: Record) -> RemoteTrainer:
        history = tuple(Epoch(**epoch) for epoch in record["history"])
        return RemoteTrainer(self._run, member, history=history, **{name: record[name] for name in FACTS})

    def _call(self, hook: str, **arguments: object) -> None:
        call_hook(self._run.session.manager.subset_hook_caller(hook, self._elsewhere), **arguments)


def read_result(state: dict[str, Any]) -> MemberResult:
    """Return a member's result from its record or file; JSON may have null for NaN."""
    epochs: list[dict[str, Any]] = [
        {k: float("nan") if v is None else v for k, v in epoch.items()} for epoch in state["epochs"]
    ]
    score = float("nan") if state["score"] is None else float(state["score"])
    return MemberResult(
        Member(**state["member"]),
        score,
        state["best_epoch"],
        tuple(Epoch(**epoch) for epoch in epochs),
        state["class_draws"],
        state["seconds"],
    )
