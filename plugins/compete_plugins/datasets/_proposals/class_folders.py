"""Recognise class folders, or file names that hold labels, where no sample submission says what is predicted."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pandas as pd

from compete import Basis, Choice, DataError, Proposal, Scan, format_first, left_behind, plural, spread

from .folder import extensions_choice, in_folders, in_names, label_folder, unread
from .parts import TRAIN, VALID, is_test_folder, test_folder
from .versions import doubts_about_folders

FILE_NAMES = "[dataset] pattern: labels are taken from file names:"


def propose_class_folders(scan: Scan) -> Proposal | None:
    """Propose class folders with or without test images. Raise `DataError` where no name holds a label."""
    if not scan.images:
        return None
    test = test_folder(scan.images)
    top = label_folder([path for path in scan.images if not _below(path, test)])
    if top is None and test and (top := label_folder(scan.images)) is not None:
        test = ""  # the only class folders are in it
    if not test and top is not None:
        test = _unlabelled_part(scan, top)
    images = [path for path in scan.images if not _below(path, test)]
    found = in_folders(scan, top, test) if top is not None else in_names(scan, images)
    if found is None:
        raise DataError(_nothing(scan))
    frame, options = found
    doubts, why = [], "there is no table: the names of folders are the labels"
    if top is None:
        why, doubts = "there is no table and no class folder: file names hold the labels", [_doubt(frame)]
    else:
        doubts = doubts_about_folders(scan, frame, None, bool(test))
        joined = _with_validation(scan, top, test)
        options, doubts = (joined, doubts) if joined else (options, [*doubts, *unread(scan, frame, top, test)])
    return Proposal(
        "folder",
        (*options.values(), *extensions_choice(scan, frame["image"]), *_test(scan, test)),
        why,
        basis=Basis.NAMES,
        rows=len(frame),
        todo=tuple(doubts),
    )


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


def _with_validation(scan: Scan, top: str, test: str) -> dict[str, Choice]:
    """Return the options that train on `train` and `valid` alike, where both are parts full of class folders."""
    parent, _, name = top.rpartition("/")
    if name.lower() not in TRAIN:
        return {}
    inside = [path for path in scan.files.walk(parent) if scan.is_image(path) and not left_behind(path)]
    below = f"{parent}/" if parent else ""
    mine = [path for path in inside if not _below(f"{below}{path}", test)]
    parts = {part: [path for path in mine if path.startswith(f"{part}/")] for part in _parts(mine, name)}
    if len(parts) < 2 or sum(map(len, parts.values())) < len(mine) or any(path.count("/") < 2 for path in mine):
        return {}
    pattern = f"^(?:{'|'.join(map(re.escape, parts))})/(?P<label>[^/]+)/"
    others = [part for part in parts if part != name]
    counts = ", ".join(f"{plural(len(paths), 'image')} of '{part}'" for part, paths in parts.items())
    why = (
        f"{counts}: all are training rows, since folds validate; to leave out {format_first(others)}, set train = "
        f"{json.dumps(top, ensure_ascii=False)} and remove the pattern"
    )
    return {"train": Choice("train", parent or ".", why), "pattern": Choice("pattern", pattern)}


def _parts(paths: Sequence[str], train: str) -> list[str]:
    tops = dict.fromkeys(path.partition("/")[0] for path in paths)
    return [train, *(name for name in tops if name.lower() in VALID)]


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


def _nothing(scan: Scan) -> str:
    names = spread(scan.images, 3)[:3]
    return (
        f"{scan.files.root}: nothing gives labels. No table names the images with a label, there are no two folders "
        f"named by classes, and file names such as {', '.join(names)} hold none that is known. Put the images of each "
        'class in a folder of their own, or write the TOML by hand, with [dataset] name = "folder" and a `pattern`, a '
        "regular expression whose part (?P<label>...) finds the label in a path."
    )
