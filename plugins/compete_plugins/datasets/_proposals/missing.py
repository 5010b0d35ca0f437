"""Rows without an image, and rows with several: what may be left out, and what the user has to decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from compete import Choice, Scan, format_first, path_template, plural

from .._common import Mask, values_lost
from .templates import Found

MOST_LOST = 0.1  # of the rows are left out for want of an image, where no value of a column goes with them


def missing_images(train: pd.DataFrame, lost: Mask, name: str) -> Iterator[Choice]:
    """Yield the option that leaves out rows without an image, where they are few; `name` is the images' column."""
    if lost.any() and lost.mean() <= MOST_LOST and not values_lost(train, lost):
        yield Choice("missing_images", "skip", f"left out are {_described(train, lost, name)}")


def missing_trains(train: pd.DataFrame, lost: Mask, name: str) -> Iterator[str]:
    """Yield which training rows have no image."""
    if lost.any():
        gone = "".join(f" {loss}" for loss in values_lost(train, lost))
        yield (
            f"[dataset] image: no image for {_described(train, lost, name)}.{gone} Are they elsewhere? `image` may be "
            'a list of templates. missing_images = "skip" leaves these rows out.'
        )


def _described(train: pd.DataFrame, lost: Mask, name: str) -> str:
    names = format_first(train.loc[lost, name].tolist())
    return f"{int(lost.sum())} of {plural(len(lost), 'training row')} ({lost.mean():.1%}): {names}"


def several_files(images: Sequence[Found]) -> Iterator[str]:
    """Yield which rows have files under several templates."""
    for image in images:
        if image.several:
            rows = plural(image.several, "training row has", "training rows have")
            yield (
                f"[dataset] image: {rows} files under several of {format_first(image.templates)}; the first that is "
                "there is taken. Is it the right one?"
            )


def cut_alike(train: pd.DataFrame, image: Found) -> Iterator[str]:
    """Yield which rows of different paths get one file, since paths of another place were cut."""
    for text in image.templates:
        if "[/" in text:
            cells = train[path_template(text).columns[0]]
            paths = path_template(text).fill(train)
            shared = cells[cells.groupby(paths).transform("nunique") > 1]
            if len(shared):
                yield (
                    f"[dataset] image: '{text}' cuts the paths of {plural(len(shared), 'training row')} of "
                    f"{len(train):,} to the same files as other paths: {format_first(sorted(set(shared)))}. "
                    "Which folders hold them?"
                )


def missing_tests(found: Found | None, rows: pd.DataFrame, scan: Scan) -> Iterator[str]:
    """Yield what is wrong with the test images."""
    if found is None:
        ids, images = ", ".join(rows.iloc[:3, 0]), ", ".join(scan.images[-3:])
        yield f"no image is named after a test row ({ids} ...); set where they are. Images are, for example, {images}."
    elif found.resolved < found.rows:
        yield f"'{found.templates[0]}' finds only {found.resolved} of {found.rows} test images; the others are missing."
