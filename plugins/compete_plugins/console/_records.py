"""The printer for pipes and log files: one self-contained record per line, no control characters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from compete import Epoch, MemberResult, hookimpl

from ._pace import Pace, Throttle
from ._words import clean, decimal, duration, shown_path, worst_first

if TYPE_CHECKING:
    from compete import RunView, TrainerView

SECONDS_BETWEEN_RECORDS = 30.0
CLASSES_RECORDED = 100


class Records:
    """Prints a run's events as plain lines that start with a word to search for."""

    def __init__(self, run: RunView, stream: TextIO) -> None:
        self._stream = stream
        self._throttle = Throttle(SECONDS_BETWEEN_RECORDS)
        self._pace: dict[str, Pace] = {}
        self._say(f"run {run.competition}/{run.folder.name}")

    @hookimpl
    def on_stage(self, run: RunView, number: int, title: str, lines: list[str]) -> None:
        """Print one record for each line of the stage, and the data's note as soon as it is known."""
        prefix = f"stage {number}/6 {title}"
        for line in lines:
            self._say(f"{prefix}: {line}")
        if not lines:
            self._say(prefix)
        if number == 1:
            self._say_note(run.note)

    @hookimpl
    def on_member_start(self, trainer: TrainerView) -> None:
        """Start the member's clocks."""
        name = trainer.member.name
        self._pace[name] = Pace()
        self._throttle.forget(name)
        self._say(f"member {name} starts")

    @hookimpl
    def on_step_end(self, trainer: TrainerView) -> None:
        """Print where a member goes on from a checkpoint, and a sign of life in long epochs."""
        name = trainer.member.name
        resumed = self._pace[name].step(trainer)
        if resumed:
            self._say(f"member {name} goes on at epoch {trainer.epoch + 1}/{trainer.epochs}")
        if self._throttle.ready(name):
            self._say(_step_record(trainer, self._pace[name]))

    @hookimpl
    def on_epoch_end(self, trainer: TrainerView, epoch: Epoch) -> None:
        """Print what the epoch gave."""
        self._throttle.forget(trainer.member.name)
        self._say(
            f"member {trainer.member.name} epoch {epoch.number}/{trainer.epochs}"
            f" loss {decimal(epoch.train_loss)} valid {decimal(epoch.valid_loss)}"
            f" {trainer.metric_name} {decimal(epoch.score)}"
            f" lr {epoch.lr:.1e} {duration(epoch.seconds)}"
        )

    @hookimpl
    def on_member_end(self, run: RunView, result: MemberResult) -> None:
        """Print the member's score."""
        self._say(
            f"member {result.member.name} done {run.metric_name} {decimal(result.score)}"
            f" kept epoch {result.best_epoch} {duration(result.seconds)}"
        )

    @hookimpl
    def on_progress(self, what: str, done: int, total: int) -> None:
        """Print long work now and then, and its end."""
        ready = self._throttle.ready(what)
        if done >= total:
            self._throttle.forget(what)
        if ready or done >= total:
            self._say(f"progress {what} {done}/{total}")

    @hookimpl
    def on_run_end(self, run: RunView, scores: dict[str, Any]) -> None:
        """Print the results, the submission and what to type next."""
        for record in [*_results(scores), *_outputs(run.folder, scores)]:
            self._say(record)
        self._say_note(scores["note"])
        for line in scores["next"]:
            self._say(f"next {line}")

    def _say_note(self, note: str) -> None:
        for line in note.splitlines():
            self._say(f"note {line}")

    def _say(self, record: str) -> None:
        # A log's encoding may lack a class name's letters; a question mark is better than a lost run.
        encoding = self._stream.encoding or "utf-8"
        text = clean(record).encode(encoding, "replace").decode(encoding)
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _step_record(trainer: TrainerView, pace: Pace) -> str:
    speed, left = pace.images_per_second(trainer), pace.seconds_left(trainer)
    return (
        f"member {trainer.member.name} epoch {trainer.epoch + 1}/{trainer.epochs}"
        f" step {trainer.step}/{trainer.steps_per_epoch}"
        + (f" {speed:.0f} img/s" if speed is not None else "")
        + (f" eta {duration(left)}" if left is not None else "")
    )


def _results(scores: dict[str, Any]) -> Iterator[str]:
    metric, cv = scores["metric"], scores["cv"]
    for name, score in cv["folds"].items():
        yield f"result {name} {metric} {decimal(score)}"
    spread = "" if cv["std"] is None else f" +- {decimal(cv['std'])}"
    yield f"result cv {metric} {decimal(cv['mean'])}{spread}"
    yield f"result oof {metric} {decimal(cv['oof'])}"
    if cv["oof_postprocessed"] is not None:
        yield f"result oof postprocessed {metric} {decimal(cv['oof_postprocessed'])}"
    classes = worst_first(scores["per_class"])
    for row in classes[:CLASSES_RECORDED]:
        values = " ".join(f"{name} {decimal(row[name])}" for name in ("f1", "precision", "recall"))
        yield f"result class {row['class']}: {values} rows {row['support']}"
    if len(classes) > CLASSES_RECORDED:
        yield f"result {len(classes) - CLASSES_RECORDED} better classes in scores.json"


def _outputs(folder: Path, scores: dict[str, Any]) -> Iterator[str]:
    submission = scores["submission"]
    path = shown_path(folder / Path(submission["path"]).name)
    yield f"submission {path} rows {submission['rows']} sha256 {submission['sha256']}"
    yield "check rows and columns as in the sample submission"
    for warning in scores["warnings"]:
        yield f"warning {warning}"
    yield f"report {shown_path(folder / 'report.html')}"
