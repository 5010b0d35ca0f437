"""Compare a submission with the sample submission.

Platforms reject files mostly for wrong columns, row counts and ids, and score some damaged files badly without an
error. So a submission is checked as a table before it is written, and again as the text that the platform reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compete.text import did_you_mean, format_first, plural

if TYPE_CHECKING:
    from compete.types import Array

SHOWN = 5
SUM_TOLERANCE = 1e-5  # what log loss graders accept
ROUNDING = 1e-3  # more than rounding to a few digits can cause


@dataclass(frozen=True)
class CheckResult:
    """What a platform would reject (`problems`), and what only looks wrong (`warnings`)."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_submission(
    frame: pd.DataFrame,
    sample: pd.DataFrame,
    *,
    allowed: Sequence[object] | None = None,
    separator: str | None = None,
    may_be_empty: bool = False,
    low: float | None = None,
    high: float | None = None,
    rows_sum_to_one: bool = False,
    integers: bool = False,
    train_shares: Mapping[str, float] | None = None,
) -> CheckResult:
    """Compare a submission with the sample: its columns, its ids in order, and its cells.

    A cell holds one of the `allowed` labels, or several joined by `separator`; it must not be empty unless
    `may_be_empty`. `low`, `high`, `integers` and `rows_sum_to_one` restrict numbers. `train_shares`, each class's
    share of the training rows, only leads to warnings. The frame may be typed, or text from `read_submission`.
    """
    problems = list(_column_problems(_names(frame), _names(sample)))
    if problems:
        return CheckResult(problems)
    rows = _Rows(frame)
    problems += _id_problems(rows.id_column, rows.ids, _as_text(sample.iloc[:, 0]).tolist())
    problems += [] if may_be_empty else _empty_problems(rows)
    if low is not None or high is not None or rows_sum_to_one or integers:
        problems += _number_problems(rows, low, high, integers, rows_sum_to_one)
    else:
        problems += _not_finite_problems(rows, {str(label) for label in allowed or ()})
    if allowed is not None:
        problems += _label_problems(rows, [str(label) for label in allowed], separator)
    return CheckResult(problems, list(_share_warnings(rows, train_shares or {}, separator)))


class _Rows:
    """A submission's ids and cells as text, and its cells as numbers."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.id_column = str(frame.columns[0])
        self.ids: list[str] = _as_text(frame.iloc[:, 0]).tolist()
        self.cells = {str(name): _as_text(frame.iloc[:, i]) for i, name in enumerate(frame.columns) if i > 0}

    def numbers(self, column: str) -> Array:
        """Return a column's cells as float64 (T,), NaN where they are not numeric."""
        return np.asarray(pd.to_numeric(self.cells[column], errors="coerce"), dtype=np.float64)

    def name(self, bad: Array, column: str | None = None) -> str:
        """Return the number of rows where `bad` (T,) is true, and the first ids with their cells in a column."""
        rows = np.flatnonzero(bad).tolist()
        cells = [f" ({self.cells[column].iloc[row]})" if column else "" for row in rows[:SHOWN]]
        named = [f"'{self.ids[row]}'{cell}" for row, cell in zip(rows, cells, strict=False)]
        return f"{plural(len(rows), 'row')}, id {format_first(named, SHOWN, len(rows))}"


def _as_text(cells: pd.Series[Any]) -> pd.Series[str]:
    return cells.astype(str).where(cells.notna(), "")


def _names(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame.columns]


def _quoted(names: Iterable[object]) -> str:
    return format_first([f"'{name}'" for name in names], SHOWN)


def _column_problems(given: list[str], expected: list[str]) -> Iterator[str]:
    extra = [name for name in given if name not in expected]
    for name in expected:
        if name not in given:
            yield f"column '{name}' of the sample is missing.{did_you_mean(name, extra)}"
    if extra:
        yield f"the sample has no column {_quoted(extra)}. Its columns are {', '.join(expected)}; leave out the index."
    if sorted(given) == sorted(expected) and given != expected:
        yield f"the columns are {', '.join(given)}; the sample's order is {', '.join(expected)}."
    elif not extra and len(given) > len(expected):
        yield f"a column occurs more than once: {', '.join(given)}."


