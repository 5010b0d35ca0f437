"""The submission as a CSV file: written completely or not at all, and read back as text, as the platform reads it."""

from __future__ import annotations

import csv
import io
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pandas as pd

from compete.errors import SubmissionError
from compete.files.encodings import MARKS
from compete.files.safety import MOST_BYTES, unusable_file
from compete.store import write_bytes
from compete.submission.form import column_names, shown, submission_bytes
from compete.text import format_first
from compete.types import SampleForm

PLAIN = SampleForm()
Line = tuple[int, list[str]]


def write_submission(frame: pd.DataFrame, path: Path, form: SampleForm = PLAIN, float_digits: int = 8) -> str:
    """Write a submission in the sample's form, replacing an old file atomically; return its SHA-256."""
    data = submission_bytes(frame, form, float_digits)
    write_bytes(path, data)
    return sha256(data).hexdigest()


def read_submission(path: Path, form: SampleForm = PLAIN) -> pd.DataFrame:
    """Read a submission in the sample's form with every cell as text, without its index column.

    Raise `SubmissionError` for a broken line, and for what the platform would read otherwise than the sample.
    """
    lines = list(_lines(path, _decoded(path, _read(path), form), form.separator))
    if form.gaps:
        lines = [(line, cells) for line, cells in lines if cells]
    if not lines:
        raise SubmissionError(f"{path}: the file is empty.")
    header = lines[0][1]
    problems = [f"{path}: column '{name}' occurs {n} times." for name, n in Counter(header).items() if name and n > 1]
    problems += [*_other_separator(path, header, form), *_ragged(path, lines)]
    if not problems and form.index:
        problems += _index_problems(path, lines, form)
    if problems:
        raise SubmissionError(problems)
    table = pd.DataFrame([cells for _, cells in lines[1:]], columns=column_names(header), dtype=str)
    return table.iloc[:, 1:] if form.index else table


def count_rows(path: Path) -> int:
    """Return the number of rows of a submission in any form."""
    data = _read(path)
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "latin-1")  # only lines count
    return sum(bool(cells) for _, cells in _lines(path, data.decode(encoding, "replace"), ",", strict=False)) - 1


def _read(path: Path) -> bytes:
    if problem := unusable_file(path, MOST_BYTES):
        raise SubmissionError(f"{path}: {problem}.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _decoded(path: Path, data: bytes, form: SampleForm) -> str:
    mark = next((mark for mark in MARKS if data.startswith(mark)), b"")
    if mark == BOM_UTF8 and not form.mark:
        raise SubmissionError(f"{path}: begins with a byte order mark, which would be part of the first column's name.")
    name = "UTF-8" if form.encoding == "utf-8" else form.encoding
    try:
        text = data[len(mark) if form.mark else 0 :].decode(form.encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        cure = "save the file as UTF-8" if name == "UTF-8" else "the sample submission's encoding"
        raise SubmissionError(f"{path}: line {line} is not {name}; {cure}.") from error
    if "\0" in text:
        raise SubmissionError(f"{path}: line {text[: text.index(chr(0))].count(chr(10)) + 1} contains a zero byte.")
    return text


def _lines(path: Path, text: str, separator: str, strict: bool = True) -> Iterator[Line]:
    """Yield the cells of each row with the number of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict)
    limit = csv.field_size_limit(max(len(text), 1))  # the default, 131,072 characters, is less than a long cell
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise SubmissionError(f"{path}: line {reader.line_num}: {error}. Is the file cut off?") from error
    finally:
        csv.field_size_limit(limit)


def _other_separator(path: Path, header: list[str], form: SampleForm) -> Iterator[str]:
    """Yield that the cells are separated by another sign than the sample's."""
    if len(header) == 1 and (other := next((sign for sign in ",;\t|" if sign in header[0]), "")):
        yield f"{path}: cells are separated by {shown(other)}; the sample submission's by {shown(form.separator)}."


def _ragged(path: Path, lines: list[Line]) -> list[str]:
    columns = len(lines[0][1])
    wrong = [(line, len(cells)) for line, cells in lines if len(cells) != columns]
    if not wrong:
        return []
    cut = " The file looks cut off." if wrong[0][0] == lines[-1][0] else ""
    counts = format_first([f"line {line} has {cells}" for line, cells in wrong])
    return [f"{path}: every line needs {columns} cells, but {counts}.{cut}"]


def _index_problems(path: Path, lines: list[Line], form: SampleForm) -> list[str]:
    """Say how the first column differs from the sample's, which has no name and counts the rows."""
    given = [cells[0] for _, cells in lines]
    if given[0] != form.index[0]:
        name = f"named '{form.index[0]}'" if form.index[0] else "without a name"
        return [f"{path}: the sample submission's first column, {name}, which counts its rows, is missing."]
    wrong = [line for (line, cells), cell in zip(lines, form.index, strict=False) if cells[0] != cell]
    if not wrong:
        return []
    return [f"{path}: the first column, which counts the rows, differs from the sample's, first in line {wrong[0]}."]
