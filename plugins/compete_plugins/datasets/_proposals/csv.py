"""Recognise competitions whose rows are a table: which table, which id column, and where its images are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from compete import (
    Choice,
    Excerpt,
    Proposal,
    Scan,
    format_list,
    name_words,
    path_template,
    plain_name,
    plural,
    same_name,
)

from .._common import Problems
from .._heads import Table, encoding_doubts, read_head
from .composite_ids import composite_template, differing, join_choice, with_composite_ids
from .missing import cut_alike, missing_images, missing_tests, missing_trains, several_files
from .templates import MOST_LOOKED_AT, Found, find_template, image_choices, some_images

HEAD_ROWS, MOST_TABLES, MOST_COLUMNS = 50, 60, 8


def propose_csv(scan: Scan, sample: Table) -> Proposal | None:
    """Propose the training table that names images. Raise `DataError` where none does and some cannot be read."""
    problems = Problems()
    heads = list(_heads(scan, sample, problems))
    for head in sorted(heads, key=lambda table: _rank(table, sample)):
        if _is_test(head) or not _may_be_training(head, sample):
            continue
        with problems.collecting():
            whole = read_head(scan.files, head.name, scan.tables[head.name])
            train = _narrow(whole, sample)
            image = find_template(train.frame, scan, "train")
            if image is not None:
                proposal = _proposal(scan, train, image, _test_table(scan, heads, sample, train), sample)
                return replace(proposal, todo=(*proposal.todo, *not_looked_at(whole, train)))
    problems.raise_if_any()
    return None


def _narrow(table: Table, sample: Table) -> Table:
    """Return a table with its first columns and those of the sample submission; a wide one would take hours."""
    asked = {plain_name(name) for name in sample.columns}
    kept = [at < MOST_LOOKED_AT or plain_name(name) in asked for at, name in enumerate(table.columns)]
    return table if all(kept) else replace(table, frame=table.frame.loc[:, kept])


def not_looked_at(whole: Table, table: Table) -> Iterator[str]:
    """Yield how many columns of a wide table were not looked at."""
    left = len(whole.columns) - len(table.columns)
    if left:
        yield f"{whole.name}: {left:,} of {len(whole.columns):,} columns were not looked at, the last of them."


def _heads(scan: Scan, sample: Table, problems: Problems) -> Iterator[Table]:
    """Yield the first rows of every table but the sample submission."""
    for name in [name for name in scan.tables if name != sample.name][:MOST_TABLES]:
        with problems.collecting():
            yield read_head(scan.files, name, scan.tables[name], HEAD_ROWS)


def _rank(table: Table, sample: Table) -> tuple[bool, bool, bool, bool, int]:
    """Sort the training table first: by its columns, then by its name."""
    has_ids = same_name(table.columns, sample.columns[0]) is not None
    train, label = _is_called(table, "train"), _is_called(table, "label")
    return not has_ids, not _has_labels(table, sample), not train, not label, len(table.name)


def _may_be_training(table: Table, sample: Table) -> bool:
    """Return whether a table has the sample's ids, or else its labels or a name that says so."""
    has_ids = same_name(table.columns, sample.columns[0]) is not None
    return has_ids or _has_labels(table, sample) or _is_called(table, "train")


def _has_labels(table: Table, sample: Table) -> bool:
    known = {plain_name(name) for name in table.columns}
    return any(plain_name(name) in known for name in sample.columns[1:])


def _is_called(table: Table, word: str) -> bool:
    return word in table.name.lower()


def _is_test(table: Table) -> bool:
    return _is_called(table, "test")


def _test_table(scan: Scan, tables: list[Table], sample: Table, train: Table) -> Table | None:
    """Return the table of the test rows, if there is one with all the sample's ids, or columns that make them."""
    ids = sample.frame[sample.columns[0]]
    for head in sorted(filter(_is_test, tables), key=lambda table: len(table.name)):
        table = read_head(scan.files, head.name, scan.tables[head.name])
        name = same_name(head.columns, sample.columns[0])
        if ids.isin(table.frame[name]).all() if name else composite_template(train.frame, table.frame, ids):
            return _narrow(table, sample)
    return None


