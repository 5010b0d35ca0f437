"""The printer for pipes and log files: one self-contained record per line, no control characters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from compete import STAGES, Epoch, MemberResult, RowsReport, StageReport, duration, fit_verdict, hookimpl

from ._pace import Pace, Throttle
from ._stages import stage_lines
from ._words import clean, decimal, more_trained, shown_path, worst_first

if TYPE_CHECKING:
    from compete import RunView, Scores, TrainerView

SECONDS_BETWEEN_RECORDS = 30.0
CLASSES_RECORDED = 100


class Records:
    """Prints a run's events as plain lines that start with a word to search for."""

    def __init__(self, run: RunView, stream: TextIO) -> None:
        self._stream = stream
        self._label = f"{run.label} " if run.label else ""
        self._throttle = Throttle(SECONDS_BETWEEN_RECORDS)
        self._pace: dict[str, Pace] = {}
        self._print(f"run {run.competition}/{run.folder.name}")

    @hookimpl
    def on_stage(self, report: StageReport) -> None:
        """Print one record for each line of the stage, and the dataset's note as soon as it is known."""
        for line in stage_lines(report):
            self._print(f"stage {report.number}/{STAGES} {report.title}: {line}")
        if isinstance(report, RowsReport):
            self._print_note(report.note)

    @hookimpl
    def on_member_start(self, trainer: TrainerView) -> None:
        """Start the member's clocks."""
        name = trainer.member.name
        self._pace[name] = Pace()
        self._throttle.forget(name)
        self._print(f"member {self._label}{name} starts")

    @hookimpl
    def on_step_end(self, trainer: TrainerView) -> None:
        """Print where a member resumes from a checkpoint, and a sign of life in long epochs."""
        name = trainer.member.name
        resumed = self._pace[name].step(trainer)
        if resumed:
            self._print(f"member {self._label}{name} resumes at epoch {trainer.epoch + 1}/{trainer.epochs}")
        if self._throttle.ready(name):
            self._print(_step_record(self._label, trainer, self._pace[name]))

    @hookimpl
    def on_epoch_end(self, trainer: TrainerView, epoch: Epoch) -> None:
        """Print the epoch's losses and score."""
        self._throttle.forget(trainer.member.name)
        if change := more_trained(trainer, epoch):
            self._print(f"member {self._label}{change}")
        self._print(
            f"member {self._label}{trainer.member.name} epoch {epoch.number}/{trainer.epochs}"
            f" loss {decimal(epoch.train_loss)} valid {decimal(epoch.valid_loss)}"
            f" {trainer.metric_name} {decimal(epoch.score)}"
            f" lr {epoch.lr:.1e} {duration(epoch.seconds)}"
        )

    @hookimpl
    def on_member_end(self, run: RunView, result: MemberResult) -> None:
        """Print the member's score."""
        self._print(
            f"member {self._label}{result.member.name} done {run.metric_name} {decimal(result.score)}"
            f" from epoch {result.best_epoch} {duration(result.seconds)}"
        )

    @hookimpl
    def on_progress(self, what: str, done: int, total: int) -> None:
        """Print long work every half minute, and its end."""
        ready = self._throttle.ready(what)
        if done >= total:
            self._throttle.forget(what)
        if ready or done >= total:
            self._print(f"progress {self._label}{what} {done}/{total}")

    @hookimpl
    def on_run_end(self, run: RunView, scores: Scores) -> None:
        """Print the results, the submission and the next steps."""
        for record in [*_results(scores), *_outputs(run.folder, scores)]:
            self._print(record)
        self._print_note(scores.note)
        for command in scores.next:
            self._print(f"next {command}")

    def _print_note(self, note: str) -> None:
        for line in note.splitlines():
            self._print(f"note {line}")

    def _print(self, record: str) -> None:
        # A log's encoding may lack a class name's letters; a question mark is better than a lost run.
        encoding = self._stream.encoding or "utf-8"
        text = clean(record).encode(encoding, "replace").decode(encoding)
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _step_record(label: str, trainer: TrainerView, pace: Pace) -> str:
    speed, left = pace.images_per_second(trainer), pace.seconds_left(trainer)
    return (
        f"member {label}{trainer.member.name} epoch {trainer.epoch + 1}/{trainer.epochs}"
        f" step {trainer.step}/{trainer.steps_per_epoch}"
        + (f" {speed:.0f} img/s" if speed is not None else "")
        + (f" eta {duration(left)}" if left is not None else "")
    )


def _results(scores: Scores) -> Iterator[str]:
    metric, cv = scores.metric, scores.cv
    for name, score in cv.folds.items():
        yield f"result {name} {metric} {decimal(score)}"
    spread = "" if cv.std is None else f" +- {decimal(cv.std)}"
    yield f"result cv {metric} {decimal(cv.mean)}{spread}"
    yield f"result oof {metric} {decimal(cv.oof)}"
    if cv.oof_postprocessed is not None:
        yield f"result oof postprocessed {metric} {decimal(cv.oof_postprocessed)}"
    if verdict := fit_verdict(scores):
        yield f"result fit: {verdict}"
    classes = worst_first(scores.per_class)
    for row in classes[:CLASSES_RECORDED]:
        values = f"f1 {decimal(row.f1)} precision {decimal(row.precision)} recall {decimal(row.recall)}"
        yield f"result class {row.name}: {values} rows {row.support}"
    if len(classes) > CLASSES_RECORDED:
        yield f"result {len(classes) - CLASSES_RECORDED} more classes, with a higher F1, in scores.json"


def _outputs(folder: Path, scores: Scores) -> Iterator[str]:
    submission = scores.submission
    if submission is None:
        yield "submission none: there is no test set"
    else:
        path = shown_path(folder / Path(submission.path).name)
        yield f"submission {path} rows {submission.rows} sha256 {submission.sha256}"
        yield "check rows and columns match the sample submission"
    for warning in scores.warnings:
        yield f"warning {warning}"
    yield f"report {shown_path(folder / 'report.html')}"
