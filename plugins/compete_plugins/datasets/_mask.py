"""The mask competition: seven images of each person, labelled by file name and folder name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from compete import DataError, Tables, describe_form, format_first, plural

from ._common import Files, Problems, is_image, keep_unique, missing_message, need_column, present
from ._tables import Sample, read_sample, read_table

LISTING, INFO = "train/train.csv", "eval/info.csv"
STEMS = {**{f"mask{number}": 0 for number in range(1, 6)}, "incorrect_mask": 1, "normal": 2}
GENDERS = {"male": 0, "female": 1}
AGE_STARTS = (30, 60)  # the first ages of the second and the third group
NOTE_FILE = "DRAWN.txt"
GET_DATA = (
    "The images of this competition (AI Stages, Naver Boostcamp AI Tech) may not be passed on: members download "
    "them from the competition's page and unpack them so that train/train.csv and eval/info.csv are below the root. "
    "`compete demo mask {root}` draws a stand-in with the same layout."
)


def mask(root: Path) -> Tables:
    """Read the mask competition: 18 classes from mask, gender and age, one training row for each image.

    `train/train.csv` lists people (`id, gender, race, age, path`), `train/images/<path>/` holds their images
    `mask1` to `mask5`, `incorrect_mask` and `normal` with any ending, and `eval/info.csv` lists the test images in
    `eval/images/`. Columns: `mask` (0 worn, 1 incorrectly, 2 not), `gender` (0 male, 1 female), `age_group` (0 below
    30, 1 below 60, 2 above), `age`, `label` = mask * 6 + gender * 3 + age_group, `person` (the folder), and `group`,
    the id without its suffix `-1` or `-2`, which several folders may share. Images that a folder lacks are noted.
    """
    if not root.is_dir():
        raise DataError(f"no such folder: {root}. {GET_DATA.format(root=root)}")
    files = Files(root)
    missing = [name for name in (LISTING, INFO) if not files.exists(name)]
    if missing:
        raise DataError(f"{root} lacks {' and '.join(missing)}. {GET_DATA.format(root=root)}")
    problems, notes = Problems(), _drawn(files)
    with problems.collecting():
        train = _train(files, notes)
    with problems.collecting():
        test, sample = _test(files)
    problems.raise_if_any()
    notes += filter(None, [describe_form(sample.form, INFO)])
    return Tables(train, test, sample.table, " ".join(notes), form=sample.form)


def _drawn(files: Files) -> list[str]:
    """Return the first line of the file that marks images which nobody photographed."""
    if not files.exists(NOTE_FILE):
        return []
    return files.read(NOTE_FILE).decode("utf-8", "replace").splitlines()[:1]


def _train(files: Files, notes: list[str]) -> pd.DataFrame:
    people = _people(read_table(files, LISTING))
    images = _images(files, people["path"].tolist(), notes)
    train = images.merge(people, left_on="person", right_on="path", how="left", validate="many_to_one")
    train["label"] = train["mask"] * 6 + train["gender"] * 3 + train["age_group"]
    return train[["id", "image", "label", "mask", "gender", "age_group", "age", "person", "group"]]


def _people(listing: pd.DataFrame) -> pd.DataFrame:
    """Check the listing and return one row for each folder, with numbers for labels."""
    problems = Problems()
    for column in ("id", "gender", "age", "path"):
        with problems.collecting():
            need_column(listing, column, LISTING)
    problems.raise_if_any()
    gender = listing["gender"].str.strip().str.lower().map(GENDERS)
    age = pd.to_numeric(listing["age"].where(listing["age"].str.fullmatch(r"\d{1,3}")), errors="coerce")
    _collect_bad(problems, listing, gender.isna(), "gender", "male or female")
    _collect_bad(problems, listing, age.isna(), "age", "an integer (years)")
    _collect_bad(problems, listing, listing["path"].duplicated(), "path", "a folder of its own")
    problems.raise_if_any()
    ages = age.astype("int64")
    return pd.DataFrame(
        {
            "path": listing["path"],
            "group": listing["id"].str.replace(r"-[12]$", "", regex=True),
            "gender": gender.astype("int64"),
            "age": ages,
            "age_group": sum((ages >= start).astype("int64") for start in AGE_STARTS),
        }
    )


def _collect_bad(problems: Problems, listing: pd.DataFrame, bad: pd.Series[bool], column: str, expected: str) -> None:
    if bad.any():
        lines = np.flatnonzero(bad) + 2  # the header is line 1
        cells = [f"'{cell}' (line {line})" for cell, line in zip(listing.loc[bad, column], lines, strict=True)]
        problems.append(
            f"{LISTING}: {len(cells)} cells of column '{column}' are not {expected}: {format_first(cells)}."
        )


def _images(files: Files, people: list[str], notes: list[str]) -> pd.DataFrame:
    """Return a row for each image of the listed folders, in the order of the listing and of `STEMS`."""
    problems = Problems()
    found = _list_images(files, people)
    empty = sorted(set(people) - set(found["person"]))
    if empty:
        problems.append(
            f"train/images: {len(empty)} of {len(people)} listed folders hold no image: {format_first(empty)}. "
            f"{GET_DATA.format(root=files.root)}"
        )
    known = found[found["stem"].isin(STEMS)]
    twice = known[known.duplicated(["person", "stem"])]
    if len(twice):
        names = (twice["person"] + "/" + twice["stem"]).tolist()
        problems.append(f"train/images: {len(names)} images are there with two extensions: {format_first(names)}.")
    problems.raise_if_any()
    notes.extend(_oddities(files, people, found, known))
    person = known["person"].map(pd.Series(range(len(people)), index=people))
    stem = known["stem"].map(pd.Series(range(len(STEMS)), index=list(STEMS)))
    known = known.assign(place=person * len(STEMS) + stem).sort_values("place")
    return pd.DataFrame(
        {
            "id": known["person"] + "/" + known["stem"],
            "image": "train/images/" + known["person"] + "/" + known["name"],
            "person": known["person"],
            "mask": known["stem"].map(STEMS).astype("int64"),
        }
    )


def _list_images(files: Files, people: list[str]) -> pd.DataFrame:
    """List every listed folder once: person, file name and stem of each image."""
    found = [
        (person, name, name.rpartition(".")[0].lower())
        for person in people
        for name in files.list(f"train/images/{person}")
        if is_image(name)
    ]
    return pd.DataFrame(found, columns=["person", "name", "stem"], dtype=str)


def _oddities(files: Files, people: list[str], found: pd.DataFrame, known: pd.DataFrame) -> Iterator[str]:
    """Say what differs from the competition: images that are missing, superfluous or not listed."""
    stems = [stem for stem in STEMS if stem in set(known["stem"])]
    if len(stems) < len(STEMS):
        yield f"Of the {len(STEMS)} kinds of image only {', '.join(stems) or 'none'} is there."
    counts = known["person"].value_counts().reindex(people, fill_value=0)
    lacking = counts[counts < len(stems)]
    if len(lacking):
        total = int((len(stems) - lacking).sum())
        yield f"{total} images are missing, in {len(lacking)} folders: {format_first(lacking.index.tolist())}."
    strange = found[~found["stem"].isin(STEMS)]
    if len(strange):
        names = (strange["person"] + "/" + strange["name"]).tolist()
        yield f"{plural(len(names), 'image')} left out, named otherwise: {format_first(names)}."
    unlisted = sorted(set(files.list("train/images")) - set(people))
    if unlisted:
        yield f"{plural(len(unlisted), 'folder')} left out, not in {LISTING}: {format_first(unlisted)}."


def _test(files: Files) -> tuple[pd.DataFrame, Sample]:
    sample = read_sample(files, INFO)
    for column in ("ImageID", "ans"):
        need_column(sample.table, column, INFO)
    sample = replace(sample, table=sample.table[["ImageID", "ans"]])
    ids = keep_unique(sample.table["ImageID"], "error", INFO)
    images = ("eval/images/" + ids).astype(object)
    there = present(images, files)
    if not there.all():
        raise DataError(missing_message("eval/images", images, there, files, INFO))
    return pd.DataFrame({"id": ids, "image": images}), sample
