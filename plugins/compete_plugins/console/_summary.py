"""The last screen of a run on a terminal, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from compete import fit_verdict

from ._words import NO_VALUE, clean, decimal, shown_path, worst_first

if TYPE_CHECKING:
    from compete import ClassScores, Scores

CLASSES_SHOWN = 20
CLASSES_MARKED = 3
BAR_CELLS = 6


def note_panel(note: str) -> Panel:
    """Frame a note about the data so that nobody overlooks it."""
    text = "\n".join(clean(line) for line in note.splitlines())
    return Panel(Text(text), title="note", title_align="left", border_style="yellow", box=box.ROUNDED)


def run_title(title: str, run: str) -> str:
    """Return the competition's title and the run's name."""
    return clean(f"{title}  {run}")


def summary(folder: Path, scores: Scores) -> Iterator[RenderableType]:
    """Yield what the last screen shows, from top to bottom."""
    yield Text()
    yield Rule(Text(run_title(scores.title, scores.run), "bold"), style="cyan")
    yield _headline(scores)
    if verdict := fit_verdict(scores):
        yield Text(clean(verdict), "yellow")
    yield Text()
    yield _tables(scores)
    yield Text()
    yield _outputs(folder, scores)
    if scores.note:
        yield note_panel(scores.note)


def _headline(scores: Scores) -> Text:
    cv = scores.cv
    text = Text.assemble(
        f"{clean(scores.metric)}  ",
        ("CV ", "dim"),
        (decimal(cv.mean) + ("" if cv.std is None else f" ± {decimal(cv.std)}"), "bold green"),
        ("   OOF ", "dim"),
        (decimal(cv.oof), "bold green"),
    )
    if cv.oof_postprocessed is not None:
        text.append(" → ")
        text.append(decimal(cv.oof_postprocessed), "bold green")
        text.append(" post-processed", "dim")
    return text


def _tables(scores: Scores) -> Table:
    """Put members and classes side by side; 80 columns hold both."""
    both = Table.grid(padding=(0, 3), expand=True)
    both.add_column(no_wrap=True)
    if not scores.per_class:
        both.add_row(_member_table(scores))
        return both
    both.add_column(ratio=1)
    both.add_row(_member_table(scores), _class_table(scores.per_class))
    return both


def _member_table(scores: Scores) -> Table:
    table = _plain_table()
    table.add_column("part" if scores.blend else "member", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("epoch", justify="right", no_wrap=True)
    for name, score in scores.cv.folds.items():
        member = scores.members.get(name)
        table.add_row(Text(clean(name)), decimal(score), str(member.best_epoch) if member else NO_VALUE)
    return table


def _class_table(per_class: Sequence[ClassScores]) -> Table:
    rows = worst_first(per_class)
    marked = min(CLASSES_MARKED, len(rows) // 2)
    table = _plain_table()
    table.expand = True
    table.add_column("  class, worst first", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("F1", justify="right", no_wrap=True)
    table.add_column("", width=BAR_CELLS, no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    for place, row in enumerate(rows[:CLASSES_SHOWN]):
        mark, style = ("! ", "bold red") if place < marked else ("  ", "")
        name = Text(mark + clean(row.name), style)
        table.add_row(name, Text(f"{row.f1:.3f}", style), _bar(row.f1), f"{row.support:,}")
    if len(rows) > CLASSES_SHOWN:
        table.add_row(f"  and {len(rows) - CLASSES_SHOWN} more", "", "", "")
    return table


def _plain_table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def _bar(share: float) -> Text:
    cells = round(share * BAR_CELLS)
    return Text.assemble(("━" * cells, "cyan"), ("─" * (BAR_CELLS - cells), "dim"))


def _outputs(folder: Path, scores: Scores) -> Table:
    submission = scores.submission
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    if submission is None:
        table.add_row("submission", "none: there is no test set")
    else:
        table.add_row("submission", Text(shown_path(folder / Path(submission.path).name)))
        matches = f"{submission.rows:,} rows match the sample submission"
        table.add_row("check", Text.assemble(("✓ ", "green"), matches))
    for warning in scores.warnings:
        table.add_row("warning", Text.assemble(("! ", "bold yellow"), clean(warning)))
    table.add_row("report", Text(shown_path(folder / "report.html")))
    return table


def next_steps(scores: Scores) -> Text:
    """Return the commands that may follow; print them softly wrapped, so that a long one can be copied whole."""
    text = Text("\nNext steps" if scores.next else "", "bold")
    for command in scores.next:
        text.append(f"\n  {clean(command)}", "not bold cyan")
    return text
