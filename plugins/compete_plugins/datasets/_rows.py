"""From raw rows with their images to `Tables`: unique ids, groups, missing images, the sample's ids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from compete import DataError, Tables, describe_form, did_you_mean, format_first, left_behind, plural

from ._combine import joined
from ._common import (
    Duplicates,
    Files,
    Mask,
    MissingImages,
    Problems,
    Templates,
    group_of,
    image_paths,
    is_image,
    keep_unique,
    listed,
    missing_message,
    need_column,
    present,
    values_lost,
    without_missing,
)
from ._spelling import as_in_sample, as_on_disk, spelling_note
from ._tables import Sample, refuse_repeated_ids

_SKIP = " Training rows can be left out with missing_images = 'skip'."
_SKIP_TEST = " With missing_images = 'skip' they would get the mean prediction."
_TWICE = " Set duplicates = 'keep' to keep all training rows, or 'first' to leave out later ones."
_TWICE_IN_TEST = " With duplicates = 'first' one row of each id is predicted."


@dataclass(frozen=True)
class Rows:
    """A raw table with its images: where it is from, its id column, and the option that said where they are."""

    table: pd.DataFrame
    where: str
    id_column: str
    images: pd.Series[Any]
    image_option: str
    sure: bool = False  # the images are known to be there
    of_sample: bool = False  # the ids are the sample submission's

    @property
    def ids(self) -> pd.Series[str]:
        """The ids as text."""
        return self.table[self.id_column].astype(str)


@dataclass(frozen=True)
class Policies:
    """The options that decide what becomes of rows, and what was noted about them so far."""

    group: str = ""
    group_pattern: str = ""
    duplicates: Duplicates = "error"
    missing_images: MissingImages = "error"
    join_labels: tuple[str, ...] = ()  # not empty: rows with one id become one row, and agree in these columns
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Places:
    """The options that say where images are."""

    image: Templates
    test_image: Templates = ""
    separator: str = ""
    test_id: str = ""


@dataclass(frozen=True)
class Read:
    """The tables that were read, and their names; without a test table the test rows are the sample's, if any."""

    train: pd.DataFrame
    train_name: str
    test: pd.DataFrame | None
    test_name: str
    sample: Sample | None


def with_id(table: pd.DataFrame, id_column: str) -> pd.DataFrame:
    """Let templates say `{id}` whatever the id column is called."""
    return table if "id" in table.columns else table.assign(id=table[id_column])


def choose_id_column(id_column: str, train: pd.DataFrame, sample: Sample | None, where: str) -> str:
    """Return the id column of the training table: the one that is named, else the sample submission's first."""
    if id_column:
        need_column(train, id_column, where, "id")
        return id_column
    if sample is None:
        need_column(train, "id", where, "id (not set, and there is no sample submission whose first column it is)")
        return "id"
    first = str(sample.table.columns[0])
    need_column(train, first, where, "id (not set, so the sample submission's first column)")
    return first


def images_of(files: Files, folder: str) -> pd.DataFrame:
    """Return a row for each image below a folder, its path there in column `id`. Raise `DataError` for none."""
    paths = [path for path in files.walk(folder.rstrip("/")) if is_image(path) and not left_behind(path)]
    if not paths:
        raise DataError(f"test = '{folder}': no image below it.{did_you_mean(folder.rstrip('/'), files.list(''))}")
    return pd.DataFrame({"id": paths}, dtype=str)


def test_table(
    test: pd.DataFrame | None, sample: Sample | None, id_column: str, where: str, test_id: str = ""
) -> tuple[pd.DataFrame, str]:
    """Return the raw test rows and their id column: a table of their own, or else the sample submission's ids."""
    first = str(sample.table.columns[0]) if sample else id_column
    if test is None:
        return pd.DataFrame({id_column: sample.table[first] if sample else []}, dtype=str), id_column
    if test_id:
        need_column(test, test_id, where, "test_id")
        return test, test_id
    if id_column not in test.columns and first in test.columns:
        return test, first
    need_column(test, id_column, where, "id")
    return test, id_column


