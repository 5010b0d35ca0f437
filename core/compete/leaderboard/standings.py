"""CV against leaderboard: the table of `compete runs`, how far the two agree, and what is out of line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from statistics import StatisticsError, correlation, median
from typing import Any

from compete.errors import UserError
from compete.leaderboard.records import SUBMISSIONS, Record
from compete.store import write_text
from compete.text import plural

OUTLIER = 3.0
MAD_TO_SIGMA = 1.4826  # of a normal distribution
FEWEST_FOR_MEDIAN = 4
FEWEST_FOR_CORRELATION = 3
COLUMNS = ("run", "CV", "+-", "OOF", "public", "private", "gap", "state", "submitted (UTC)", "left before")
LEFT = ("run", "state")


@dataclass(frozen=True)
class Standing:
    """A row of the table: a submission with its run, a run that was not submitted, or a submission without a run."""

    competition: str
    run: str
    metric: str | None = None
    higher_is_better: bool = True
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

    @property
    def gap(self) -> float | None:
        """Public score minus CV."""
        return None if self.public is None or self.cv_mean is None else self.public - self.cv_mean


_SHARED = {item.name for item in fields(Record)} & {item.name for item in fields(Standing)}


def standings(runs: Sequence[Standing], submissions: Sequence[Record]) -> list[Standing]:
    """Join runs and submissions, best CV first, then best leaderboard; what has neither comes last."""
    by_run: dict[tuple[str, str], list[Record]] = {}
    for record in submissions:
        by_run.setdefault((record.competition, record.run), []).append(record)
    rows = []
    for run in runs:
        submitted = by_run.pop((run.competition, run.run), [])
        rows += [_submitted(run, record) for record in submitted] or [run]
    for records in by_run.values():
        rows += [_submitted(Standing(record.competition, record.run), record) for record in records]
    return sorted(rows, key=_order)


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
    """Propose what to select in the end: best CV, best leaderboard, then the next best CVs."""
    scored = [row for row in rows if row.phase in {"scored", "unscored"} and row.cv_mean is not None]
    picks = [(row, "best CV") for row in scored[:1]]
    public = sorted((row for row in scored if row.public is not None), key=lambda row: _key(row, row.public))
    picks += [(row, "best leaderboard") for row in public[:1] if row not in scored[:1]]
    taken = {row.run for row, _ in picks}
    picks += [(row, "next best CV") for row in scored if row.run not in taken]
    return picks[:count]


def table_lines(competition: str, rows: Sequence[Standing], picks: int | None = None) -> Iterator[str]:
    """Yield the table of one competition and what follows from it."""
    yield from _table(competition, rows)
    yield agreement(rows)
    for warning in gap_warnings(rows):
        yield f"warning: {warning}"
    yield from (f"{row.run}, number {row.reference}: {row.reason}" for row in rows if row.phase == "failed")
    chosen = final_picks(rows, picks) if picks else []
    if chosen:
        yield f"final picks ({picks} count): " + ", ".join(f"{row.run} ({why})" for row, why in chosen)
    if rows and rows[0].cv_mean is not None and not any(row.phase for row in rows):
        yield f"next: compete submit {SUBMISSIONS / competition / rows[0].run}"


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
    return replace(run, **known)


def _pairs(rows: Sequence[Standing]) -> list[Standing]:
    """Return submissions with CV and leaderboard, each file once."""
    once = {(row.competition, row.file_hash or row.run): row for row in rows if row.gap is not None}
    return list(once.values())


def _order(row: Standing) -> tuple[Any, ...]:
    return (row.competition, *_key(row, row.cv_mean), *_key(row, row.public), row.created_at or "", row.run)


def _key(row: Standing, score: float | None) -> tuple[bool, float]:
    """Sort the best first and what has no score last."""
    return score is None, (-score if row.higher_is_better else score) if score is not None else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    """Return ranks; equal values share the middle one."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]


def _table(competition: str, rows: Sequence[Standing]) -> Iterator[str]:
    """Lay the table out, as wide as it needs to be."""
    metric = next((row.metric for row in rows if row.metric), "")
    yield f"{competition} {metric}".strip()
    cells = [list(COLUMNS), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = ["<" if name in LEFT else ">" for name in COLUMNS]
    form = "".join(f"  {{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    header, *lines = (form.format(*row).rstrip() for row in cells)
    yield from (header, f"  {'─' * (len(header) - 2)}", *lines)


def _cells(row: Standing) -> list[str]:
    when = (row.submitted_at or "")[:16].replace("T", " ")
    state = row.phase or ("unfinished" if row.cv_mean is None else "not submitted")
    scores = (row.cv_mean, row.cv_std, row.cv_oof, row.public, row.private)
    gap = "" if row.gap is None else f"{row.gap:+.5f}"
    left = "" if row.quota_before is None else str(row.quota_before)
    return [row.run, *("" if score is None else f"{score:.5f}" for score in scores), gap, state, when, left]
