"""Columns of both tables that a network could see beside the image: suggested as a `[columns]` to uncomment."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from glob import escape
from typing import TYPE_CHECKING

from compete.config.settings import Columns
from compete.draft.columns import splits_test_off
from compete.draft.findings import Goal, Group, Section, Source
from compete.files.proposals import Choice
from compete.text import name_words

if TYPE_CHECKING:
    import pandas as pd

MISSING = frozenset(Columns.model_validate({}).missing)
MOST_NAMES, ROWS_OF_A_NAME, LONGEST_NAME = 50, 3, 40
FEWEST_KNOWN, FEWEST_OF_A_PATTERN, MOST_MATCHED = 0.5, 3, 5_000
DATE = r"\d{4}[-/.]\d{1,2}([-/. T].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}.*|(19|20)\d{6}(\.0)?"
FILE, PATH = r".*\.[A-Za-z]\w{1,4}", r".*[\\/].*[\\/].*"
NEVER_SEEN = {"id", "uid", "uuid", "index", "date", "datetime", "timestamp", "path", "file", "filename", "url"}
# The names that every data set's rows get, whatever their files call them.
OF_EVERY_ROW = {"id", "image", "group"}


def suggest_columns(source: Source, goal: Goal, group: Group) -> Section | None:
    """Return a `[columns]` to uncomment, or None where no column of both tables is worth a try."""
    chosen = {*goal.columns, source.id, source.label, *source.used, *(str(key.value) for key in group.keys)}
    shared = [str(name) for name in source.train.columns if name in source.test]
    free = [name for name in shared if name not in chosen and not _is_of_no_use(source, name)]
    numeric = [name for name in free if _is_numeric(source, name)]
    named = [name for name in free if name not in numeric and _is_named(source, name)]
    if not numeric and not named:
        return None
    known = [*map(str, source.train.columns), *OF_EVERY_ROW]
    keys = [Choice("numeric", patterns(numeric, known)), Choice("categorical", patterns(named, known))]
    return Section("columns", tuple(key for key in keys if key.value), _why(len(numeric), len(named)), suggested=True)


def patterns(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return globs that match exactly these of the known names: `margin*` for `margin1`, `margin2` and `margin3`."""
    families: dict[str, list[str]] = defaultdict(list)
    for name in names:
        families[re.split(r"\d", name, maxsplit=1)[0]].append(name)
    found: list[str] = []
    for stem, members in families.items():
        found += next(_globs(stem, members, known), [escape(name) for name in members])
    return found


def _globs(stem: str, members: list[str], known: Sequence[str]) -> Iterator[list[str]]:
    """Yield the shortest glob first, if it matches the members alone."""
    if len(members) < FEWEST_OF_A_PATTERN or not stem:
        return
    for glob in (f"{escape(stem.rstrip('_-. '))}*", f"{escape(stem)}*", f"{escape(stem)}[0-9]*"):
        if {name for name in known if fnmatchcase(name, glob)} == set(members):
            yield [glob]


def _why(numeric: int, named: int) -> str:
    counts = " and ".join(f"{count} {kind}" for count, kind in ((numeric, "numeric"), (named, "text")) if count)
    verb = "column is" if numeric + named == 1 else "columns are"
    return f"{counts} {verb} in both tables; the network can see them beside the image:"


def _is_of_no_use(source: Source, name: str) -> bool:
    """Return whether a column names the row, its file or its date, or is the same in all training rows."""
    cells = _known(source.train[name])
    some = cells.iloc[:: max(1, len(cells) // MOST_MATCHED)]
    return (
        bool(name_words(name) & NEVER_SEEN)
        or cells.nunique() < 2
        or not len(_known(source.test[name]))
        or any(some.str.fullmatch(pattern).mean() > FEWEST_KNOWN for pattern in (DATE, FILE, PATH))
        or splits_test_off(source, name)
    )


def _known(cells: pd.Series[str]) -> pd.Series[str]:
    return cells[~cells.isin(MISSING)]


def _is_numeric(source: Source, name: str) -> bool:
    """Return whether all known cells are numbers, other than a number of its own for each row."""
    import numpy as np
    import pandas as pd

    train, test = _known(source.train[name]), _known(source.test[name])
    numbers = pd.to_numeric(pd.concat([train, test]), errors="coerce")
    if not np.isfinite(numbers).all():
        return False
    return not (train.is_unique and bool(train.str.fullmatch(r"-?\d+").all()))


def _is_named(source: Source, name: str) -> bool:
    """Return whether the cells are a few short names, which the test rows have too."""
    train, test = _known(source.train[name]), _known(source.test[name])
    few = train.nunique() <= min(MOST_NAMES, len(train) / ROWS_OF_A_NAME)
    return few and int(train.str.len().max()) <= LONGEST_NAME and test.isin(train).mean() >= FEWEST_KNOWN
