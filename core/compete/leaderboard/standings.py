"""CV against leaderboard: the table of `compete runs`, how far the two agree, and what is out of line."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import groupby
from pathlib import Path
from statistics import StatisticsError, correlation, median
from typing import Any, NamedTuple

from rich.cells import cell_len, chop_cells

from compete.errors import UserError
from compete.leaderboard.records import SUBMISSIONS, Record
from compete.store import write_text
from compete.text import format_first, format_list, plural, printable

OUTLIER = 3.0
MAD_TO_SIGMA = 1.4826  # of a normal distribution
FEWEST_FOR_MEDIAN = 4
FEWEST_FOR_CORRELATION = 3
COLUMNS = ("run", "CV", "+-", "OOF", "public", "private", "gap", "state", "submitted (UTC)", "left before")
LEFT = ("run", "state")
# What a narrow terminal does without, the least important first; `--export` has all of it.
SPARE_COLUMNS = ("left before", "+-", "submitted (UTC)", "OOF", "private", "gap", "state")
SHORTEST_NAME = 16  # cells


class MetricUsed(NamedTuple):
    """A metric with its options in words, and which direction is better; None is not known."""

    metric: str | None = None
    higher_is_better: bool | None = None


UNKNOWN = MetricUsed()


@dataclass(frozen=True)
class Standing:
    """A row of the table: a submission with its run, a run that was not submitted, or a submission without a run."""

    competition: str
    run: str
    metric: str | None = None
    higher_is_better: bool | None = None
    cv_mean: float | None = None
    cv_std: float | None = None
    cv_oof: float | None = None
    cv_folds: dict[str, float | None] = field(default_factory=dict)
    public: float | None = None
    private: float | None = None
    phase: str = ""
    reason: str = ""
    submitted_at: str | None = None
    quota_before: int | None = None
    reference: str = ""
    file_hash: str | None = None
    config_hash: str | None = None
    git_commit: str | None = None
    git_changed_files: int | None = None
    created_at: str | None = None
    message: str = ""
    is_another_file: bool = False

    @property
    def gap(self) -> float | None:
        """Public score minus CV."""
        return None if self.public is None or self.cv_mean is None else self.public - self.cv_mean


_SHARED = {item.name for item in fields(Record)} & {item.name for item in fields(Standing)}


def standings(
    runs: Sequence[Standing],
    submissions: Sequence[Record],
    metric_of: Callable[[Record], MetricUsed] = lambda _: UNKNOWN,
) -> list[Standing]:
    """Join runs and submissions, each metric's together: best CV first, then best leaderboard, then what has neither.

    `metric_of` tells the metric of a submission without a run. A submission of a run whose file is not the one that
    the run wrote has no CV.
    """
    by_run: dict[tuple[str, str], list[Record]] = {}
    for record in submissions:
        by_run.setdefault((record.competition, record.run), []).append(record)
    rows = []
    for run in runs:
        submitted = by_run.pop((run.competition, run.run), [])
        rows += [_submitted(run, record) for record in submitted] or [run]
    for records in by_run.values():
        rows += [_submitted(Standing(record.competition, record.run, *metric_of(record)), record) for record in records]
    better = {row.metric: row.higher_is_better for row in rows if row.higher_is_better is not None}
    return sorted((replace(row, higher_is_better=better.get(row.metric)) for row in rows), key=_order)


def agreement(rows: Sequence[Standing]) -> str:
    """Describe how CV and leaderboard correlate over the submissions with both."""
    pairs = _pairs(rows)
    counted = plural(len(pairs), "submission")
    if len(pairs) < FEWEST_FOR_CORRELATION:
        return f"{counted} with CV and leaderboard; a correlation needs {FEWEST_FOR_CORRELATION}"
    cv, public = [float(row.cv_mean or 0) for row in pairs], [float(row.public or 0) for row in pairs]
    try:
        linear, ranked = correlation(cv, public), correlation(_ranks(cv), _ranks(public))
    except StatisticsError:  # all the same
        return f"{counted} with CV and leaderboard, but one of the two never changes"
    return f"CV and leaderboard over {counted}: Pearson {linear:.2f}, Spearman {ranked:.2f}"


def gap_warnings(rows: Sequence[Standing]) -> Iterator[str]:
    """Yield submissions whose gap between leaderboard and CV is out of line.

    With four or more, out of line is far from the median gap, measured by the median absolute deviation, and at
    least by the spread between folds; a leaderboard that is always lower is normal. With fewer, it is far from CV.
    """
    pairs = _pairs(rows)
    gaps = [float(row.gap or 0) for row in pairs]
    usual = median(gaps) if len(gaps) >= FEWEST_FOR_MEDIAN else 0.0
    deviation = median(abs(gap - usual) for gap in gaps) if len(gaps) >= FEWEST_FOR_MEDIAN else 0.0
    for row, gap in zip(pairs, gaps, strict=True):
        spread = max(MAD_TO_SIGMA * deviation, row.cv_std or 0.0)
        if spread and abs(gap - usual) > OUTLIER * spread:
            against = f"the usual gap is {usual:+.5f}" if len(gaps) >= FEWEST_FOR_MEDIAN else "CV should be nearer"
            yield (
                f"{row.run}: leaderboard {row.public:g}, CV {row.cv_mean:g}, gap {gap:+.5f}; {against}, "
                f"within {OUTLIER * spread:.5f}. Look for a leak, other folds, or another post-processing."
            )


def final_picks(rows: Sequence[Standing], count: int) -> list[tuple[Standing, str]]:
    """Propose what to select in the end among submissions of one metric, those of CSV files too.

    The best CV comes first, then the best leaderboard, then the next best CVs, then the next best leaderboards.
    """
    made = [row for row in rows if row.phase in {"scored", "unscored"}]
    by_cv = sorted((row for row in made if row.cv_mean is not None), key=lambda row: _key(row, row.cv_mean))
    by_board = sorted((row for row in made if row.public is not None), key=lambda row: _key(row, row.public))
    if any(row.higher_is_better is None for row in made):  # which is the best is not known
        return []
    ranked = [
        *((row, "best CV") for row in by_cv[:1]),
        *((row, "best leaderboard") for row in by_board[:1]),
        *((row, "next best CV") for row in by_cv[1:]),
        *((row, "next best leaderboard") for row in by_board[1:]),
    ]
    picks: dict[str, tuple[Standing, str]] = {}
    for row, why in ranked:
        picks.setdefault(row.file_hash or row.run, (row, why))
    return list(picks.values())[:count]


def table_lines(competition: str, rows: Sequence[Standing], picks: int | None = None, width: int = 0) -> Iterator[str]:
    """Yield a competition's tables, one for each metric, and what follows from them.

    `width` is the terminal's, in cells; 0 is as wide as it needs to be.
    """
    groups = [list(group) for _, group in groupby(sorted(rows, key=_order), key=_metric)]
    for group in groups:
        yield from _table(competition, group, width)
        yield agreement(group)
        for warning in gap_warnings(group):
            yield f"warning: {warning}"
    yield from (f"{row.run}, number {row.reference}: {row.reason}" for row in rows if row.phase == "failed")
    yield from _picks(groups, picks)
    best = groups[0][0] if groups else None
    if best is not None and best.cv_mean is not None and not any(row.phase for row in rows):
        yield f"next: compete submit {shlex.quote(str(SUBMISSIONS / competition / best.run))}"


def _picks(groups: Sequence[Sequence[Standing]], count: int | None) -> Iterator[str]:
    """Yield the final picks, by the metric of the newest submission: two metrics cannot be compared."""
    made = [group for group in groups if any(row.submitted_at for row in group)]
    if not count or not made:
        return
    newest = max(made, key=lambda group: max(row.submitted_at or "" for row in group))
    chosen = final_picks(newest, count)
    if chosen:
        listed = ", ".join(f"{row.run} ({why})" for row, why in chosen)
        metric = f" by {newest[0].metric}, the metric of the newest submission" if len(made) > 1 else ""
        yield f"final picks{metric} ({count} count): {listed}"
    others = list(dict.fromkeys(row.run for group in made if group is not newest or not chosen for row in group))
    if others:
        why = "cannot be compared with them" if chosen else "cannot be ranked: the direction of the metric is not known"
        yield f"final picks leave out {plural(len(others), 'submission')} that {why}: {format_first(others)}"


def export(rows: Sequence[Standing], path: Path) -> None:
    """Write the table as CSV or JSON, by the file's ending."""
    if path.suffix not in {".csv", ".json"}:
        raise UserError(f"--export {path}: the file must end in .csv or .json.")
    table = [{**asdict(row), "gap": row.gap} for row in rows]
    if path.suffix == ".json":
        write_text(path, json.dumps(table, indent=2, ensure_ascii=False) + "\n")
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, [*(item.name for item in fields(Standing)), "gap"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "cv_folds": json.dumps(row["cv_folds"])} for row in table)
    write_text(path, text.getvalue())


