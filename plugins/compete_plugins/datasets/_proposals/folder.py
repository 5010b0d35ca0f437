"""Recognise competitions without a training table, whose labels are the names of folders or of files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import filterfalse

import pandas as pd

from compete import (
    IMAGE_EXTENSIONS,
    Basis,
    Choice,
    DataError,
    Excerpt,
    Proposal,
    Scan,
    format_first,
    left_behind,
    plural,
    spread,
)

from .._folder import image_rows, label_rows
from .._heads import Table, encoding_doubts
from .._spelling import labels_as_in_sample
from .missing import missing_tests
from .parts import TRAIN, VALID, is_test_folder
from .templates import MOST_IMAGES, Found, find_template
from .versions import by_hand, doubts_about_folders, naming_table

# How a file name may carry its label: in front (`cat.0.jpg`), or as a number or a word at its end (`x_1.jpg`).
PATTERNS = (
    r"^(?P<label>[^\W\d_]+(?:[ _-][^\W\d_]+)*)[ ._-]*\d[^/]*$",
    r"[._-](?P<label>\d{1,2})\.\w+$",
    r"[._-](?P<label>[^\W\d_]+)\.\w+$",
)
MOST_LABELS = 1000
PARTS = (*TRAIN, *VALID, "test", "testing")
# What a folder of unaltered images is called, among folders of altered ones.
PLAIN = ("cover", "normal", "negative", "clean", "original", "healthy", "real", "none", "background", "no")


def propose_folder(scan: Scan, sample: Table) -> Proposal | None:
    """Propose the rows that folders or file names label. Raise `DataError` where no name of an image does."""
    if not scan.images:
        return None
    rows = sample.frame[[sample.columns[0]]]
    test = find_template(rows, scan, "test")
    test_folder = test.templates[0].partition("{")[0].rpartition("/")[0] if test else ""
    images = [path for path in scan.images if not test or not path.startswith(f"{test_folder}/")]
    top = label_folder(images)
    found = in_folders(scan, top, test_folder) if top is not None else in_names(scan, images)
    if found is None:
        raise DataError(_nothing(scan, sample))
    frame, options = found
    frame["label"] = labels_as_in_sample(frame["label"], sample.frame)[0]
    doubts = doubts_about_folders(scan, frame, sample, test is not None) if top is not None else []
    doubts += unread(scan, frame, top, test_folder) if top is not None else []
    mapped = _yes_or_no(frame, sample)
    if mapped:
        options["labels"] = Choice(
            "labels", mapped, "the submission asks for one number, so the folders mean no or yes"
        )
        frame = label_rows(frame[["id", "image"]], mapped, options["pattern"].value if "pattern" in options else "")
    return Proposal(
        "folder",
        (
            *options.values(),
            *extensions_choice(scan, frame["image"]),
            Choice("sample", sample.name),
            *_test(test),
            *_encoding(sample),
        ),
        "no table names the training images; the names of their folders or files hold the labels",
        basis=Basis.NAMES,
        rows=len(frame),
        excerpt=Excerpt(
            frame,
            rows,
            sample.frame,
            label="label",
            used=("id", "image"),
            images=tuple(spread(frame["image"].tolist(), MOST_IMAGES)),
        ),
        todo=(*encoding_doubts([sample]), *missing_tests(test, rows, scan), *doubts, *_doubt_about_mapping(mapped)),
    )


def _test(test: Found | None) -> Iterator[Choice]:
    if test is not None:
        yield Choice("test", test.templates[0], str(test))


def _encoding(sample: Table) -> Iterator[Choice]:
    if sample.readings:
        yield Choice("encoding", sample.encoding, f"{sample.name} is not UTF-8; it reads {sample.readings[0]}")


def extensions_choice(scan: Scan, images: Iterable[str]) -> Iterator[Choice]:
    """Yield the extensions of images where they are not the usual ones."""
    if scan.extensions != IMAGE_EXTENSIONS:
        there = sorted({path.rpartition(".")[2].lower() for path in images})
        yield Choice("extensions", there, "those that count as images")


def _nothing(scan: Scan, sample: Table) -> str:
    first = sample.columns[0]
    naming = naming_table(scan, pd.Series(scan.images, dtype=str), sample)
    return (
        f"{scan.files.root}: nothing gives the training rows. No table has a column '{first}', or one whose cells name "
        f"images, and no folders or file names hold labels. Images are called, for example, "
        f"{', '.join(spread(scan.images, 3)[:3])}; test ids {', '.join(sample.frame[first][:3])}."
    ) + (f" {by_hand(scan, naming)}" if naming else "")


def label_folder(images: Sequence[str]) -> str | None:
    """Return the folder ("" for the root) with a folder for each label: one called train, else the highest."""
    below: dict[str, set[str]] = {}
    for path in images:
        parts = path.split("/")[:-1]
        for depth, part in enumerate(parts):
            below.setdefault("/".join(parts[:depth]), set()).add(part)
    several = [folder for folder, names in below.items() if len(set(filterfalse(is_part, names))) > 1]
    if not several:
        return None
    return min(several, key=lambda folder: ("train" not in folder.lower(), folder.count("/") + bool(folder), folder))


def is_part(folder: str) -> bool:
    """Return whether a folder is called like a part of the data, which is no label."""
    return folder.lower() in PARTS or is_test_folder(folder)


def unread(scan: Scan, frame: pd.DataFrame, top: str, test_folder: str) -> Iterator[str]:
    """Yield the folders with images that are neither training rows nor test images."""
    read = {*frame["image"]}
    images = set(scan.images)  # of folders on disk only a few hundred, and those in archives
    with suppress(DataError):  # a link elsewhere
        images |= {path for path in scan.files.walk("") if scan.is_image(path) and not left_behind(path)}
    below = f"{top}/" if top else ""
    others = Counter(
        path.removeprefix(below).partition("/")[0]
        for path in images
        if path not in read and not (test_folder and path.startswith(f"{test_folder}/"))
    )
    if others:
        names = format_first([f"'{name}' ({count})" for name, count in others.most_common()])
        share = f"{others.total():,} of {plural(len(images), 'image')} ({others.total() / len(images):.1%})"
        yield f"[dataset] train: {share} are not read: {names}. Do they belong to the training rows?"


def in_folders(scan: Scan, top: str, test_folder: str) -> tuple[pd.DataFrame, dict[str, Choice]]:
    """Return all images below the label folders, and the options that say so."""
    tests = test_folder.removeprefix(f"{top}/" if top else "") + "/" if test_folder.startswith(top) else "/"
    images = [path for path in scan.files.walk(top) if scan.is_image(path) and not left_behind(path)]
    paths = [
        path for path in images if "/" in path and not path.startswith(tests) and not is_part(path.partition("/")[0])
    ]
    frame = label_rows(image_rows(f"{top}/" if top else "", paths), {}, "")
    names = sorted(frame["label"].unique())
    why = f"{plural(len(frame), 'image')} in {len(names)} folders, one for each label"
    options = {"train": Choice("train", top or ".", why)}
    if not top or len(paths) < len(images):
        options["labels"] = Choice("labels", {name: name for name in names})
    return frame, options


def in_names(scan: Scan, images: Sequence[str]) -> tuple[pd.DataFrame, dict[str, Choice]] | None:
    """Return all images of the largest folder whose file names hold labels, and the options that say so."""
    folders = Counter(path.rpartition("/")[0] for path in images)
    for folder, _ in sorted(folders.items(), key=lambda item: ("train" not in item[0].lower(), -item[1])):
        names = [name for name in scan.files.list(folder) if scan.is_image(name)]
        for pattern in PATTERNS:
            labels = count_labels(names, pattern)
            if labels:
                why = f"file names such as {names[0]} hold {labels} labels"
                frame = label_rows(image_rows(f"{folder}/" if folder else "", names), {}, pattern)
                options = Choice("train", folder or "."), Choice("pattern", pattern, why)
                return frame, {option.name: option for option in options}
    return None


def count_labels(names: Sequence[str], pattern: str) -> int:
    """Return how many labels the file names hold; 0 unless they look like labels: few, and each there often."""
    found = [match["label"] for name in names if (match := re.search(pattern, name))]
    counts = Counter(found)
    return len(counts) if len(found) == len(names) and 1 < len(counts) <= min(MOST_LABELS, len(names) / 3) else 0


def _yes_or_no(frame: pd.DataFrame, sample: Table) -> dict[str, str]:
    """Return a mapping of more than two labels to 0 and 1, where the submission holds one number."""
    labels = sorted(frame["label"].unique())
    cells = sample.frame.iloc[:, 1] if len(sample.columns) == 2 else sample.frame.iloc[:0, 0]
    numeric = bool(len(cells)) and bool(cells.str.fullmatch(r"[\d.]+").all())
    if not numeric or len(labels) < 3 or any(re.fullmatch(r"[\d.]+", label) for label in labels):
        return {}
    negative = next((label for word in PLAIN for label in labels if label.lower() == word), labels[0])
    return {label: "0" if label == negative else "1" for label in labels}


def _doubt_about_mapping(mapped: Mapping[str, str]) -> Iterator[str]:
    for label, number in mapped.items():
        if number == "0":
            yield f"[dataset] labels: '{label}' is taken for 0 and all other folders for 1; is that what is asked?"
