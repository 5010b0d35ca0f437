"""The printer for terminals: stages and epochs stay in the scrollback, one live line shows what goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from compete import STAGES, Epoch, MemberResult, RowsReport, StageReport, duration, hookimpl

from ._pace import Pace, Throttle
from ._stages import stage_lines
from ._summary import next_steps, note_panel, run_title, summary
from ._words import NO_VALUE, clean, decimal, more_trained

if TYPE_CHECKING:
    from compete import RunView, Scores, TrainerView

SECONDS_BETWEEN_REDRAWS = 0.25
EPOCH_COLUMNS = "{:<17}{:>8}{:>11}{:>11}{:>9}{:>9}{:>7}"


class Screen:
    """A terminal with live lines below what was printed; runs that train at the same time share it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._lines: dict[str, Table] = {}  # several, where several members train at a time

    def show(self, key: str, line: Table) -> None:
        """Show a live line, or another one in its place."""
        # Room for the ^C that a terminal echoes: on a full line it would wrap, and leave a stale line behind.
        line.width = self.console.width - 3
        self._lines[key] = line
        self.draw(Group(*self._lines.values()))

    def pause(self, key: str) -> None:
        """Drop one live line; the others are drawn again with the next change."""
        self._lines.pop(key, None)
        self.hide()

    def stop(self) -> None:
        """Drop all live lines."""
        self._lines.clear()
        self.hide()

    def draw(self, lines: RenderableType) -> None:
        """Draw the live lines."""
        if self._live is None:
            # Redrawn by events alone: a refresh thread would run beside the data loader's forks.
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(lines, refresh=True)

    def hide(self) -> None:
        """Remove the live lines from the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None


class Terminal:
    """Prints a run's events with rich."""

    def __init__(self, run: RunView, screen: Screen) -> None:
        self._screen = screen
        self._console = screen.console
        self._label = f"{clean(run.label)} " if run.label else ""
        self._throttle = Throttle(SECONDS_BETWEEN_REDRAWS)
        self._pace: dict[str, Pace] = {}
        self._print(Text(run_title(run.title, run.folder.name), "bold"))

    @hookimpl
    def on_stage(self, report: StageReport) -> None:
        """Print the stage and what it found, and the dataset's note as soon as it is known."""
        self._screen.stop()
        self._print(Text(f"\n{report.number}/{STAGES} {report.title}", "bold cyan"))
        for line in stage_lines(report):
            self._console.print(Padding(Text(clean(line)), (0, 0, 0, 4)))
        if isinstance(report, RowsReport) and report.note:
            self._console.print(note_panel(report.note))

    @hookimpl
    def on_member_start(self, trainer: TrainerView) -> None:
        """Print the member's place among all members, and the column heads of its epoch lines."""
        name = trainer.member.name
        self._screen.pause(self._label + name)
        self._pace[name] = Pace()
        members = trainer.members
        place = f"  member {members.index(trainer.member) + 1} of {len(members)}"
        self._print(Text.assemble("\n", (self._label + name, "bold"), (place, "dim")))
        heads = EPOCH_COLUMNS.format("", "epoch", "train loss", "valid loss", "score", "lr", "time")
        self._print(Text(heads, "dim"))

    @hookimpl
    def on_step_end(self, trainer: TrainerView) -> None:
        """Redraw the live line a few times a second, and when the epoch's validation begins."""
        name = trainer.member.name
        if self._pace[name].step(trainer):
            self._print(Text(f"resumes at epoch {trainer.epoch + 1}", "dim"))
        if self._throttle.ready(name) or trainer.step == trainer.steps_per_epoch:
            self._screen.show(self._label + name, _training_line(self._label, trainer, self._pace[name]))

    @hookimpl
    def on_epoch_end(self, trainer: TrainerView, epoch: Epoch) -> None:
        """Print the epoch's losses and score, with a mark when no epoch of this member was better."""
        self._screen.pause(self._label + trainer.member.name)
        if change := more_trained(trainer, epoch):
            self._print(Text(change, "dim"))
        line = EPOCH_COLUMNS.format(
            self._label + trainer.member.name,
            f"{epoch.number}/{trainer.epochs}",
            decimal(epoch.train_loss),
            decimal(epoch.valid_loss),
            decimal(epoch.score),
            f"{epoch.lr:.1e}",
            duration(epoch.seconds),
        )
        mark = ("  ★ best", "bold green") if _is_best(trainer, epoch) else ""
        self._print(Text.assemble(line, mark))

    @hookimpl
    def on_member_end(self, run: RunView, result: MemberResult) -> None:
        """Print the member's score and the epoch it comes from."""
        self._screen.pause(self._label + result.member.name)
        score = f"{clean(run.metric_name)} {decimal(result.score)}"
        rest = f" from epoch {result.best_epoch}, {duration(result.seconds)}"
        self._print(
            Text.assemble(("✓ ", "green"), self._label + result.member.name, "  ", (score, "bold"), (rest, "dim"))
        )

    @hookimpl
    def on_progress(self, what: str, done: int, total: int) -> None:
        """Show long work in the live line until it is done."""
        if done >= total:
            self._screen.pause(self._label + what)
            self._throttle.forget(what)
        elif self._throttle.ready(what):
            self._screen.show(self._label + what, _live_line(self._label + clean(what), done, total, ""))

    @hookimpl
    def on_run_end(self, run: RunView, scores: Scores) -> None:
        """Print the last screen: scores, classes, the submission and the next steps."""
        self._screen.stop()
        self._console.print(*summary(run.folder, scores), sep="\n")
        self._console.print(next_steps(scores), soft_wrap=True)

    @hookimpl
    def on_run_error(self) -> None:
        """Give the terminal back; the command line prints the message."""
        self._screen.stop()

    def _print(self, text: Text) -> None:
        self._console.print(text, no_wrap=True, overflow="ellipsis")


def _is_best(trainer: TrainerView, epoch: Epoch) -> bool:
    earlier = [e.score for e in trainer.history if e.number < epoch.number and e.score == e.score]
    return all(trainer.metric.better(epoch.score, score) for score in [None, *earlier])


def _training_line(label: str, trainer: TrainerView, pace: Pace) -> Table:
    title = f"{label}{trainer.member.name} epoch {trainer.epoch + 1}/{trainer.epochs}"
    speed, left = pace.images_per_second(trainer), pace.seconds_left(trainer)
    facts = f"{NO_VALUE if speed is None else f'{speed:,.0f}'} img/s"
    if trainer.step == trainer.steps_per_epoch:
        facts = "validating"
    eta = NO_VALUE if left is None else duration(left)
    return _live_line(title, trainer.step, trainer.steps_per_epoch, f"{facts}  ETA {eta}")


def _live_line(title: str, done: int, total: int, facts: str) -> Table:
    line = Table.grid(padding=(0, 2))
    line.add_column(no_wrap=True)
    line.add_column(ratio=1)
    line.add_column(no_wrap=True, justify="right")
    line.add_column(no_wrap=True, justify="right")
    bar = ProgressBar(total, done, complete_style="cyan", finished_style="green")
    line.add_row(Text(title), bar, Text(f"{done:,}/{total:,}"), Text(facts))
    return line
