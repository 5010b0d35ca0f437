"""`log.jsonl`: every event of a run as one line of JSON."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from compete.hookspecs import hookimpl
from compete.store import append_line

if TYPE_CHECKING:
    from compete.reports import StageReport
    from compete.scores import Scores
    from compete.types import Epoch, MemberResult, RunView, TrainerView


class RunLog:
    """Writes events to a run's log; registered for one run."""

    def __init__(self, run: RunView) -> None:
        self.run = run

    def write(self, event: str, **values: object) -> None:
        """Append one event."""
        append_line(self.run.folder / "log.jsonl", {"time": round(time.time(), 3), "event": event, **values})

    @hookimpl
    def on_run_start(self, run: RunView) -> None:
        """Log the start."""
        self.write("run_start", run=run.folder.name, device=run.device, precision=run.precision)

    @hookimpl
    def on_stage(self, report: StageReport) -> None:
        """Log what a stage found."""
        self.write("stage", number=report.number, title=report.title, **asdict(report))

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
        self.write("submission", **scores.submission.model_dump())

    @hookimpl
    def on_run_end(self, scores: Scores) -> None:
        """Log the end."""
        self.write("run_end", cv=scores.cv.model_dump())

    @hookimpl
    def on_run_error(self, error: BaseException) -> None:
        """Log why the run stopped."""
        self.write("run_error", error=f"{type(error).__name__}: {error}")