def _id_problems(column: str, given: list[str], expected: list[str]) -> Iterator[str]:
    if given == expected:
        return
    lacking, left_over = Counter(expected) - Counter(given), Counter(given) - Counter(expected)
    known = set(expected)
    unknown = [name for name in left_over if name not in known]
    repeated = [name for name in left_over if name in known]
    if lacking:
        rows = plural(lacking.total(), "row")
        yield f"column '{column}': {rows} of the sample missing: {_quoted(lacking)}. Add them."
    if unknown:
        # Only the missing ids can be meant, and comparing with all of a large sample would take minutes.
        near = did_you_mean(unknown[0], list(lacking)[:2000])
        ids = plural(len(unknown), "id")
        yield f"column '{column}': {ids} not in the sample: {_quoted(unknown)}.{near} Write ids as the sample does."
    if repeated:
        yield f"column '{column}': rows repeated more often than in the sample: {_quoted(repeated)}. Remove them."
    if not lacking and not left_over:
        row = next(i for i, (a, b) in enumerate(zip(given, expected, strict=True)) if a != b)
        yield (
            f"column '{column}': the ids are reordered, first in row {row + 1}: '{given[row]}' instead of "
            f"'{expected[row]}'. Sort the rows as in the sample."
        )


def _empty_problems(rows: _Rows) -> Iterator[str]:
    for column, cells in rows.cells.items():
        empty = (cells.str.strip() == "").to_numpy()
        if empty.any():
            allow = "If empty cells are valid, set [checks] may_be_empty = true."
            yield f"column '{column}' is empty in {rows.name(empty)}. {allow}"


def _not_finite_problems(rows: _Rows, allowed: set[str]) -> Iterator[str]:
    for column, cells in rows.cells.items():
        bad = np.isinf(rows.numbers(column)) | (cells.str.lower() == "nan").to_numpy()
        bad &= ~cells.isin(allowed).to_numpy()
        if bad.any():
            yield f"column '{column}' contains NaN or infinity in {rows.name(bad, column)}."


def _number_problems(
    rows: _Rows, low: float | None, high: float | None, integers: bool, rows_sum_to_one: bool
) -> Iterator[str]:
    for column, cells in rows.cells.items():
        numbers = rows.numbers(column)
        filled = (cells.str.strip() != "").to_numpy()
        faults = {"is not a finite number": filled & ~np.isfinite(numbers)}
        if integers:
            integral = cells.str.fullmatch(r"\s*[+-]?\d+\s*").to_numpy()
            faults["must be an integer without a decimal point"] = np.isfinite(numbers) & ~integral
        if low is not None:
            faults[f"is below {low:g}"] = numbers < low
        if high is not None:
            faults[f"is above {high:g}"] = numbers > high
        for fault, bad in faults.items():
            if bad.any():
                yield f"column '{column}' {fault} in {rows.name(bad, column)}."
    if rows_sum_to_one:
        yield from _sum_problems(rows)


def _sum_problems(rows: _Rows) -> Iterator[str]:
    sums = np.stack([rows.numbers(column) for column in rows.cells], axis=1).sum(axis=1)
    wrong = np.abs(sums - 1) > SUM_TOLERANCE
    if wrong.any():
        first = sums[wrong][0]
        hint = " Write more digits." if np.nanmax(np.abs(sums - 1), initial=0) < ROUNDING else ""
        yield f"rows must sum to one, but {rows.name(wrong)} do not: the first sums to {first:.7g}.{hint}"


def _label_problems(rows: _Rows, allowed: list[str], separator: str | None) -> Iterator[str]:
    for column, cells in rows.cells.items():
        labels = _labels(cells, separator)
        unknown = labels[~labels.isin(allowed)]
        for label in unknown.unique()[:SHOWN]:
            bad = np.isin(np.arange(len(cells)), unknown.index[unknown == label])
            near = did_you_mean(label, allowed)
            yield f"column '{column}': '{label}' is not an allowed label, in {rows.name(bad)}.{near}"


def _labels(cells: pd.Series[str], separator: str | None) -> pd.Series[str]:
    """Return one label per entry, with its row number as the index, without empty cells."""
    numbered = cells.reset_index(drop=True)
    labels = numbered if separator is None else numbered.str.split(separator, regex=False).explode()
    return labels[labels.str.strip() != ""]


def _share_warnings(rows: _Rows, train_shares: Mapping[str, float], separator: str | None) -> Iterator[str]:
    """Yield classes that are never predicted, or three times more or less often than in the training rows."""
    if len(rows.cells) != 1 or not train_shares or not rows.ids:
        return
    labels = _labels(next(iter(rows.cells.values())), separator)
    if labels.empty or not labels.isin(list(train_shares)).all():
        return  # probabilities or values, not labels
    counts, total = labels.value_counts(), len(rows.ids)
    expected_shares = {name: share for name, share in train_shares.items() if share * total >= 1}
    never = [f"'{name}' ({share:.1%} of training)" for name, share in expected_shares.items() if name not in counts]
    if never:
        yield f"never predicted: class {format_first(never)}."
    for name, share in expected_shares.items() if separator is None else ():
        found = counts.get(name, 0) / total
        if found and max(found, share) * total >= 10 and not 1 / 3 <= found / share <= 3:
            yield f"class '{name}' is {found:.1%} of the predictions but {share:.1%} of the training rows."