def _proposal(scan: Scan, train: Table, image: Found, test: Table | None, sample: Table) -> Proposal:
    first = sample.columns[0]
    name = same_name(train.columns, first)
    join = composite_template(train.frame, test.frame, sample.frame[first]) if test and not name else ""
    if test and join:
        name = first
        train, test = (replace(part, frame=with_composite_ids(part.frame, join, first)) for part in (train, test))
    name = name or image.columns[-1]
    rows = sample.frame[[first]].set_axis([name], axis=1) if test is None else test.frame
    test_image = find_template(rows, scan, "test")
    columns = [*image.columns, *(test_image.columns if test_image else ())]
    joined = [*path_template(join).columns, *differing(train.frame, first)] if join else []
    return Proposal(
        "csv",
        (
            *_tables(train, test, sample, bool(join)),
            *([] if name == first else [Choice("id", name, f"the sample submission calls it '{first}'")]),
            *image_choices(image, test_image),
            *format_choices(train, *([test] if test else []), sample),
            *([join_choice(train.frame, join, first)] if join else repeated_choices(train.frame, name, rows)),
            *missing_images(train.frame, image.lost, image.columns[-1]),
        ),
        "a table names the images",
        rows=round(train.rows * image.share),
        excerpt=Excerpt(
            train.frame,
            rows,
            sample.frame,
            id=name,
            used=(name, *columns, *joined),
            images=some_images(image, train.frame, scan),
        ),
        todo=(
            *encoding_doubts(filter(None, (train, test, sample))),
            *missing_trains(train.frame, image.lost, image.columns[-1]),
            *several_files([image]),
            *cut_alike(train.frame, image),
            *missing_tests(test_image, rows, scan),
            *_windows(train.frame, name),
        ),
    )


def _tables(train: Table, test: Table | None, sample: Table, joined: bool) -> Iterator[Choice]:
    """Yield which tables are read."""
    yield table_choice(train)
    if test is not None:
        ids = "what makes all the ids" if joined else "all the ids"
        yield Choice("test", test.name, f"it has {ids} of the sample submission")
    yield Choice("sample", sample.name, "its ids are the test rows" if test is None else "")


def table_choice(train: Table) -> Choice:
    """Return the option that names the training table, with its rows and columns."""
    names = ", ".join(train.columns[:MOST_COLUMNS]) + " ..." * (len(train.columns) > MOST_COLUMNS)
    return Choice("train", train.name, f"{plural(train.rows, 'row')}: {names}")


def format_choices(train: Table, *others: Table) -> Iterator[Choice]:
    """Yield the separator and the encoding of tables that are not usual."""
    if train.separator != ",":
        yield Choice("separator", train.separator)
    foreign = next((table for table in (train, *others) if table.readings), None)
    if foreign is not None:
        yield Choice("encoding", foreign.encoding, f"{foreign.name} is not UTF-8; it reads {foreign.readings[0]}")


def repeated_choices(train: pd.DataFrame, name: str, test: pd.DataFrame) -> Iterator[Choice]:
    """Yield what becomes of rows that repeat an id."""
    repeated = int(train[name].duplicated().sum())
    in_test = int(test[name if name in test else test.columns[0]].duplicated().sum())
    if repeated and _offsets(train):
        why = f"{repeated} rows are further windows of a recording that an earlier row has"
        yield Choice("duplicates", "first", why)
    elif repeated or in_test:
        yield Choice("duplicates", "keep", f"{repeated} training and {in_test} test rows repeat an id")


def _offsets(table: pd.DataFrame) -> list[str]:
    """Return the columns that say where in a recording a row's window begins."""
    return [str(name) for name in table.columns if "offset" in name_words(str(name))]


def _windows(train: pd.DataFrame, name: str) -> Iterator[str]:
    """Yield what no option reads: windows of a recording, each with a label of its own."""
    columns = _offsets(train)
    if columns and train[name].duplicated().any():
        yield (
            f"[dataset] duplicates: rows are windows of longer recordings, beginning at {format_list(columns)}. A "
            "reader takes the whole file, so only the first row of each recording is kept; cut the file to that "
            "window with a [[transforms]] under `fixed`."
        )
