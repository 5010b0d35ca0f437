"""The submission file: check it against the sample submission, write it whole or not at all, read it back as text.

Platforms reject files mostly for wrong columns, row counts and ids, and some damage they score badly without a
word; so a submission is checked as a table before it is written and once more as the text that the platform reads.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compete.errors import SubmissionError
from compete.store import write_bytes
from compete.text import did_you_mean

if TYPE_CHECKING:
    from compete.types import Array

SHOWN = 5
SUM_TOLERANCE = 1e-5  # what graders of log loss allow
ROUNDING = 1e-3  # further off than any rounding to a few digits
UTF8_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class CheckResult:
    """What a platform would refuse (`problems`) and what only looks odd (`warnings`)."""

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
    """Compare a submission with the sample: its columns, its ids row for row, and its cells.

    `allowed` are the labels a cell may hold, several of them joined by `separator` where one is given; an empty cell
    is a problem unless it `may_be_empty`. `low` and `high` bound every number, `rows_sum_to_one` and `integers` say
    more about them. `train_shares`, a class's share of the training rows, only leads to warnings. The frame
    may be typed or all text, as `read_submission` returns it.
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


def write_submission(frame: pd.DataFrame, path: Path, float_digits: int = 8) -> str:
    """Write the frame as a CSV (UTF-8, line feeds, no index), replacing the old file in one step; return its SHA-256.

    Fractions get `float_digits` significant digits: fixed decimals would make ties of small probabilities.
    """
    text = frame.to_csv(index=False, lineterminator="\n", float_format=f"%.{float_digits}g")
    data = text.encode()
    write_bytes(path, data)
    return sha256(data).hexdigest()


def read_submission(path: Path) -> pd.DataFrame:
    """Read a CSV with every cell as text. Raise `SubmissionError` where a line is broken or the bytes are no UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read: {error.strerror or error}.") from error
    lines = list(_lines(path, _decoded(path, data)))
    if not lines:
        raise SubmissionError(f"{path}: the file is empty.")
    header, *rows = (cells for _, cells in lines)
    problems = [f"{path}: column '{name}' is there {n} times." for name, n in Counter(header).items() if n > 1]
    problems += _ragged(path, lines)
    if problems:
        raise SubmissionError(problems)
    return pd.DataFrame(rows, columns=header, dtype=str)


def _decoded(path: Path, data: bytes) -> str:
    if data.startswith(UTF8_MARK):
        raise SubmissionError(f"{path}: begins with a byte order mark, which becomes part of the first column's name.")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SubmissionError(f"{path}: line {line} is not UTF-8; save the file as UTF-8.") from error
    if "\0" in text:
        raise SubmissionError(f"{path}: line {text[: text.index(chr(0))].count(chr(10)) + 1} holds a zero byte.")
    return text


def _lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row's cells with the number of the line it ends on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    limit = csv.field_size_limit(max(len(text), 1))  # its own limit of 131,072 characters is for nobody's good here
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise SubmissionError(f"{path}: line {reader.line_num}: {error}. Is the file cut off?") from error
    finally:
        csv.field_size_limit(limit)


def _ragged(path: Path, lines: list[tuple[int, list[str]]]) -> list[str]:
    columns = len(lines[0][1])
    wrong = [(line, len(cells)) for line, cells in lines if len(cells) != columns]
    if not wrong:
        return []
    cut = " The file looks cut off." if wrong[0][0] == lines[-1][0] else ""
    shown = ", ".join(f"line {line} has {cells}" for line, cells in wrong[:SHOWN])
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return [f"{path}: every line needs {columns} cells, but {shown}{more}.{cut}"]


class _Rows:
    """A submission's ids and cells, as text and, where they are numbers, as numbers."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.id_column = str(frame.columns[0])
        self.ids: list[str] = _as_text(frame.iloc[:, 0]).tolist()
        self.cells = {str(name): _as_text(frame.iloc[:, i]) for i, name in enumerate(frame.columns) if i > 0}

    def numbers(self, column: str) -> Array:
        return np.asarray(pd.to_numeric(self.cells[column], errors="coerce"), dtype=np.float64)

    def name(self, bad: Array, column: str | None = None) -> str:
        """Say how many rows are bad, and the first ids with what their cells hold."""
        rows = np.flatnonzero(bad)
        shown = [
            f"'{self.ids[row]}'" + (f" ({self.cells[column].iloc[row]})" if column else "") for row in rows[:SHOWN]
        ]
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        return f"{_count(len(rows), 'row')}, id {', '.join(shown)}{more}"


def _as_text(cells: pd.Series[Any]) -> pd.Series[str]:
    return cells.astype(str).where(cells.notna(), "")