def _submitted(run: Standing, record: Record) -> Standing:
    """Return a run's row with what its submission has, such as the score."""
    known = {name: value for name, value in asdict(record).items() if name in _SHARED and value is not None}
    if not record.code and record.file_hash not in ("", run.file_hash or record.file_hash):  # edited, or older
        known |= {"cv_mean": None, "cv_std": None, "cv_oof": None, "cv_folds": {}, "is_another_file": True}
    return replace(run, **known)


def _pairs(rows: Sequence[Standing]) -> list[Standing]:
    """Return submissions with CV and leaderboard, each file once."""
    once = {(row.competition, row.file_hash or row.run): row for row in rows if row.gap is not None}
    return list(once.values())


def _metric(row: Standing) -> tuple[str, bool, str, bool]:
    """Sort by metric and direction; what is not known comes last."""
    return row.competition, row.metric is None, row.metric or "", bool(row.higher_is_better)


def _order(row: Standing) -> tuple[Any, ...]:
    when = row.created_at or row.submitted_at or ""
    return (*_metric(row), *_key(row, row.cv_mean), *_key(row, row.public), when, row.run)


def _key(row: Standing, score: float | None) -> tuple[bool, float]:
    """Sort the best first and what has no score last; nothing is best where the direction is not known."""
    if score is None or row.higher_is_better is None:
        return score is None, 0.0
    return False, -score if row.higher_is_better else score


