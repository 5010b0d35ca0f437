"""Competitions whose rows are COCO-like JSON: a list of images, and a list of annotations with their labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from compete import DataError, Tables, checked_by

from ._common import (
    Duplicates,
    Files,
    MissingImages,
    Problems,
    check_places,
    image_paths,
    need_column,
    shown,
)
from ._json import read_json, rows_under, text_table
from ._rows import Policies, Rows, assemble, test_table, with_id
from ._tables import find_sample, read_table

SeveralLabels = Literal["error", "first", "join"]


def _check(*, image: str, test_image: str, group: str, group_pattern: str, **_: object) -> Iterator[str]:
    yield from check_places(image, test_image, group, group_pattern)


@checked_by(_check)
def coco(
    root: Path,
    *,
    train: str | tuple[str, ...],
    image: str,
    test: str = "",
    sample: str = "",
    test_image: str = "",
    label_key: str = "category_id",
    id_key: str = "id",
    image_id_key: str = "image_id",
    images_key: str = "images",
    annotations_key: str = "annotations",
    several_labels: SeveralLabels = "error",
    group: str = "",
    group_pattern: str = "",
    encoding: str = "utf-8",
    duplicates: Duplicates = "error",
    missing_images: MissingImages = "error",
) -> Tables:
    """Read rows from COCO-like JSON: images joined with the label of their annotations; every value becomes text.

    `train` is one JSON file or several, packed or not, `test` another with an images list or a bare list of images;
    without it the test rows are those of `sample`, the sample submission, which is found by its name if not given.
    `image` and `test_image` (default: as `image`) are templates over the images' keys: `train/{file_name}`.
    `images_key` and `annotations_key` name the two lists. `id_key` is the id of an image, `image_id_key` what an
    annotation calls it, and `label_key`, which names the label column too, what holds its label.
    `several_labels`: an image whose annotations disagree is refused, gets its `first` label, or all of them, `join`ed
    by spaces. Images without an annotation are left out of the training rows, counted.
    `group`, `group_pattern`, `encoding` (herbarium: latin-1), `duplicates`, `missing_images`: as for `csv`.
    """
    files = Files(root)
    problems, notes = Problems(), list[str]()
    names = [train] if isinstance(train, str) else list(train)
    keys = id_key, image_id_key, label_key
    parts = []
    for name in names:
        with problems.collecting():
            data = read_json(files, name, encoding)
            images = _images(data, images_key, id_key, name)
            annotations = text_table(rows_under(data, annotations_key, "annotations_key", name))
            parts.append(_labelled(images, annotations, keys, several_labels, name, notes))
    with problems.collecting():
        sample_name = find_sample(files, sample)
        sample_table = read_table(files, sample_name)
    with problems.collecting():
        test_raw = _images(read_json(files, test, encoding), images_key, id_key, test) if test else None
    problems.raise_if_any()
    train_table = pd.concat(parts, ignore_index=True).fillna("")
    test_rows, test_id = test_table(test_raw, sample_table, id_key, test)
    option = "test_image" if test_image else "image"
    with problems.collecting():
        train_images = image_paths(with_id(train_table, id_key), image, files)
    with problems.collecting():
        test_images = image_paths(with_id(test_rows, test_id), test_image or image, files, option=option)
    problems.raise_if_any()
    where = ", ".join(names)
    tables = assemble(
        files,
        Rows(train_table, where, id_key, train_images, f"image = '{image}'"),
        Rows(test_rows, test or sample_name, test_id, test_images, f"{option} = '{test_image or image}'"),
        sample_table,
        sample_name,
        Policies(group, group_pattern, duplicates, missing_images),
    )
    return Tables(tables.train, tables.test, tables.sample, " ".join([*notes, tables.note]).strip())
