"""The submission as a CSV file: written completely or not at all, and read back as text, as the platform reads it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pandas as pd

from compete.errors import SubmissionError
from compete.files.safety import MOST_BYTES, unusable_file
from compete.store import write_bytes
from compete.text import format_first

UTF8_MARK = b"\xef\xbb\xbf"


def write_submission(frame: pd.DataFrame, path: Path, float_digits: int = 8) -> str:
    """Write a CSV (UTF-8, line feeds, no index), replacing an old file atomically; return its SHA-256.

    Fractions get `float_digits` significant digits, because fixed decimals would make small probabilities equal.
    """
    text = frame.to_csv(index=False, lineterminator="\n", float_format=f"%.{float_digits}g")
    data = text.encode()
    write_bytes(path, data)
    return sha256(data).hexdigest()


def read_submission(path: Path) -> pd.DataFrame:
    """Read a CSV with every cell as text. Raise `SubmissionError` for a broken line, or bytes that are not UTF-8."""
    if problem := unusable_file(path, MOST_BYTES):
        raise SubmissionError(f"{path}: {problem}.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read: {error.strerror or error}.") from error
    lines = list(_lines(path, _decoded(path, data)))
    if not lines:
        raise SubmissionError(f"{path}: the file is empty.")
    header, *rows = (cells for _, cells in lines)
    problems = [f"{path}: column '{name}' occurs {n} times." for name, n in Counter(header).items() if n > 1]
    problems += _ragged(path, lines)
    if problems:
        raise SubmissionError(problems)
    return pd.DataFrame(rows, columns=header, dtype=str)


def _decoded(path: Path, data: bytes) -> str:
    if data.startswith(UTF8_MARK):
        raise SubmissionError(f"{path}: begins with a byte order mark, which would be part of the first column's name.")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SubmissionError(f"{path}: line {line} is not UTF-8; save the file as UTF-8.") from error
    if "\0" in text:
        raise SubmissionError(f"{path}: line {text[: text.index(chr(0))].count(chr(10)) + 1} contains a zero byte.")
    return text


def _lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row with the number of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    limit = csv.field_size_limit(max(len(text), 1))  # the default, 131,072 characters, is less than a long cell
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
    counts = format_first([f"line {line} has {cells}" for line, cells in wrong])
    return [f"{path}: every line needs {columns} cells, but {counts}.{cut}"]
