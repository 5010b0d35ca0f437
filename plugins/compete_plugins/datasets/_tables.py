"""Tables as text: found under their name or packed, read without guessing types, and refused with file and line."""

from __future__ import annotations

import csv
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compete import (
    DataError,
    SampleForm,
    counts_rows,
    decode,
    did_you_mean,
    form_of,
    format_first,
    format_list,
    plain_name,
    plural,
)

from ._common import Files

if TYPE_CHECKING:
    from _csv import Reader

LONGEST_HEAD = 100_000  # characters of the header and the first row
NO_SAMPLE = "none"  # as the option `sample`: there is none, so each test row is predicted, in columns id and label
PACKED = (".zip", ".7z", ".gz", ".tar.gz", ".tar")


@dataclass(frozen=True)
class Sample:
    """The sample submission: its table, its file's name, and how it is written."""

    table: pd.DataFrame
    name: str
    form: SampleForm = field(default_factory=SampleForm)


def read_table(
    files: Files,
    path: str,
    separator: str = ",",
    encoding: str = "utf-8",
    ragged: bool = False,
    notes: list[str] | None = None,
) -> pd.DataFrame:
    """Read a table, delimited or `.jsonl`, with every cell as text: none is ever taken for a number or for missing.

    `path` may also be packed beside its name (`train.csv.zip`). The cells of a `ragged` row beyond the header's last
    column go into that column, joined by the separator. Another encoding than the one named is added to `notes`.
    Raise `DataError` with file and line.
    """
    place = find_file(files, path)
    decoded = decode(files.read(place), place, encoding)
    text = decoded.text
    if notes is not None and decoded.instead_of:
        notes.append(f"{place} is {decoded.encoding}, and read so, though encoding = '{encoding}'.")
    if ragged:
        text = _gathered(text, separator)
    return without_index(parse_table(text, place, separator))


def read_sample(files: Files, sample: str, separator: str = ",", encoding: str = "utf-8") -> Sample:
    """Read the sample submission, found by its name where none is given, with the form in which it is written."""
    name = find_sample(files, sample)
    place = find_file(files, name)
    decoded = decode(files.read(place), place, encoding)
    table = parse_table(decoded.text, place, separator)
    form = form_of(decoded, _header(decoded.text, separator), table, separator)
    return Sample(without_index(table), name, form)


def read_sample_if_any(files: Files, sample: str, separator: str = ",", encoding: str = "utf-8") -> Sample | None:
    """Read the sample submission as `read_sample` does, or return None where the option says that there is none."""
    return None if sample == NO_SAMPLE else read_sample(files, sample, separator, encoding)


def refuse_repeated_ids(sample: Sample) -> None:
    """Raise `DataError` for a sample submission that has an id twice, with the rows of the first ones."""
    ids = sample.table.iloc[:, 0]
    repeated = ids[ids.duplicated()].unique().tolist()
    if repeated:
        rows = [f"'{id}' in rows {format_list(map(str, np.flatnonzero(ids == id)[:3] + 1))}" for id in repeated[:3]]
        raise DataError(
            f"{sample.name}: {plural(len(repeated), 'id')} in several rows: {format_first(rows, 3, len(repeated))} "
            "(counted without the header). Remove the copies; if the platform's own file has them, set duplicates = "
            "'first': each id is predicted once, and all of its rows are written."
        )


def without_index(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without an index that was written along; an unnamed first column that holds ids stays."""
    return table.iloc[:, 1:] if counts_rows(table) else table


def find_file(files: Files, path: str) -> str:
    """Return where a file is: under its name, in an archive of its name, or as that archive's only file."""
    for candidate in (path, *(path + ending for ending in PACKED)):
        if files.exists(candidate):
            members = files.walk(candidate)
            return f"{candidate}/{_only(candidate, members)}" if members else candidate
    folder, _, name = path.rpartition("/")
    there = files.list(folder)
    where = f"{files.where}/{folder}".rstrip("/")
    if name in there:
        files.stamp(path)  # raises: it says what is there, if not a file
    holds = f" There is: {format_list(there)}." if there else ""
    raise DataError(f"no such file: '{path}' in {where}.{did_you_mean(name, there)}{holds}")


def find_sample(files: Files, sample: str) -> str:
    """Return the sample submission's path: the one that is named, else the one whose name says so."""
    if sample:
        return sample
    names = sample_names(files.list(""))
    if len(names) == 1:
        return names[0]
    found = f"several could be it: {format_list(names)}" if names else f"there is: {format_list(files.list(''))}"
    none = "" if names else f'; if there is none, set sample = "{NO_SAMPLE}"'
    raise DataError(f"sample: no sample submission is named, and {found}. Set sample to its file name{none}.")


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
    """Return a table of text, or its first rows, index and all. Raise `DataError` with the line of a fault.

    A file `.jsonl` has an object in each line.
    """
    if is_json_lines(place):
        return _json_lines(text, place, most_rows)
    if "\0" in text:
        raise DataError(f"{place}, line {text.count(chr(10), 0, text.index(chr(0))) + 1}: a zero byte in a cell.")
    if text[:4].lower() == "sep=":
        note = text.partition("\n")[0].strip()
        raise DataError(f"{place}, line 1: '{note}' is a note of Excel. Remove this line.")
    _refuse_other_separator(text, place, separator)
    text = _without_empty_ends(text, separator)
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
    if table.shape[1] > 1:
        table = table[(table != "").any(axis=1)].reset_index(drop=True)  # as blank lines; spreadsheets end in such rows
    if table.empty:
        raise DataError(f"{place} has a header but no rows.")
    counts = Counter(_header(text, separator))
    if repeated := [name for name, times in counts.items() if name and times > 1]:  # pandas renames them
        raise DataError(f"{place}: the header names column {format_list(repeated)} more than once.")
    # pandas fills a row that is too short with empty cells, so only a table with some of them needs the slower look.
    if table.shape[1] > 1 and (table.iloc[:, -1] == "").any() and (fault := _ragged(text, place, separator)):
        raise DataError(fault)
    return table


def is_json_lines(place: str) -> bool:
    """Return whether a table is JSON Lines, by its name."""
    return place.lower().endswith(".jsonl")


def _json_lines(text: str, place: str, most_rows: int | None) -> pd.DataFrame:
    from ._json import object_list, text_table

    rows: list[Any] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and (most_rows is None or len(rows) < most_rows):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError(f"{place}, line {number}: not valid JSON: {error.msg}.") from None
    return text_table(object_list(rows, place))


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


def _without_empty_ends(text: str, separator: str) -> str:
    """Return a table without the separator that ends every row, the header's excepted; else the table as it is."""
    head, _, first = text[:LONGEST_HEAD].replace("\r\n", "\n").partition("\n")
    if head.endswith(separator) or not first.partition("\n")[0].rstrip("\r").endswith(separator):
        return text
    with _rows(text, separator) as rows:
        width = len(next(rows, []))
        if any(row and (len(row) != width + 1 or row[-1]) for row in rows):
            return text
    out = StringIO(newline="")
    with _rows(text, separator) as rows:
        csv.writer(out, delimiter=separator, lineterminator="\n").writerows(row[:width] for row in rows if row)
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