def place_and_assemble(files: Files, read: Read, id_column: str, places: Places, by: Policies) -> Tables:
    """Find the images of tables by their templates, then `assemble` everything; a test folder has its own."""
    if read.test is not None and read.test_name.endswith("/"):
        folder = read.test_name.replace("{", "{{").replace("}", "}}")
        places = replace(places, test_image=f"{folder}{{id}}", test_id="id")
    problems, notes = Problems(), list(by.notes)
    test = None
    with problems.collecting():
        images = image_paths(
            with_id(read.train, id_column), places.image, files, places.separator, where=read.train_name, notes=notes
        )
    with problems.collecting():
        if read.test is not None or read.sample is not None:
            test = _test_rows(files, read, id_column, places, notes)
    problems.raise_if_any()
    train = Rows(read.train, read.train_name, id_column, images, _written("image", places.image))
    return assemble(files, train, test, read.sample, replace(by, notes=tuple(notes)))


def _test_rows(files: Files, read: Read, id_column: str, places: Places, notes: list[str]) -> Rows:
    table, name = test_table(read.test, read.sample, id_column, read.test_name, places.test_id)
    where = read.test_name or (read.sample.name if read.sample else "")
    option, templates = ("test_image", places.test_image) if places.test_image else ("image", places.image)
    images = image_paths(with_id(table, name), templates, files, places.separator, option, where, notes)
    return Rows(table, where, name, images, _written(option, templates), of_sample=read.test is None)


def _written(option: str, templates: Templates) -> str:
    return f"{option} = " + ", ".join(f"'{text}'" for text in listed(templates))


def assemble(files: Files, train: Rows, test: Rows | None, sample: Sample | None, by: Policies) -> Tables:
    """Join everything into `Tables`, or raise every problem at once.

    Without test rows there is no test set; without a sample submission every test row is predicted.
    """
    problems, notes, warnings = Problems(), list(by.notes), list(by.warnings)
    with problems.collecting():
        train_table = _train(files, _joined(train, by.join_labels, notes), by, notes, warnings)
    test_rows = pd.DataFrame(columns=["id", "image"])
    with problems.collecting():
        if test is not None:
            test_rows = _test(files, _joined(test, by.join_labels, notes), by, notes)
        if test is not None and sample is not None:
            test_rows["id"], respelled = as_in_sample(test_rows["id"], sample.table)
            notes += spelling_note(respelled, "id", test.where)
    with problems.collecting():
        if by.duplicates == "error" and sample is not None:
            refuse_repeated_ids(sample)
    problems.raise_if_any()
    if sample is None or test is None:
        if test is not None:
            notes.append(f"No sample submission: the {len(test_rows)} rows of {test.where} are predicted.")
        made = pd.DataFrame({"id": test_rows["id"], "label": ""})
        return Tables(train_table, test_rows, made, " ".join(notes), tuple(warnings))
    notes += filter(None, [describe_form(sample.form, sample.name)])
    return Tables(train_table, test_rows, sample.table, " ".join(notes), tuple(warnings), sample.form)


def _joined(rows: Rows, labels: tuple[str, ...], notes: list[str]) -> Rows:
    if not labels:
        return rows
    table, images, note = joined(rows.table, rows.images, rows.id_column, labels, rows.where)
    notes.append(note)
    return replace(rows, table=table, images=images)


