"""Recognise class folders, or file names that hold labels, where no sample submission says what is predicted."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pandas as pd

from compete import Basis, Choice, DataError, Proposal, Scan, format_first, format_list, left_behind, plural, spread

from .._common import is_image
from .._folder import label_rows
from .folder import PATTERNS, count_labels, extensions_choice, in_folders, in_names, is_part, label_folder, unread
from .parts import TRAIN, VALID, is_test_folder, test_folder
from .versions import doubts_about_folders

MOST_LOOKED_AT = 20  # files of a folder beside this one
NUMBERED = re.compile(r"(part|fold|batch|chunk|shard|split|vol|volume|images?|imgs?)s?[ ._-]*\d+", re.IGNORECASE)
FEW_BESIDE = 0.2  # of the images are beside a folder that holds the class folders
FILE_NAMES = "[dataset] pattern: labels are taken from file names:"


def propose_class_folders(scan: Scan) -> Proposal | None:
    """Propose class folders with or without test images. Raise `DataError` where no name holds a label."""
    if not scan.images:
        return None
    test = test_folder(scan.images)
    top = label_folder([path for path in scan.images if not _below(path, test)])
    if top is None and test and (top := label_folder(scan.images)) is not None:
        test = ""  # the only class folders are in it
    if top is None:
        frame, options, doubts = _of_names(scan, [path for path in scan.images if not _below(path, test)])
    else:
        test = test or _unlabelled_part(scan, top)
        frame, options, doubts = _of_folders(scan, top, test)
    what = "there is no table: the names of folders are the labels"
    return Proposal(
        "folder",
        (*options.values(), *extensions_choice(scan, frame["image"]), *_test(scan, test)),
        what if top is not None else "there is no table and no class folder: file names hold the labels",
        basis=Basis.NAMES,
        rows=len(frame),
        todo=tuple(doubts),
    )


Rows = tuple[pd.DataFrame, dict[str, Choice], list[str]]


def _of_names(scan: Scan, images: Sequence[str]) -> Rows:
    found = in_names(scan, images)
    if found is None:
        raise DataError(_nothing(scan))
    return *found, [_doubt(found[0])]


def _of_folders(scan: Scan, top: str, test: str) -> Rows:
    """Return the rows of class folders, the options that read them, and what is doubtful about their level."""
    frame, options = in_folders(scan, top, test)
    wrapper, inner = _inner_folders(frame)
    if wrapper:
        frame, options = in_folders(scan, f"{top}/{wrapper}" if top else wrapper, test)
        return frame, options, [*unread(scan, frame, options["train"].value, test)]
    doubts = doubts_about_folders(scan, frame, None, bool(test))
    labels = sorted(frame["label"].unique())
    if inner and (deeper := _by_parts(scan, top, labels, test)):
        doubt = (
            f"[dataset] pattern: {format_first(labels)} hold the same folders, {format_first(inner)}, whose names are "
            f"taken for the labels. If {format_first(labels)} are the labels, remove the pattern."
        )
        return frame, deeper, [*doubts, doubt]
    if all(map(NUMBERED.fullmatch, labels)):
        return _of_numbered(frame, options, [*doubts, *unread(scan, frame, top, test)])
    parent, _, name = top.rpartition("/")
    parts = [name, *(part for part in scan.files.list(parent) if part.lower() in VALID)]
    joined = _by_parts(scan, parent, parts, test) if name.lower() in TRAIN and len(parts) > 1 else {}
    return (frame, joined, doubts) if joined else (frame, options, [*doubts, *unread(scan, frame, top, test)])


def _of_numbered(frame: pd.DataFrame, options: dict[str, Choice], doubts: list[str]) -> Rows:
    """Return rows of folders called `part_1`, `part_2`: labels may be in the names of their files."""
    for pattern in (each.replace("^", "/", 1) if each.startswith("^") else each for each in PATTERNS):
        labels = count_labels(frame["id"].tolist(), pattern)
        if labels and not doubts:
            labelled = label_rows(frame[["id", "image"]], {}, pattern)
            why = f"folders are called like parts; file names hold {labels} labels"
            return labelled, {"train": options["train"], "pattern": Choice("pattern", pattern, why)}, [_doubt(labelled)]
    names = format_first(sorted(frame["label"].unique()))
    return frame, options, [*doubts, f"[dataset] train: are {names} classes, or parts of the images without labels?"]


def _inner_folders(frame: pd.DataFrame) -> tuple[str, list[str]]:
    """Return the label folder that only wraps the class folders, beside few other images, or the folders in all."""
    parts = frame["id"].str.split("/")
    second = parts[parts.map(len) > 2].str[1].groupby(frame["label"]).agg(set)
    holding = [names for names in second if len(names) > 1]
    counts = frame["label"].value_counts()
    if len(holding) == 1 and len(counts) > 1:
        wrapper = str(second.index[second.map(len) > 1][0])
        inside = frame["label"] == wrapper
        alone = (parts[inside].map(len) > 2).all() and (~inside).mean() < FEW_BESIDE
        return (wrapper if alone else ""), []
    shared = sorted(set.intersection(*holding)) if len(holding) == len(counts) else []
    classes = [name for name in shared if not re.fullmatch(r"[\d ._-]+", name) and not is_part(name)]
    return "", classes if len(classes) > 1 else []


def _below(path: str, folder: str) -> bool:
    return bool(folder) and path.startswith(f"{folder}/")


def _unlabelled_part(scan: Scan, top: str) -> str:
    """Return the folder of loose images beside the label folders' that is called validation, or ""."""
    parent = top.rpartition("/")[0]
    for name in scan.files.list(parent):
        folder = f"{parent}/{name}" if parent else name
        if name.lower() in VALID and folder != top and scan.files.list(folder):
            inside = [path for path in scan.files.walk(folder) if scan.is_image(path)]
            if inside and not any("/" in path for path in inside):
                return folder
    return ""


