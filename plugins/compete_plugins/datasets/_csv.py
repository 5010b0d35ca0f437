"""Competitions whose rows are a table: ids and labels in columns, pictures where a template says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from compete import Tables, checked_by

from ._common import Files, Problems, check_group, check_template, need_column
from ._rows import Places, Policies, Read, choose_id_column, place_and_assemble
from ._tables import find_sample, read_table


def _check(*, image: str, test_image: str, group: str, group_pattern: str, **_: object) -> Iterator[str]:
    yield from check_template("image", image)
    yield from check_template("test_image", test_image)
    yield from check_group(group, group_pattern)


@checked_by(_check)
def csv(
    root: Path,
    *,
    image: str,
    train: str = "train.csv",
    test: str = "",
    sample: str = "",
    test_image: str = "",
    id: str = "",
    group: str = "",
    group_pattern: str = "",
    drop: tuple[str, ...] = (),
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ",",
    encoding: str = "utf-8",
    image_separator: str = "",
    duplicates: Literal["error", "keep", "first"] = "error",
    missing_images: Literal["error", "skip"] = "error",
) -> Tables:
    """Read rows from delimited tables; every cell stays text, so that a label `NA` or an id `007` survives.

    `image` and `test_image` (default: as `image`) are templates over the table's columns: `train/{id}.jpg`,
    `train/{id[0]}/{id}.npy`, `{folder}/{name}`, or `train/{id}.*` where the ending is unknown. `{id}` is the id
    column under any name. Pictures may lie in archives: `train/{id}.jpg` also finds `train.zip`. With
    `image_separator = "|"` a cell may hold several values, and the row has several pictures.
    `train`, `test` and `sample` are tables, packed or not; without `test` the test rows are those of the sample
    submission, and without `sample` it is found by its name. `id` is the id column, by default the sample
    submission's first. `group` is a column, or a template, whose rows stay in one fold; `group_pattern` is a regular
    expression that cuts the group out of it. `drop` removes columns that leak the answer.
    `duplicates`: what becomes of training ids that are there twice: refused, kept as `id#2`, or the first kept.
    `missing_images = "skip"` leaves out training rows without a picture, counted; test rows are never left out.
    A column of the table called `image` or `id` that is not the id column is kept as `raw_image` or `raw_id`.
    """
    files = Files(root)
    problems = Problems()
    with problems.collecting():
        train_table = _without(read_table(files, train, separator, encoding), drop, train)
    with problems.collecting():
        sample_name = find_sample(files, sample)
        sample_table = read_table(files, sample_name, separator, encoding)
    with problems.collecting():
        test_table = read_table(files, test, separator, encoding) if test else None
    problems.raise_if_any()
    return place_and_assemble(
        files,
        Read(train_table, train, test_table, test, sample_table, sample_name),
        choose_id_column(id, train_table, sample_table, train),
        Places(image, test_image, image_separator),
        Policies(group, group_pattern, duplicates, missing_images),
    )


def _without(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> pd.DataFrame:
    for column in columns:
        need_column(table, column, where, "drop")
    return table.drop(columns=list(columns))
