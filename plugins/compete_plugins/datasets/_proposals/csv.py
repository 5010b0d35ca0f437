"""Competitions whose rows are a table: which table, which id column, and where its images are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from compete.errors import DataError
from compete.init.composite_ids import differing, find_join, join_columns, join_key, joined
from compete.init.findings import Key, Source, Table
from compete.init.naming import name_words, plain_name, same_name
from compete.init.paths import Found, find_template, image_paths
from compete.init.read_head import read_table
from compete.init.scan import Look
from compete.text import format_list

if TYPE_CHECKING:
    import pandas as pd

HEAD_ROWS, MOST_TABLES, MOST_IMAGES = 50, 60, 60


def csv_source(look: Look, sample: Table) -> Source | None:
    """Return the training table's rows, or None where no table names images."""
    tables = list(_heads(look, sample))
    for head in sorted(tables, key=lambda table: _rank(table, sample)):
        if _is_test(head) or not _may_be_training(head, sample):
            continue
        train = read_table(look.files, head.name, look.tables[head.name])
        image = find_template(train.frame, look.images, look.files, "train")
        if image is not None:
            return _source(look, train, image, _test_table(look, tables, sample, train), sample)
    return None


def _heads(look: Look, sample: Table) -> Iterator[Table]:
    """Yield the first rows of every table but the sample submission."""
    for name in [name for name in look.tables if name != sample.name][:MOST_TABLES]:
        try:
            yield read_table(look.files, name, look.tables[name], HEAD_ROWS)
        except DataError:
            continue  # a text file of another kind


def _rank(table: Table, sample: Table) -> tuple[bool, bool, bool, bool, int]:
    """Sort the training table first: by its columns, then by its name."""
    has_ids = same_name(table.columns, sample.columns[0]) is not None
    train, label = _says(table, "train"), _says(table, "label")
    return not has_ids, not _has_answers(table, sample), not train, not label, len(table.name)


def _may_be_training(table: Table, sample: Table) -> bool:
    """Tell whether a table has the sample's ids, or else its labels or a name that says so."""
    has_ids = same_name(table.columns, sample.columns[0]) is not None
    return has_ids or _has_answers(table, sample) or _says(table, "train")


def _has_answers(table: Table, sample: Table) -> bool:
    known = {plain_name(name) for name in table.columns}
    return any(plain_name(name) in known for name in sample.columns[1:])


def _says(table: Table, word: str) -> bool:
    return word in table.name.lower()


def _is_test(table: Table) -> bool:
    return _says(table, "test")


def _test_table(look: Look, tables: list[Table], sample: Table, train: Table) -> Table | None:
    """Return the table of the test rows, if there is one with all the sample's ids, or columns that make them."""
    ids = sample.frame[sample.columns[0]]
    for head in sorted(filter(_is_test, tables), key=lambda table: len(table.name)):
        table = read_table(look.files, head.name, look.tables[head.name])
        name = same_name(head.columns, sample.columns[0])
        if ids.isin(table.frame[name]).all() if name else find_join(train.frame, table.frame, ids):
            return table
    return None


def _source(look: Look, train: Table, image: Found, test: Table | None, sample: Table) -> Source:
    first = sample.columns[0]
    name = same_name(train.columns, first)
    join = find_join(train.frame, test.frame, sample.frame[first]) if test and not name else ""
    if test and join:
        name = first
        train, test = (replace(table, frame=joined(table.frame, join, first)) for table in (train, test))
    name, all_ids = name or image.columns[-1], "what makes all the ids" if join else "all the ids"
    rows = sample.frame[[first]].set_axis([name], axis=1) if test is None else test.frame
    test_image = find_template(rows, look.images, look.files, "test")
    keys = [
        Key(
            "train", train.name, f"{train.rows} rows: {', '.join(train.columns[:8])}{' ...' * (len(train.columns) > 8)}"
        ),
        *([] if test is None else [Key("test", test.name, f"it has {all_ids} of the sample submission")]),
        Key("sample", sample.name, "its ids are the test rows" if test is None else ""),
        *([] if name == first else [Key("id", name, f"the sample submission calls it '{first}'")]),
        *image_keys(image, test_image),
        *_reading_keys(train),
        *([join_key(train.frame, join, first)] if join else _repeated(train.frame, name, rows)),
        *_missing(image),
    ]
    return Source(
        dataset="csv",
        keys=tuple(keys),
        train=train.frame,
        rows=train.rows,
        test=rows,
        id_column=name,
        images=image_paths(image, train.frame, look.files, MOST_IMAGES),
        used=(
            name,
            *image.columns,
            *(test_image.columns if test_image else ()),
            *([*join_columns(join), *differing(train.frame, first)] if join else ()),
        ),
        has_test_columns=test is not None,
        todo=(*missing_test(test_image, rows, look), *_windows(train.frame, name)),
    )


def image_keys(image: Found, test_image: Found | None) -> Iterator[Key]:
    """Yield the keys that say where images are."""
    also = f"; so does '{image.others[0]}'" if image.others else ""
    yield Key("image", image.template, f"{image}{also}")
    if test_image is not None and test_image.template != image.template:
        yield Key("test_image", test_image.template, str(test_image))


def missing_test(found: Found | None, rows: pd.DataFrame, look: Look) -> Iterator[str]:
    """Yield what is wrong with the test images."""
    if found is None:
        ids = ", ".join(rows.iloc[:3, 0])
        there = ", ".join(look.images[-3:])
        yield f"no image is called like a test row ({ids} ...); set where they are. There is, for example, {there}."
    elif found.resolved < found.rows:
        yield f"'{found.template}' finds only {found.resolved} of {found.rows} test images; the others are missing."


def _reading_keys(train: Table) -> Iterator[Key]:
    if train.separator != ",":
        yield Key("separator", train.separator)
    if train.encoding != "utf-8":
        yield Key("encoding", train.encoding)


def _repeated(train: pd.DataFrame, name: str, test: pd.DataFrame) -> Iterator[Key]:
    """Yield what becomes of rows that repeat an id."""
    repeated = int(train[name].duplicated().sum())
    in_test = int(test[name if name in test else test.columns[0]].duplicated().sum())
    if repeated and offsets(train):
        yield Key("duplicates", "first", f"{repeated} rows are further windows of a recording that an earlier row has")
    elif repeated or in_test:
        yield Key("duplicates", "keep", f"{repeated} training and {in_test} test rows repeat an id")


def offsets(table: pd.DataFrame) -> list[str]:
    """Return the columns that say where in a recording a row's window begins."""
    return [str(name) for name in table.columns if "offset" in name_words(str(name))]


def _windows(train: pd.DataFrame, name: str) -> Iterator[str]:
    """Yield what no option reads: windows of a recording, each with a label of its own."""
    columns = offsets(train)
    if columns and train[name].duplicated().any():
        yield (
            "[dataset] duplicates: rows are windows of longer recordings, which begin where "
            f"{format_list(columns)} says. A reader "
            "takes the whole file, so only each recording's first row is kept; cut the file to that window "
            "with a [[transforms]] under `fixed`."
        )


def _missing(image: Found) -> Iterator[Key]:
    if image.resolved < image.rows:
        yield Key("missing_images", "skip", f"{image.rows - image.resolved} training rows have no image")
