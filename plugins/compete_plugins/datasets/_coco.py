"""Competitions whose rows are COCO-like JSON: a list of images, and a list of annotations with their labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from compete import DataError, Tables, component, format_first, plural

from ._common import Files, Problems, Templates, check_group, check_template, need_column, replaced
from ._json import read_json, rows_under, text_table
from ._rows import Places, Policies, Read, images_of, place_and_assemble
from ._tables import read_sample_if_any

SeveralLabels = Literal["error", "first", "join"]


def _check(*, image: Templates, test_image: Templates, group: str, group_pattern: str, **_: object) -> Iterator[str]:
    yield from check_template("image", image)
    yield from check_template("test_image", test_image)
    yield from check_group(group, group_pattern)


@component(check=_check, reads_urls=True)
def coco(
    root: Path | str,
    *,
    train: str | tuple[str, ...],
    image: str | tuple[str, ...],
    test: str = "",
    sample: str = "",
    test_image: str | tuple[str, ...] = "",
    label_key: str = "category_id",
    id_key: str = "id",
    image_id_key: str = "image_id",
    images_key: str = "images",
    annotations_key: str = "annotations",
    several_labels: Literal["error", "first", "join"] = "error",
    replace: dict[str, dict[str, str]] | None = None,
    group: str = "",
    group_pattern: str = "",
    encoding: str = "utf-8",
    duplicates: Literal["error", "keep", "first"] = "error",
    missing_images: Literal["error", "skip"] = "error",
) -> Tables:
    """Read rows from COCO-like JSON: images joined with the label of their annotations; every value becomes text.

    `train` is one JSON file or several, packed or not, `test` another with an images list or a bare list of images;
    without it the test rows are those of `sample`, the sample submission, which is found by its name if not given.
    `test = "test/"` and `sample = "none"`: as for `csv`.
    `image` and `test_image` (default: as `image`) are templates over the images' keys: `train/{file_name}`.
    `images_key` and `annotations_key` name the two lists. `id_key` is the id of an image, `image_id_key` what an
    annotation calls it, and `label_key`, which names the label column too, what holds its label.
    `several_labels`: an image whose annotations disagree is refused, gets its `first` label, or all of them, `join`ed
    by spaces. Images without an annotation are left out of the training rows, counted.
    `replace`, `group`, `group_pattern`, `encoding` (herbarium: latin-1), `duplicates`, `missing_images`: as for `csv`.
    """
    files = Files(root)
    problems, notes = Problems(), list[str]()
    keys = Keys(images_key, annotations_key, id_key, image_id_key, label_key)
    names = (train,) if isinstance(train, str) else train
    parts = []
    for name in names:
        with problems.collecting():
            parts.append(_train(read_json(files, name, encoding), keys, several_labels, name, notes))
    with problems.collecting():
        sample_read = read_sample_if_any(files, sample, encoding=encoding)
    with problems.collecting():
        test_table = None
        if test.endswith("/"):
            test_table = images_of(files, test)
        elif test:
            test_table = _images(read_json(files, test, encoding), keys, test)
    problems.raise_if_any()
    merged = pd.concat(parts, ignore_index=True).fillna("")
    given = [merged] if test_table is None else [merged, test_table]
    train_table, *tests = replaced(replace, ", ".join(names), given, notes)
    return place_and_assemble(
        files,
        Read(train_table, ", ".join(names), tests[0] if tests else None, test, sample_read),
        id_key,
        Places(image, test_image),
        Policies(group, group_pattern, duplicates, missing_images, notes=tuple(notes)),
    )


class Keys(NamedTuple):
    """The names that a JSON file uses."""

    images: str
    annotations: str
    id: str
    image_id: str
    label: str


def _images(data: Any, keys: Keys, where: str) -> pd.DataFrame:  # noqa: ANN401
    images = text_table(rows_under(data, keys.images, "images_key", where))
    need_column(images, keys.id, f"{where}: {keys.images}", "id_key")
    return images


def _train(data: Any, keys: Keys, several: SeveralLabels, where: str, notes: list[str]) -> pd.DataFrame:  # noqa: ANN401
    """Read the images of one file with their labels."""
    images = _images(data, keys, where)
    annotations = text_table(rows_under(data, keys.annotations, "annotations_key", where))
    labelled = labelled_images(images, annotations, keys, several, where)
    pairs = annotations[[keys.image_id, keys.label]].drop_duplicates()
    twice = pairs.loc[pairs[keys.image_id].duplicated(), keys.image_id].unique().tolist()
    if twice:
        how = "the first counts" if several == "first" else "joined"
        share = f"{len(twice):,} of {plural(len(images), 'image')} of {where} ({len(twice) / len(images):.1%})"
        notes.append(f"{share} with several labels, {how}: {format_first(twice)}.")
    if len(labelled) < len(images):
        lost = images[keys.id][~images[keys.id].isin(labelled[keys.id])].tolist()
        count = f"{len(lost):,} of {plural(len(images), 'image')} of {where} ({len(lost) / len(images):.1%})"
        notes.append(f"{count} left out: no annotation: {format_first(lost)}.")
    if labelled.empty:
        raise DataError(
            f"{where}: no annotation's '{keys.image_id}' is the '{keys.id}' of an image: "
            f"{format_first(annotations[keys.image_id].tolist())} against {format_first(images[keys.id].tolist())}."
        )
    return labelled


def labelled_images(
    images: pd.DataFrame, annotations: pd.DataFrame, keys: Keys, several: SeveralLabels, where: str
) -> pd.DataFrame:
    """Return the images that have an annotation, with its label. Raise `DataError` for a key that is missing."""
    for column, option in ((keys.image_id, "image_id_key"), (keys.label, "label_key")):
        need_column(annotations, column, f"{where}: {keys.annotations}", option)
    labels = _one_label(annotations[[keys.image_id, keys.label]].drop_duplicates(), keys, several, where)
    return images.drop(columns=keys.label, errors="ignore").merge(
        labels.rename(columns={keys.image_id: keys.id}), on=keys.id, validate="many_to_one"
    )


def _one_label(labels: pd.DataFrame, keys: Keys, several: SeveralLabels, where: str) -> pd.DataFrame:
    """Return one row for each annotated image."""
    repeated = labels[keys.image_id].duplicated()
    if not repeated.any():
        return labels
    if several == "error":
        raise DataError(
            f"{where}: {repeated.sum()} annotations give an image another label than an earlier one: "
            f"{format_first(labels.loc[repeated, keys.image_id].unique().tolist())}. "
            "Set several_labels = 'join' for all labels, or 'first'."
        )
    if several == "first":
        return labels[~repeated]
    spaced = labels.loc[labels[keys.label].str.contains(" ", regex=False), keys.label]
    if len(spaced):
        raise DataError(
            f"several_labels = 'join': '{spaced.iloc[0]}' of {where} holds a space, by which labels would be joined. "
            "Set several_labels = 'first'."
        )
    return labels.groupby(keys.image_id, sort=False)[keys.label].agg(" ".join).reset_index()
