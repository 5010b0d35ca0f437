"""Recognise a table that names images and holds their labels, where no sample submission says what is predicted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from compete import (
    Basis,
    Choice,
    Excerpt,
    Proposal,
    Scan,
    columns_called_label,
    format_first,
    name_words,
    plain_name,
    plural,
)

from .._common import Problems
from .._heads import Table, encoding_doubts, read_head
from .._tables import NO_SAMPLE
from .csv import HEAD_ROWS, MOST_TABLES, format_choices, not_looked_at, repeated_choices, table_choice
from .missing import cut_alike, missing_images, missing_tests, missing_trains, several_files
from .parts import made_sample, part_of, test_folder
from .templates import MOST_LOOKED_AT, Found, find_template, image_choices, some_images

FEWEST_FOUND = 0.5  # of the rows have an image, or the table is of other things
SPLIT_WORDS, MOST_PARTS = {"split", "splits", "train", "training", "test", "subset", "partition", "usage"}, 6
SPLITS = ("split", "set", "subset", "part", "partition", "phase", "usage", "datasplit", "splits")


@dataclass(frozen=True)
class _Labelled:
    """A table whose rows name images."""

    whole: Table
    table: Table  # its first columns
    image: Found


def propose_tables(scan: Scan, labelled: bool = False) -> Proposal | None:
    """Propose the table that names most images, or None; where `labelled`, only one with a column called label.

    Raise `DataError` where there is none, and some tables cannot be read.
    """
    if not scan.images:
        return None
    problems, found = Problems(), list[_Labelled]()
    for name in list(scan.tables)[:MOST_TABLES]:
        with problems.collecting():
            head = read_head(scan.files, name, scan.tables[name], HEAD_ROWS)
            if part_of(name) != "test" and (not labelled or columns_called_label(head.frame)):
                found += _labelled(scan, name)
    if not found:
        problems.raise_if_any()
        return None
    best = max(found, key=_rank)
    return _proposal(scan, best, [each for each in found if each is not best])


def _labelled(scan: Scan, name: str) -> Iterator[_Labelled]:
    """Yield a table if most of its rows have images, and there is a column more."""
    whole = read_head(scan.files, name, scan.tables[name])
    table = replace(whole, frame=whole.frame.iloc[:, :MOST_LOOKED_AT])
    image = find_template(table.frame, scan, "train") if len(whole.columns) > 1 else None
    if image is not None and image.share >= FEWEST_FOUND:
        yield _Labelled(whole, table, image)


def _rank(each: _Labelled) -> tuple[bool, bool, int, int]:
    named = bool(columns_called_label(each.table.frame, each.image.columns))
    return part_of(each.table.name) != "valid", named, each.image.resolved, -len(each.table.name)


def _proposal(scan: Scan, best: _Labelled, others: list[_Labelled]) -> Proposal:
    table, image, frame = best.table, best.image, best.table.frame
    id = _id_column(frame, image)
    where, split, frame, tests = _split(frame, table.name)
    image = (find_template(frame, scan, "train") or image) if split else image
    test_choices, test, test_image, doubts = _test(scan, best, tests, id)
    return Proposal(
        "csv",
        (
            table_choice(table),
            Choice("sample", NO_SAMPLE, "no table is called submission"),
            *where,
            *test_choices,
            Choice("id", id),
            *image_choices(image, test_image),
            *format_choices(table),
            *repeated_choices(frame, id, test if id in test else frame[:0]),
            *missing_images(frame, image.lost, image.columns[-1]),
        ),
        "a table names the images",
        basis=Basis.TABLE,
        rows=round(len(frame) / len(table.frame) * table.rows * image.share),
        excerpt=Excerpt(
            frame,
            test,
            made_sample(len(test)),
            id=id,
            used=(id, *image.columns, *([split] if split else [])),
            images=some_images(image, frame, scan),
        ),
        todo=(
            *encoding_doubts([table]),
            *missing_trains(frame, image.lost, image.columns[-1]),
            *several_files([image]),
            *cut_alike(frame, image),
            *doubts,
            *(() if split else _may_split(frame)),
            *_left_out(others),
            *not_looked_at(best.whole, table),
        ),
    )


def _id_column(frame: pd.DataFrame, image: Found) -> str:
    """Return a unique column called id, or else the one that names the images."""
    called = [str(name) for name in frame.columns if plain_name(str(name)) in ("id", "imageid")]
    unique = [name for name in called if frame[name].is_unique and (frame[name] != "").all()]
    return next(iter(unique), image.columns[-1])


def _split(frame: pd.DataFrame, name: str) -> tuple[list[Choice], str, pd.DataFrame, pd.DataFrame | None]:
    """Return what chooses the rows of each part, by a column that says it; its name, the training and the test rows."""
    for column in map(str, frame.columns):
        parts = {str(cell): part_of(str(cell)) for cell in frame[column].unique()}
        if plain_name(column) not in SPLITS or "train" not in parts.values() or not all(parts.values()):
            continue
        test = frame[column].map(parts) == "test"
        trained = [cell for cell, part in parts.items() if part != "test"]
        if not test.any() or not trained:
            why = f"{format_first(trained)}: all are training rows, since folds validate"
            return [Choice("train_where", {column: trained}, why)], column, frame, None
        choices = [
            Choice("test", name),
            Choice("train_where", {column: trained}, f"{plural(int((~test).sum()), 'row')}; folds validate"),
            Choice("test_where", {column: [cell for cell in parts if cell not in trained]}, "rows to predict"),
        ]
        return choices, column, frame[~test].reset_index(drop=True), frame[test].reset_index(drop=True)
    return [], "", frame, None


def _test(
    scan: Scan, best: _Labelled, tests: pd.DataFrame | None, id: str
) -> tuple[list[Choice], pd.DataFrame, Found | None, list[str]]:
    """Return the option that gives the test rows, these rows, what finds their images, and what is doubtful."""
    if tests is not None:
        found = find_template(tests, scan, "test")
        return [], tests, found, [*missing_tests(found, tests, scan), *_known(tests, "test_where", id)]
    lost: list[str] = []
    for name in sorted((name for name in scan.tables if part_of(name) == "test"), key=len):
        table = read_head(scan.files, name, scan.tables[name])
        found = find_template(table.frame, scan, "test")
        column = id if id in table.frame else found.columns[-1] if found else ""
        if found is not None and found.share >= FEWEST_FOUND:
            choices = [Choice("test", name, plural(table.rows, "row"))]
            choices += [Choice("test_id", column)] if column != id else []
            return (
                choices,
                table.frame,
                found,
                [*missing_tests(found, table.frame, scan), *_known(table.frame, "test", id)],
            )
        lost.append(f"[dataset] test: {name} is not read: it names no images that are there.")
    folder = test_folder(scan.images, some_images(best.image, best.table.frame, scan))
    if folder:
        ids = [path.removeprefix(f"{folder}/") for path in scan.images if path.startswith(f"{folder}/")]
        why = "its images are the test rows, which no table lists"
        return [Choice("test", f"{folder}/", why)], pd.DataFrame({"id": ids}, dtype=str), None, lost
    return [], pd.DataFrame({"id": []}, dtype=str), None, lost


def _may_split(frame: pd.DataFrame) -> Iterator[str]:
    """Yield the columns that may say which rows are to train on, in words that nobody here knows."""
    for column in map(str, frame.columns):
        values = sorted(frame[column].unique())
        if name_words(column) & SPLIT_WORDS and 1 < len(values) <= MOST_PARTS:
            yield (
                f"[dataset] train_where: '{column}' ({format_first(values)}) may say which rows are to train on; all "
                "are. Choose rows with train_where, and with test = the same table and test_where."
            )


def _known(tests: pd.DataFrame, option: str, id: str) -> Iterator[str]:
    for label in columns_called_label(tests, [id])[:1]:
        yield (
            f"[dataset] {option}: the {plural(len(tests), 'test row')} have a '{label}', which is not used: they are "
            "predicted. To train on them too, leave them out of the test rows."
        )


def _left_out(others: list[_Labelled]) -> Iterator[str]:
    for other in others:
        yield (
            f"[dataset] train: {other.table.name} names {plural(other.image.resolved, 'image')} too, and is not read. "
            "Only one table is; if its rows are to be trained on, append them to that table."
        )
