"""Tables as text: found under their name or packed, read without guessing types, and refused with file and line."""

from __future__ import annotations

import csv
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING

import pandas as pd

from compete import DataError, did_you_mean, format_list, plain_name

from ._common import Files

if TYPE_CHECKING:
    from _csv import Reader

PACKED = (".zip", ".7z", ".gz", ".tar.gz", ".tar")


def read_table(
    files: Files, path: str, separator: str = ",", encoding: str = "utf-8", ragged: bool = False
) -> pd.DataFrame:
    """Read a delimited table with every cell as text: no cell is ever taken for a number or for missing.

    `path` may also be packed beside its name (`train.csv.zip`). The cells of a `ragged` row beyond the header's last
    column go into that column, joined by the separator. Raise `DataError` with file and line.
    """
    place = find_file(files, path)
    text = decode(files.read(place), place, encoding)
    if ragged:
        text = _gathered(text, separator)
    return parse_table(text, place, separator)


def decode(data: bytes, place: str, encoding: str) -> str:
    """Turn bytes into text without a byte order mark; raise `DataError` with the line that is in another encoding."""
    try:
        return data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        other = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin-1"  # its byte order mark
        raise DataError(f"{place}, line {line}: not in the encoding {encoding}. Try encoding = '{other}'.") from error
    except LookupError as error:
        raise DataError(f"encoding = '{encoding}': unknown encoding.") from error


def find_file(files: Files, path: str) -> str:
    """Return where a file is: under its name, in an archive of its name, or as that archive's only file."""
    for candidate in (path, *(path + ending for ending in PACKED)):
        if files.exists(candidate):
            members = files.walk(candidate)
            return f"{candidate}/{_only(candidate, members)}" if members else candidate
    folder, _, name = path.rpartition("/")
    there = files.list(folder)
    where = f"{files.root}/{folder}".rstrip("/")
    raise DataError(f"no such file: '{path}' in {where}.{did_you_mean(name, there)} There is: {format_list(there)}.")


def find_sample(files: Files, sample: str) -> str:
    """Return the sample submission's path: the one that is named, else the one whose name says so."""
    if sample:
        return sample
    names = sample_names(files.list(""))
    if len(names) == 1:
        return names[0]
    found = f"several could be it: {format_list(names)}" if names else f"there is: {format_list(files.list(''))}"
    raise DataError(f"sample: no sample submission is named, and {found}. Set sample to its file name.")


def sample_names(paths: Iterable[str], word: str = "samplesubmission") -> list[str]:
    """Return the files that are called like a sample submission, each without its packing."""
    names = [path for path in paths if word in plain_name(path.rpartition("/")[2])]
    return list(dict.fromkeys(_without_packing(name) for name in names))


def _without_packing(name: str) -> str:
    for ending in sorted(PACKED, key=len, reverse=True):
        name = name.removesuffix(ending)
    return name


def _only(archive: str, members: list[str]) -> str:
    wanted = _without_packing(archive.rpartition("/")[2])
    same = [name for name in members if name.rpartition("/")[2] == wanted] or members
    if len(same) > 1:
        raise DataError(
            f"{archive} holds several files: {format_list(same)}. Write '{archive}/' and the name of the right one."
        )
    return same[0]


def parse_table(text: str, place: str, separator: str, most_rows: int | None = None) -> pd.DataFrame:
    """Return a table of text, or its first rows. Raise `DataError` with the line of a fault."""
    _refuse_other_separator(text, place, separator)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header, cut in silence
            table = pd.read_csv(
                StringIO(text),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                index_col=False,
                low_memory=False,
                nrows=most_rows,
            )
    except pd.errors.EmptyDataError:
        raise DataError(f"{place} is empty.") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        fault = _unclosed(text, place, separator) if "EOF inside string" in str(error) else ""
        raise DataError(fault or _ragged(text, place, separator) or f"{place}: {error}.") from None
    if table.empty:
        raise DataError(f"{place} has a header but no rows.")
    counts = Counter(_header(text, separator))
    if repeated := [name for name, times in counts.items() if name and times > 1]:  # pandas renames them
        raise DataError(f"{place}: the header names column {format_list(repeated)} more than once.")
    # pandas fills a row that is too short with empty cells, so only a table with some of them needs the slower look.
    if table.shape[1] > 1 and (table.iloc[:, -1] == "").any() and (fault := _ragged(text, place, separator)):
        raise DataError(fault)
    return table.drop(columns="Unnamed: 0", errors="ignore")  # an index that was written by mistake


def _refuse_other_separator(text: str, place: str, separator: str) -> None:
    """Raise `DataError` for a table whose header is one name that another separator would cut into several."""
    header = _header(text, separator)
    other = next((mark for mark in ";\t|," if mark != separator and len(header) == 1 and mark in header[0]), "")
    if other:
        shown = "a tab" if other == "\t" else f"'{other}'"
        raise DataError(
            f"{place}: its only column is '{header[0]}': its cells are separated by {shown}, not by '{separator}'. "
            f'If all tables are, set separator = {json.dumps(other)} with [dataset] name = "csv"; '
            f"else save this one with '{separator}'."
        )


def _gathered(text: str, separator: str) -> str:
    """Return a table in which the last column of each row holds all that the header has no column for."""
    out = StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    with _rows(text, separator) as rows:
        header: list[str] = next(rows, [])
        last = len(header) - 1
        writer.writerow(header)
        writer.writerows([*row[:last], separator.join(row[last:])] for row in rows if row)
    return out.getvalue()


def _ragged(text: str, place: str, separator: str) -> str:
    """Name the first row that does not fit the header."""
    with _rows(text, separator) as rows:
        width = len(next(rows, []))
        for row in rows:
            if row and len(row) != width:
                return f"{place}, line {rows.line_num}: {len(row)} cells where the header has {width}."
    return ""


def _unclosed(text: str, place: str, separator: str) -> str:
    """Say where the row begins in which a quote is opened and never closed: all that follows is its cell."""
    begins, ends = 1, 0
    with _rows(text, separator) as rows:
        for _ in rows:
            begins, ends = ends + 1, rows.line_num
    return f'{place}, line {begins}: a quote (") is opened here and never closed; the file may be cut off.'


def _header(text: str, separator: str) -> list[str]:
    """Return the names in the header as they are written."""
    with _rows(text, separator) as rows:
        return next((row for row in rows if row), [])


@contextmanager
def _rows(text: str, separator: str) -> Iterator[Reader]:
    """Read rows whose cells may be longer than the 131,072 characters that the standard library allows at first."""
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        yield csv.reader(StringIO(text, newline=""), delimiter=separator)
    finally:
        csv.field_size_limit(limit)