def _by_parts(scan: Scan, parent: str, parts: Sequence[str], test: str) -> dict[str, Choice]:
    """Return the options that train on the class folders of several folders, where these hold all images."""
    below = f"{parent}/" if parent else ""
    inside = [path for path in scan.files.walk(parent) if scan.is_image(path) and not left_behind(path)]
    mine = [path for path in inside if not _below(f"{below}{path}", test)]
    counts = {part: sum(path.startswith(f"{part}/") for path in mine) for part in parts}
    if sum(counts.values()) < len(mine) or any(path.count("/") < 2 for path in mine):
        return {}
    pattern = f"^(?:{'|'.join(map(re.escape, parts))})/(?P<label>[^/]+)/"
    each = format_first([f"{plural(count, 'image')} of '{part}'" for part, count in counts.items() if count])
    why = f"{each}: all are training rows"
    others = [part for part in parts[1:] if part.lower() in VALID]
    if others:
        train = json.dumps(f"{below}{parts[0]}", ensure_ascii=False)
        why += f", since folds validate; to leave out {format_first(others)}, set train = {train} without the pattern"
    return {"train": Choice("train", parent or ".", why), "pattern": Choice("pattern", pattern)}


def _test(scan: Scan, test: str) -> list[Choice]:
    if not test:
        return [Choice("test", "", "no folder is called test: there is no test set")]
    count = sum(scan.is_image(path) and not left_behind(path) for path in scan.files.walk(test))
    inside = {path.split("/")[test.count("/") + 1] for path in scan.images if _below(path, test)}
    folders = [name for name in inside if not scan.is_image(name)]
    labels = "; the names of its folders are not used" if folders and is_test_folder(test.rpartition("/")[2]) else ""
    return [Choice("test", test, f"{plural(count, 'image')} to predict{labels}")]


def _doubt(frame: pd.DataFrame) -> str:
    table = frame.drop_duplicates("label")
    shown = format_first([f"'{label}' of {id}" for label, id in zip(table["label"], table["id"], strict=True)], 3)
    return (
        f"{FILE_NAMES} {shown}. Are these the labels? Else change the part "
        "(?P<label>...) of the pattern, or put the images of each class in a folder of their own."
    )


def _holds_images(folder: Path) -> bool:
    with suppress(OSError):
        return any(is_image(path.name) for path in islice(folder.iterdir(), MOST_LOOKED_AT))
    return False


def _nothing(scan: Scan) -> str:
    names, root = spread(scan.images, 3)[:3], scan.files.root
    beside = [folder.name for folder in root.parent.iterdir() if _holds_images(folder)]
    one_of = f" Is it one of {format_list(beside, 5)}? Then name the folder that holds them, {root.parent}."
    above = one_of if len(beside) > 1 and root.name in beside else ""
    return (
        f"{root}: nothing gives labels. No table names the images with a label, there are no two folders "
        f"named by classes, and file names such as {', '.join(names)} hold none that is known. Put the images of each "
        f'class in a folder of their own, or write the TOML by hand, with [dataset] name = "folder" and a `pattern`, a '
        f"regular expression whose part (?P<label>...) finds the label in a path.{above}"
    )
