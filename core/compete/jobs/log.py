"""`log.jsonl`: every event of a run as one line of JSON."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from compete.hookspecs import hookimpl
from compete.store import append_line

if TYPE_CHECKING:
    from compete.reports import RunView, StageReport
    from compete.scores import Scores
    from compete.types import Epoch, MemberResult, TrainerView


LOG = "log.jsonl"


class RunLog:
    """Writes events to a run's log; registered for one run.

    Stage 1 may find that the run belongs to another folder: what comes before stage 2 is held until then.
    """

    def __init__(self, run: RunView, name: str = LOG) -> None:
        self.run = run
        self.name = name
        self.held: list[dict[str, object]] = []

    def write(self, event: str, **values: object) -> None:
        """Append the events that were held, and this one."""
        self.hold(event, **values)
        for record in self.held:
            append_line(self.run.folder / self.name, record)
        self.held.clear()

    def hold(self, event: str, **values: object) -> None:
        """Hold an event until the next one is written."""
        self.held.append({"time": round(time.time(), 3), "event": event, **values})

    @hookimpl
    def on_run_start(self, run: RunView) -> None:
        """Log the start."""
        self.hold("run_start", device=run.device, precision=run.precision)

    @hookimpl
    def on_stage(self, report: StageReport) -> None:
        """Log what a stage found."""
        log = self.hold if report.number == 1 else self.write
        log("stage", number=report.number, title=report.title, **asdict(report))

    @hookimpl
    def on_epoch_end(self, trainer: TrainerView, epoch: Epoch) -> None:
        """Log an epoch."""
        self.write("epoch", member=trainer.member.name, **asdict(epoch))

    @hookimpl
    def on_member_end(self, result: MemberResult) -> None:
        """Log a finished member."""
        self.write("member_end", member=result.member.name, score=result.score, best_epoch=result.best_epoch)

    @hookimpl
    def on_submission_written(self, scores: Scores) -> None:
        """Log the submission."""
        if scores.submission is not None:
            self.write("submission", **scores.submission.model_dump())

    @hookimpl
    def on_run_end(self, scores: Scores) -> None:
        """Log the end."""
        self.write("run_end", cv=scores.cv.model_dump())

    @hookimpl
    def on_run_error(self, error: BaseException) -> None:
        """Log why the run stopped."""
        self.write("run_error", error=f"{type(error).__name__}: {error}")