def _ranks(values: Sequence[float]) -> list[float]:
    """Return ranks; equal values share the middle one."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]


def _table(competition: str, rows: Sequence[Standing], width: int) -> Iterator[str]:
    """Lay a table out in a width: less important columns are left out, then names are cut."""
    yield f"{competition} {_metric_text(rows)}".strip()
    table = {name: [name, *cells] for name, cells in zip(COLUMNS, zip(*map(_cells, rows), strict=True), strict=True)}
    left_out = []
    for spare in SPARE_COLUMNS:
        if width and _room_for_names(table, width) < min(SHORTEST_NAME, _widest(table["run"])):
            del table[spare]
            left_out.append(spare)
    room = max(1, _room_for_names(table, width)) if width else _widest(table["run"])
    table["run"] = [_cut(name, room) for name in table["run"]]
    widths = list(map(_widest, table.values()))
    cells = [zip(line, widths, table, strict=True) for line in zip(*table.values(), strict=True)]
    header, *lines = ("".join("  " + _padded(*cell) for cell in line).rstrip() for line in cells)
    yield from (header, f"  {'─' * (sum(widths) + 2 * len(widths) - 2)}", *lines)
    if left_out:
        yield f"left out for the width: {format_list(left_out)}; `compete runs --export runs.csv` writes all"
    another = list(dict.fromkeys(row.run for row in rows if row.is_another_file))
    if another:
        yield f"without CV, because another file was submitted than the run wrote: {format_first(another)}"


def _metric_text(rows: Sequence[Standing]) -> str:
    scored = any(row.public is not None or row.cv_mean is not None for row in rows)
    if rows[0].metric is None:
        return "(metric not known, in the order of time)" if scored else ""
    return f"{rows[0].metric}{', lower is better' if rows[0].higher_is_better is False else ''}"


def _widest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts))


def _room_for_names(table: dict[str, list[str]], width: int) -> int:
    return width - 2 * len(table) - sum(_widest(cells) for name, cells in table.items() if name != "run")


def _cut(text: str, cells: int) -> str:
    """Cut a text to a width in cells; a Korean letter has two."""
    return text if cell_len(text) <= cells else f"{chop_cells(text, cells - 1)[0]}…"


def _padded(text: str, width: int, column: str) -> str:
    room = " " * (width - cell_len(text))
    return text + room if column in LEFT else room + text


def _cells(row: Standing) -> list[str]:
    when = (row.submitted_at or "")[:16].replace("T", " ")
    state = row.phase or ("unfinished" if row.cv_mean is None else "not submitted")
    scores = (row.cv_mean, row.cv_std, row.cv_oof, row.public, row.private)
    gap = "" if row.gap is None else f"{row.gap:+.5f}"
    left = "" if row.quota_before is None else str(row.quota_before)
    shown = ("" if score is None else f"{score:.5f}" for score in scores)
    return [printable(row.run), *shown, gap, state, when, left]
