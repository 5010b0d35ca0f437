"""The form of the sample submission: recognised in its text, and given to the submission."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from compete.errors import SubmissionError
from compete.files.encodings import MARKS, Decoded
from compete.text import format_list
from compete.types import SampleForm

if TYPE_CHECKING:
    import pandas as pd

UNNAMED = "Unnamed: "  # what pandas, and so every table here, calls a column without a name, before its number
MOST_ROWS_LOOKED_AT = 1000
FRACTION = r"[+-]?\d*\.\d+([eE][+-]?\d+)?"
SIGNS = {"\t": "a tab", " ": "a space"}


def column_names(header: Sequence[str]) -> list[str]:
    """Return the names of a table's columns, those without a name by their number."""
    return [name or f"{UNNAMED}{number}" for number, name in enumerate(header)]


def counts_rows(table: pd.DataFrame) -> bool:
    """Return whether the first column is an index that was written along: unnamed, counting rows that have ids."""
    if table.shape[1] < 3 or str(table.columns[0]) != f"{UNNAMED}0" or len(table) == 0:
        return False
    first = str(table.iloc[0, 0])
    if first not in ("0", "1") or table.iloc[:, 0].tolist() != [str(int(first) + row) for row in range(len(table))]:
        return False
    # The next column holds labels or measured numbers where this one holds ids.
    following = table.iloc[:, 1].astype(str)
    return bool(following.nunique() > len(table) / 2 and not following.str.fullmatch(FRACTION).all())


def form_of(decoded: Decoded, header: Sequence[str], table: pd.DataFrame, separator: str) -> SampleForm:
    """Return the form of a sample submission from its text, its header as written, and all of its columns."""
    text = decoded.text
    cut = re.search(r"\r\n|\n|\r", text)
    quoted = _quoted_columns(text, separator) if '"' in text else []
    return SampleForm(
        separator=separator,
        encoding=decoded.encoding,
        mark=decoded.mark,
        line_end=cut[0] if cut else "\n",
        ends=text.endswith(("\n", "\r")),
        gaps=re.search(r"\A\r?\n|\n\r?\n|\r\r", text) is not None,
        index=(header[0], *table.iloc[:, 0]) if counts_rows(table) else (),
        quoted=frozenset(number for number, (_, cells) in enumerate(quoted) if cells),
        quoted_header=bool(quoted) and all(name for name, _ in quoted),
        unnamed=frozenset(number for number, name in enumerate(header) if not name),
    )


def _quoted_columns(text: str, separator: str) -> list[tuple[bool, bool]]:
    """Return of each column whether its name, and whether all of its first cells, are in quotes."""
    cell = re.compile(rf'("(?:[^"]|"")*"|[^{re.escape(separator)}\r\n]*)({re.escape(separator)}|\r\n|\n|\r|\Z)')
    rows: list[list[bool]] = [[]]
    for match in cell.finditer(text):
        rows[-1].append(match[1].startswith('"'))
        if match[2] != separator:
            if len(rows) > MOST_ROWS_LOOKED_AT or match.end() == len(text):
                break
            rows.append([])
    names, *cells = [row for row in rows if len(row) == len(rows[0])]
    return [(name, bool(cells) and all(row[number] for row in cells)) for number, name in enumerate(names)]


def describe_form(form: SampleForm, where: str) -> str:
    """Return what is unusual about a form, for the note on a run; an empty string for a plain one."""
    end = {"\r\n": "CRLF line ends", "\r": "CR line ends"}.get(form.line_end, "")
    facts = [
        f"cells separated by {shown(form.separator)}" if form.separator != "," else "",
        f"in {form.encoding}" if form.encoding != "utf-8" else "",
        "with a byte order mark" if form.mark else "",
        f"with {end}" if end else "",
        "without a last line end" if not form.ends else "",
        "with its unnamed index column" if form.index else "",
        "with cells in quotes" if form.quoted else "",
    ]
    return f"The submission is written as {where} is: {', '.join(filter(None, facts))}." if any(facts) else ""


def shown(separator: str) -> str:
    """Return a separator in words or quotes."""
    return SIGNS.get(separator, f"'{separator}'")


def submission_bytes(frame: pd.DataFrame, form: SampleForm, float_digits: int = 8) -> bytes:
    """Return a submission's bytes in the sample's form.

    Fractions get `float_digits` significant digits, because fixed decimals would make small probabilities equal.
    Raise `SubmissionError` for text that the sample's encoding does not have.
    """
    import pandas as pd

    places = range(bool(form.index), frame.shape[1] + bool(form.index))
    names = ["" if place in form.unnamed else str(name) for place, name in zip(places, frame.columns, strict=True)]
    frame = frame.set_axis(names, axis=1)
    if form.index:
        index = pd.Series(form.index[1 : len(frame) + 1], index=frame.index, dtype=object)
        frame = pd.concat([index.rename(form.index[0]), frame], axis=1)
    float_format = f"%.{float_digits}g"
    if form.quoted or form.quoted_header:
        text = "".join(f"{line}{form.line_end}" for line in _quoted_lines(frame, form, float_format))
    else:
        text = frame.to_csv(index=False, sep=form.separator, lineterminator=form.line_end, float_format=float_format)
    text = text if form.ends else text.removesuffix(form.line_end)
    mark = next(mark for mark, name in MARKS.items() if name == form.encoding) if form.mark else b""
    return mark + _encoded(text, form.encoding)


def _quoted_lines(frame: pd.DataFrame, form: SampleForm, float_format: str) -> Iterator[str]:
    """Yield the lines of a file that has quotes also where no cell needs them."""
    yield form.separator.join(_cell(str(name), form.quoted_header, form.separator) for name in frame.columns)
    columns = [
        [_cell(text, number in form.quoted, form.separator) for text in _texts(frame.iloc[:, number], float_format)]
        for number in range(frame.shape[1])
    ]
    yield from map(form.separator.join, zip(*columns, strict=True))


def _texts(cells: pd.Series[Any], float_format: str) -> Iterator[str]:
    is_float = cells.dtype.kind == "f"
    for value, missing in zip(cells, cells.isna(), strict=True):
        yield "" if missing else float_format % value if is_float else str(value)


def _cell(text: str, quoted: bool, separator: str) -> str:
    if quoted or any(sign in text for sign in (separator, '"', "\r", "\n")):
        return '"' + text.replace('"', '""') + '"'
    return text


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        lacking = [sign for sign in dict.fromkeys(text) if not _has(encoding, sign)]
        raise SubmissionError(
            f"the sample submission's encoding, {encoding}, lacks {format_list(lacking, 5)}, which labels or ids hold. "
            "Ask which encoding the platform reads; if it is UTF-8, save the sample submission as UTF-8."
        ) from None


def _has(encoding: str, sign: str) -> bool:
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