def _train(files: Files, rows: Rows, by: Policies, notes: list[str], warnings: list[str]) -> pd.DataFrame:
    ids = keep_unique(rows.ids, by.duplicates, rows.where, _TWICE)
    if len(ids) < len(rows.table):
        repeated = rows.ids[~rows.ids.index.isin(ids.index)]
        notes.append(f"{_share(repeated, len(rows.table))} left out: repeated id: {_names(repeated)}.")
    images = _there(files, rows, rows.images.loc[ids.index], by.missing_images, ("", _SKIP), notes)
    some = images.map(bool).to_numpy(dtype=bool)
    if not some.all():
        notes.append(f"{_share(ids[~some], len(ids))} left out: no image: {_names(ids[~some])}.")
        warnings += values_lost(rows.table.loc[ids.index], ~some)
    kept = rows.table.loc[ids.index[some]]
    table = _named(kept, rows.id_column, ids[some], images[some], by)
    if by.group:
        table["group"] = group_of(with_id(kept, rows.id_column), by.group, by.group_pattern, rows.where)
    return table.reset_index(drop=True)


def _share(rows: pd.Series[str], of: int) -> str:
    return f"{len(rows):,} of {plural(of, 'training row')} ({len(rows) / of:.1%})"


def _names(ids: pd.Series[str]) -> str:
    return format_first(ids.tolist())


def _test(files: Files, rows: Rows, by: Policies, notes: list[str]) -> pd.DataFrame:
    # Of a repeated test id one row is predicted; the sample submission, checked on its own, keeps all of its rows.
    alone = by.duplicates == "error" and not rows.of_sample
    ids = keep_unique(rows.ids, "error" if alone else "first", rows.where, _TWICE_IN_TEST)
    hint = "" if rows.image_option.startswith("test_") else " Are the test images elsewhere? Set test_image."
    images = _there(files, rows, rows.images.loc[ids.index], by.missing_images, (hint, _SKIP_TEST), notes)
    lost = ids[~images.map(bool)]
    if len(lost):
        count = f"{len(lost):,} of {plural(len(ids), 'test row')} ({len(lost) / len(ids):.1%})"
        notes.append(f"{count} without an image, predicted as the mean: {_names(lost)}.")
    return _named(rows.table.loc[ids.index], rows.id_column, ids, images, by).reset_index(drop=True)


def _there(
    files: Files, rows: Rows, images: pd.Series[Any], policy: MissingImages, hints: tuple[str, str], notes: list[str]
) -> pd.Series[Any]:
    """Return the images that are there; by the policy, or where there is none at all, a missing one is refused."""
    if rows.sure:
        return images
    images, there = _found(files, rows, images, notes)
    if there.all():
        return images
    if policy == "error" or not there.any():
        hint = "".join(hints) if policy == "error" else hints[0]
        raise DataError(missing_message(rows.image_option, images, there, files, rows.where) + hint)
    kept = without_missing(images, files)
    some = kept.map(bool)
    lost = images[some].explode()[~images[some].explode().isin(kept[some].explode())]
    if len(lost):
        names = format_first(lost.tolist())
        notes.append(f"{plural(len(lost), 'image')} of {rows.where} missing from rows that have others: {names}.")
    return kept


def _found(files: Files, rows: Rows, images: pd.Series[Any], notes: list[str]) -> tuple[pd.Series[Any], Mask]:
    """Return images as their folders spell them, and which rows have all of theirs (N,)."""
    try:
        images, respelled = as_on_disk(images, files)
        there = present(images, files)
    except DataError as error:  # a path that leads outside
        raise DataError(f"{rows.where}: {rows.image_option}: {problem}" for problem in error.problems) from error
    notes += spelling_note(respelled, "image name", rows.where)
    return images, there


def _named(
    table: pd.DataFrame, id_column: str, ids: pd.Series[str], images: pd.Series[Any], by: Policies
) -> pd.DataFrame:
    """Put `id` and `image` first; columns of the table with these names become `raw_id` and `raw_image`.

    So does `group` where another column or a template makes the groups.
    """
    made = ("id", "image", "group") if by.group not in ("", "group") else ("id", "image")
    clashes = {name: f"raw_{name}" for name in made if name in table.columns and name != id_column}
    named = table.rename(columns=clashes).drop(columns=[id_column] if id_column in ("id", "image") else [])
    named.insert(0, "id", ids)
    named.insert(1, "image", images)
    return named
