"""Competitions whose rows are a table: ids and labels in columns, images where a template says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from compete import DataError, Tables, component

from ._combine import Chosen, Where, check_where, choose
from ._common import Files, Problems, Templates, check_group, check_template, group_of, need_column, replaced
from ._rows import Places, Policies, Read, choose_id_column, images_of, place_and_assemble
from ._tables import read_sample_if_any, read_table


def _check(
    *,
    image: Templates,
    test: str,
    test_image: Templates,
    id: str,
    test_id: str,
    group: str,
    group_pattern: str,
    train_where: Where | None,
    test_where: Where | None,
    join_on: str,
    join_labels: tuple[str, ...],
    **_: object,
) -> Iterator[str]:
    yield from check_template("image", image)
    yield from check_template("test_image", test_image)
    yield from check_group(group, group_pattern)
    yield from check_template("join_on", join_on)
    yield from check_where("train_where", train_where or {})
    yield from check_where("test_where", test_where or {})
    if test.endswith("/") and (test_image or test_where or test_id or join_on):
        yield "test: a folder's images are the test rows; leave out test_image, test_where, test_id and join_on."
    if (test_where or test_id) and not test:
        yield "test_where and test_id need test: the table they choose from."
    if join_on and (id or test_id):
        yield "join_on makes the ids; leave out id and test_id."
    if bool(join_on) != bool(join_labels):
        yield "join_on and join_labels belong together: which rows become one, and the labels they must agree in."


@component(check=_check, reads_urls=True)
def csv(
    root: Path | str,
    *,
    image: str | tuple[str, ...],
    train: str = "train.csv",
    test: str = "",
    sample: str = "",
    test_image: str | tuple[str, ...] = "",
    id: str = "",
    test_id: str = "",
    group: str = "",
    group_pattern: str = "",
    drop: tuple[str, ...] = (),
    replace: dict[str, dict[str, str]] | None = None,
    more: tuple[str, ...] = (),
    train_where: dict[str, str | list[str]] | None = None,
    test_where: dict[str, str | list[str]] | None = None,
    join_on: str = "",
    join_labels: tuple[str, ...] = (),
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ",",
    encoding: str = "utf-8",
    ragged: bool = False,
    image_separator: str = "",
    duplicates: Literal["error", "keep", "first"] = "error",
    missing_images: Literal["error", "skip"] = "error",
) -> Tables:
    """Read rows from delimited tables; every cell stays text, so that a label `NA` or an id `007` survives.

    `image` and `test_image` (default: as `image`) are templates over the table's columns: `train/{id}.jpg`,
    `train/{id[0]}/{id}.npy`, `{folder}/{name}`, or `train/{id}.*` where the ending is unknown. `{id}` is the id
    column under any name. Of a list of templates the first that finds a row's file counts:
    `["part_1/{id}.jpg", "part_2/{id}.jpg"]`. Images may be in archives: `train/{id}.jpg` also finds `train.zip`; in
    tar shards: `train-{000..099}.tar/{id}.jpg`; or in a store, where the root may be too (docs/streaming.md). With
    `image_separator = "|"` a cell may hold several values, and the row has several images.
    `{path[/-2:]}` are the last two parts of a path, which cuts those of another machine.
    `train`, `test` and `sample` are tables, packed or not; without `test` the test rows are those of the sample
    submission, and without `sample` it is found by its name. `sample = "none"` says that there is none: every row of
    `test` is predicted, in columns `id` and `label`, and without `test` there is no test set, and the run ends with
    its CV and OOF. `test = "test/"`, with a slash at its end, is a folder, whose images are the test rows. `id` is the
    id column, by default the sample submission's first, or without one `id`, and `test_id` that of `test` where it is
    another. `group` is a column, or a template, whose
    rows stay in one fold; `group_pattern` is a regular expression that cuts the group out of it. `drop` removes
    columns that leak the label. `replace` spells cells another way, in both tables:
    `{ label = { "cat " = "cat" } }`. `more` are tables whose columns are added, matched by the columns in common;
    training rows that such a table lacks are a warning, test rows that are left out for it an error.
    `train_where` and `test_where` choose rows by their cells, `{ fold = "0" }` or `{ split = ["train", "val"] }`, and
    so `train` and `test` may be one table. In a `ragged` table rows may be longer than the header: what is left over
    stays in the last column, joined by `separator`.
    `encoding` is that of the files that are not UTF-8, such as `cp949`; the submission is written as the sample is.
    `join_on`, a column or template, makes the rows with one key a single row with several images, whose id is the
    key: `"{patient_id}_{laterality}"`. They must agree in the columns `join_labels`; others that differ are left out.
    `duplicates`: what becomes of training ids that are there twice: refused, kept as `id#2`, or the first kept.
    `missing_images = "skip"` leaves out training rows without an image, counted; test rows without one stay, and get
    the mean prediction.
    A column of the table called `image` or `id` that is not the id column is kept as `raw_image` or `raw_id`, and one
    called `group` as `raw_group` where `group` is another.
    """
    files = Files(root)
    problems, notes = Problems(), list[str]()

    def read(path: str, option: str, where: Where | None) -> Chosen:
        table = read_table(files, path, separator, encoding, ragged, notes)
        others = {name: read_table(files, name, separator, encoding, notes=notes) for name in more}
        return choose(table, path, others, option, where or {})

    with problems.collecting():
        chosen = read(train, "train_where", train_where)
        train_table, warnings = _without(chosen.table, drop, train), (*chosen.lost, *chosen.empty)
    with problems.collecting():
        sample_read = read_sample_if_any(files, sample, separator, encoding)
    with problems.collecting():
        test_table = None
        if test.endswith("/"):
            test_table = images_of(files, test)
        elif test:
            test_table = _test_rows(read(test, "test_where", test_where), test != train)
    problems.raise_if_any()
    tables = replaced(replace, train, [train_table] if test_table is None else [train_table, test_table], notes)
    if join_on:
        id = str(sample_read.table.columns[0]) if sample_read else "id"
        tables = _with_keys(tables, (train, test), join_on, id)
    return place_and_assemble(
        files,
        Read(tables[0], train, tables[1] if len(tables) > 1 else None, test, sample_read),
        choose_id_column(id, tables[0], sample_read, train),
        Places(image, test_image, image_separator, test_id),
        Policies(group, group_pattern, duplicates, missing_images, join_labels, tuple(dict.fromkeys(notes)), warnings),
    )


def _test_rows(chosen: Chosen, alone: bool) -> pd.DataFrame:
    """Refuse to lose test rows; in one table for train and test nobody knows which of the lost rows are for test."""
    if alone and chosen.lost:
        raise DataError(chosen.lost)
    return chosen.table


def _with_keys(tables: list[pd.DataFrame], names: tuple[str, ...], join_on: str, column: str) -> list[pd.DataFrame]:
    """Return the tables with the keys that `join_on` makes in a column."""
    problems, found = Problems(), list[pd.DataFrame]()
    for table, name in zip(tables, names, strict=False):
        with problems.collecting():
            found.append(table.assign(**{column: group_of(table, join_on, "", name, "join_on")}))
    problems.raise_if_any()
    return found


def _without(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> pd.DataFrame:
    for column in columns:
        need_column(table, column, where, "drop")
    return table.drop(columns=list(columns))
