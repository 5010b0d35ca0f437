"""Competitions without a training table: labels are the names of folders or of files; and the mask competition."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from compete.config.plugins import load_plugins
from compete.config.registry import find
from compete.errors import DataError
from compete.files.root import IMAGE_EXTENSIONS
from compete.init.extensions import ending_of
from compete.init.findings import Key, Source, Table
from compete.init.paths import find_template
from compete.init.read_head import read_table
from compete.init.scan import Look, refuse_without_images, spread
from compete.init.source_csv import MOST_IMAGES, missing_test
from compete.init.versions import by_hand, doubts_about_folders, naming_table

if TYPE_CHECKING:
    import pandas as pd

# How a file name may carry its label: in front (`cat.0.jpg`), or as a number or a word at its end (`x_1.jpg`).
PATTERNS = (
    r"^(?P<label>[A-Za-z]+(?:[ _-][A-Za-z]+)*)[ ._-]*\d[^/]*$",
    r"[._-](?P<label>\d{1,2})\.\w+$",
    r"[._-](?P<label>[A-Za-z]+)\.\w+$",
)
MOST_LABELS = 1000
# What a folder of unaltered images is called, among folders of altered ones.
PLAIN = ("cover", "normal", "negative", "clean", "original", "healthy", "real", "none", "background", "no")
MASK_LISTING, MASK_INFO = "train/train.csv", "eval/info.csv"


def mask_source(look: Look) -> tuple[Source, Table] | None:
    """Return the rows of the mask competition's layout, a folder of images for each person listed, or None."""
    if not {MASK_LISTING, MASK_INFO} <= set(look.tables):
        return None
    people = read_table(look.files, MASK_LISTING, look.tables[MASK_LISTING])
    sample = read_table(look.files, MASK_INFO, look.tables[MASK_INFO])
    if not {"path", "gender", "age"} <= set(people.columns) or not {"ImageID", "ans"} <= set(sample.columns):
        return None
    tables = find(load_plugins().registry, "datasets", "mask").factory(look.files.root)
    source = Source(
        dataset="mask",
        keys=(),
        train=tables.train.astype(str),
        rows=len(tables.train),
        test=tables.test,
        id_column="id",
        images=tuple(spread(tables.train["image"].tolist(), MOST_IMAGES)),
        label="label",
    )
    return source, sample


def folder_source(look: Look, sample: Table) -> Source:
    """Return the rows that folders or file names label. Raise `DataError` where nothing does."""
    refuse_without_images(look)
    first = sample.columns[0]
    rows = sample.frame[[first]]
    test = find_template(rows, look.images, look.files, "test")
    test_folder = test.template.partition("{")[0].rpartition("/")[0] if test else ""
    images = [path for path in look.images if not test or not path.startswith(f"{test_folder}/")]
    top = label_folder(images)
    train = _in_folders(look, top, test_folder) if top is not None else _in_names(look, images)
    if train is None:
        raise DataError(_nothing(look, sample))
    frame, keys = train
    doubts = doubts_about_folders(look, frame, sample, test is not None) if top is not None else []
    mapped, todo = _mapping(frame, sample)
    seen = sorted(set(map(ending_of, frame["image"])))
    endings = [] if look.endings == IMAGE_EXTENSIONS else [Key("endings", seen, "those that count as images")]
    return Source(
        dataset="folder",
        keys=(
            *(key for key in keys if not (mapped and key.name == "labels")),
            *mapped,
            *endings,
            Key("sample", sample.name),
            *([Key("test", test.template, str(test))] if test else []),
        ),
        train=_relabelled(frame, mapped),
        rows=len(frame),
        test=rows,
        id_column="id",
        images=tuple(spread(frame["image"].tolist(), MOST_IMAGES)),
        label="label",
        used=("id", "image"),
        todo=(*missing_test(test, rows, look), *doubts, *todo),
    )


def _nothing(look: Look, sample: Table) -> str:
    import pandas as pd

    first = sample.columns[0]
    naming = naming_table(look, pd.Series(look.images, dtype=str), sample)
    return (
        f"{look.files.root}: nothing gives the training rows. No table has a column '{first}', or one whose cells name "
        f"images, and no folders or file names hold labels. Images are called, for example, "
        f"{', '.join(spread(look.images, 3)[:3])}; test ids {', '.join(sample.frame[first][:3])}."
    ) + (f" {by_hand(look, naming)}" if naming else "")