def _names(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame.columns]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _shown(names: Sequence[object]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more


def _column_problems(given: list[str], wanted: list[str]) -> Iterator[str]:
    extra = [name for name in given if name not in wanted]
    for name in wanted:
        if name not in given:
            yield f"column '{name}' of the sample is missing.{did_you_mean(name, extra)}"
    if extra:
        yield f"the sample has no column {_shown(extra)}. Its columns are {', '.join(wanted)}; write no index."
    if sorted(given) == sorted(wanted) and given != wanted:
        yield f"the columns are {', '.join(given)}; the sample's order is {', '.join(wanted)}."
    elif not extra and len(given) > len(wanted):
        yield f"a column is there more than once: {', '.join(given)}."


def _id_problems(column: str, given: list[str], wanted: list[str]) -> Iterator[str]:
    if given == wanted:
        return
    lacking, left_over = Counter(wanted) - Counter(given), Counter(given) - Counter(wanted)
    known = set(wanted)
    unknown = [name for name in left_over if name not in known]
    repeated = [name for name in left_over if name in known]
    if lacking:
        rows = _count(lacking.total(), "row")
        yield f"column '{column}': {rows} of the sample missing: {_shown(list(lacking))}. Add them."
    if unknown:
        # Only the missing ids can be meant, and comparing with all of a large sample would take minutes.
        near = did_you_mean(unknown[0], list(lacking)[:2000])
        ids = _count(len(unknown), "id")
        yield f"column '{column}': {ids} not in the sample: {_shown(unknown)}.{near} Write ids as the sample does."
    if repeated:
        yield f"column '{column}': rows repeated more often than in the sample: {_shown(repeated)}. Remove them."
    if not lacking and not left_over:
        row = next(i for i, (a, b) in enumerate(zip(given, wanted, strict=True)) if a != b)
        yield (
            f"column '{column}': the ids are reordered, first in row {row + 1}: '{given[row]}' instead of "
            f"'{wanted[row]}'. Sort the rows as in the sample."
        )


def _empty_problems(rows: _Rows) -> Iterator[str]:
    for column, cells in rows.cells.items():
        empty = (cells.str.strip() == "").to_numpy()
        if empty.any():
            allow = "Where that is an answer, write [checks] may_be_empty = true."
            yield f"column '{column}' is empty in {rows.name(empty)}. {allow}"


def _not_finite_problems(rows: _Rows, allowed: set[str]) -> Iterator[str]:
    for column, cells in rows.cells.items():
        not_a_number = (cells.str.lower() == "nan") & ~cells.isin(allowed)
        bad = np.isinf(rows.numbers(column)) | not_a_number.to_numpy()
        if bad.any():
            yield f"column '{column}' holds NaN or infinity in {rows.name(bad, column)}."


def _number_problems(
    rows: _Rows, low: float | None, high: float | None, integers: bool, rows_sum_to_one: bool
) -> Iterator[str]:
    for column, cells in rows.cells.items():
        numbers = rows.numbers(column)
        filled = (cells.str.strip() != "").to_numpy()
        faults = {"is no finite number": filled & ~np.isfinite(numbers)}
        if integers:
            whole = cells.str.fullmatch(r"\s*[+-]?\d+\s*").to_numpy()
            faults["must be a whole number without a point"] = np.isfinite(numbers) & ~whole
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
        yield f"rows must sum to one, but not {rows.name(wrong)}: the first sums to {first:.7g}.{hint}"


def _label_problems(rows: _Rows, allowed: list[str], separator: str | None) -> Iterator[str]:
    for column, cells in rows.cells.items():
        labels = _labels(cells, separator)
        unknown = labels[~labels.isin(allowed)]
        for label in unknown.unique()[:SHOWN]:
            bad = np.isin(np.arange(len(cells)), unknown.index[unknown == label])
            yield f"column '{column}': '{label}' is no label, in {rows.name(bad)}.{did_you_mean(label, allowed)}"


def _labels(cells: pd.Series[str], separator: str | None) -> pd.Series[str]:
    """Return one label per entry, its row number as the index; empty cells are left out."""
    numbered = cells.reset_index(drop=True)
    labels = numbered if separator is None else numbered.str.split(separator, regex=False).explode()
    return labels[labels.str.strip() != ""]


def _share_warnings(rows: _Rows, train_shares: Mapping[str, float], separator: str | None) -> Iterator[str]:
    """Yield classes never predicted, and those far from their share of the training rows (three times or a third)."""
    if len(rows.cells) != 1 or not train_shares or not rows.ids:
        return
    labels = _labels(next(iter(rows.cells.values())), separator)
    if labels.empty or not labels.isin(list(train_shares)).all():
        return  # probabilities or values, not labels
    counts, total = labels.value_counts(), len(rows.ids)
    expected = {name: share for name, share in train_shares.items() if share * total >= 1}
    never = [f"'{name}' ({share:.1%} of training)" for name, share in expected.items() if name not in counts]
    if never:
        more = f" and {len(never) - SHOWN} more" if len(never) > SHOWN else ""
        yield f"never predicted: class {', '.join(never[:SHOWN])}{more}."
    for name, share in expected.items() if separator is None else ():
        found = counts.get(name, 0) / total
        if found and max(found, share) * total >= 10 and not 1 / 3 <= found / share <= 3:
            yield f"class '{name}' is {found:.1%} of the predictions but {share:.1%} of the training rows."
