"""Folders that hold the same file names: classes whose files are numbered alike, or versions of the same images?"""

from __future__ import annotations

import json
import re

import pandas as pd

from compete import DataError, Scan, format_list, prose

from .._heads import Table, read_head
from .templates import MOST_LOOKED_AT, find_template

MOST_SHARED, ENOUGH_NAMED = 0.5, 0.5
MOST_TABLES, MOST_BYTES = 60, 50_000_000


def doubts_about_folders(scan: Scan, frame: pd.DataFrame, sample: Table | None, tests_found: bool) -> list[str]:
    """Return what is doubtful about folders whose names are taken for labels.

    Raise `DataError` where they are not labels: they hold the same file names, a table names these files, and no test
    image is apart from them. Without such a table they may be classes, or one image altered in several ways.
    """
    folders = _folders_with_the_same_names(frame)
    naming = naming_table(scan, frame["id"], sample) if folders else ""
    if not folders or ((tests_found or sample is None) and not naming):
        return []
    seen = f"the folders {format_list(folders, 4)} hold the same file names"
    if naming and not tests_found and sample is not None:
        raise DataError(f"{scan.files.root}: {seen}, so their names are not labels. {by_hand(scan, naming)}")
    return [f"[dataset] train: {seen}, as versions of one image do; are the folders' names the labels?"]


def naming_table(scan: Scan, paths: pd.Series[str], sample: Table | None) -> str:
    """Return the table, also a .txt, that names most of the files, or nothing."""
    files = set(paths.str.rpartition("/")[2])
    stems = {name.rpartition(".")[0] for name in files}
    # A number alone says nothing: any table has some.
    wanted = {stem for stem in stems if not stem.isdigit()} or files
    texts = [name for name in scan.others if name.lower().endswith(".txt")]
    tables = [name for name in scan.tables if sample is None or name != sample.name]
    for name in [*tables, *texts][:MOST_TABLES]:
        words = _words(scan, name)
        if len(wanted & words) >= ENOUGH_NAMED * len(wanted):
            return name
    return ""


def by_hand(scan: Scan, naming: str) -> str:
    """Say how to start from the table that names the images."""
    try:
        table = read_head(scan.files, naming, scan.tables.get(naming, naming))
        found = find_template(table.frame.iloc[:, :MOST_LOOKED_AT], scan, "train")
    except DataError:
        found = None
    image = f", image = {json.dumps(found.value)}" if found else ""
    return (
        f'{naming} names the images: write the TOML by hand, with [dataset] name = "csv"{image}, and as `train` the '
        "table with the labels (`compete options dataset csv` has its other options)."
    )


def _folders_with_the_same_names(frame: pd.DataFrame) -> list[str]:
    """Return the label folders, if most file names are in several of them."""
    pairs = frame.assign(file=frame["id"].str.rpartition("/")[2])[["file", "label"]].drop_duplicates()
    counts = pairs["file"].value_counts()
    return sorted(pairs["label"].unique()) if (counts > 1).mean() > MOST_SHARED else []


def _words(scan: Scan, name: str) -> set[str]:
    """Return the cells of a text file, with file names also without folder and extension."""
    place = scan.tables.get(name, name)
    path = scan.files.root / place
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        return set()
    try:
        text = prose(scan.files.read(place))
    except DataError:
        return set()
    names = {word.rpartition("/")[2] for word in re.split(r'[\s,;|"]+', text)}
    return names | {name.rpartition(".")[0] for name in names}