def label_folder(images: Sequence[str]) -> str | None:
    """Return the folder ("" for the root) with a folder for each label: one called train, else the highest."""
    below: dict[str, set[str]] = {}
    for path in images:
        parts = path.split("/")[:-1]
        for depth, part in enumerate(parts):
            below.setdefault("/".join(parts[:depth]), set()).add(part)
    several = [folder for folder, names in below.items() if len(names) > 1]
    if not several:
        return None
    return min(several, key=lambda folder: ("train" not in folder.lower(), folder.count("/") + bool(folder), folder))


def _in_folders(look: Look, top: str, test_folder: str) -> tuple[pd.DataFrame, list[Key]]:
    """Return all images below the label folders, and the keys that say so."""
    tests = test_folder.removeprefix(f"{top}/" if top else "") + "/" if test_folder.startswith(top) else "/"
    paths = [path for path in _walk(look, top) if not path.startswith(tests)]
    frame = _frame(top, paths, [path.partition("/")[0] for path in paths])
    names = sorted(frame["label"].unique())
    why = f"{len(frame)} images in {len(names)} folders, one for each label"
    keys = [Key("train", top or ".", why)]
    if not top:
        keys.append(Key("labels", {name: name for name in names}))
    return frame, keys


def _walk(look: Look, top: str) -> list[str]:
    """Return the images below a folder that lie in a folder of their own."""
    return [p for p in look.files.walk(top) if "/" in p and look.is_image(p)]


def _in_names(look: Look, images: Sequence[str]) -> tuple[pd.DataFrame, list[Key]] | None:
    """Return all images of the largest folder whose file names hold labels, and the keys that say so."""
    folders = Counter(path.rpartition("/")[0] for path in images)
    for folder, _ in sorted(folders.items(), key=lambda item: ("train" not in item[0].lower(), -item[1])):
        names = [name for name in look.files.list(folder) if look.is_image(name)]
        for pattern in PATTERNS:
            labels = _labels(names, pattern)
            if labels:
                why = f"file names such as {names[0]} hold {len(set(labels))} labels"
                return _frame(folder, names, labels), [Key("train", folder or "."), Key("pattern", pattern, why)]
    return None


def _labels(names: Sequence[str], pattern: str) -> list[str]:
    """Return the label of every file name, or nothing unless they look like labels: few, and each there often."""
    found = [match["label"] for name in names if (match := re.search(pattern, name))]
    counts = Counter(found)
    if len(found) < len(names) or not 1 < len(counts) <= min(MOST_LABELS, len(names) / 3):
        return []
    return found


def _frame(top: str, paths: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    images = [f"{top}/{path}" if top else path for path in paths]
    return pd.DataFrame({"id": list(paths), "image": images, "label": list(labels)}, dtype=str)


def _mapping(frame: pd.DataFrame, sample: Table) -> tuple[tuple[Key, ...], tuple[str, ...]]:
    """Return a mapping of more than two label folders to 0 and 1, where the submission holds one number."""
    labels = sorted(frame["label"].unique())
    cells = sample.frame.iloc[:, 1] if len(sample.columns) == 2 else sample.frame.iloc[:0, 0]
    numeric = bool(len(cells)) and bool(cells.str.fullmatch(r"[\d.]+").all())
    if not numeric or len(labels) < 3 or any(re.fullmatch(r"[\d.]+", label) for label in labels):
        return (), ()
    negative = next((label for word in PLAIN for label in labels if label.lower() == word), labels[0])
    mapping = {label: "0" if label == negative else "1" for label in labels}
    return (Key("labels", mapping, "the submission asks for one number, so the folders are taken for no and yes"),), (
        f"[dataset] labels: '{negative}' is taken for 0 and all other folders for 1; is that what is asked?",
    )


def _relabelled(frame: pd.DataFrame, mapped: Sequence[Key]) -> pd.DataFrame:
    return frame.assign(label=frame["label"].map(mapped[0].value)) if mapped else frame
