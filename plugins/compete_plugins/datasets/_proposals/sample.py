"""Find the sample submission, and explain how to write one for class folders that come without."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from compete import DataError, Scan, format_list, name_words

from .._heads import Table, read_head
from .._tables import sample_names
from .folder import label_folder

TEST_WORDS = ("test", "eval", "valid", "validation")
EXAMPLE_ROWS = 2


def read_sample(scan: Scan) -> Table:
    """Read the table that is called like a sample submission, the shortest name first. Raise `DataError` for none."""
    names = sample_names(scan.tables) or sample_names(scan.tables, "submission")
    if names:
        name = min(names, key=lambda name: (name.count("/"), len(name)))
        return read_head(scan.files, name, scan.tables[name])
    known = f"The tables there are {format_list(scan.tables)}." if scan.tables else "There is no table at all."
    raise DataError(
        [
            f"{scan.files.root} has no sample submission, a table with 'submission' in its name, which says what to "
            f"predict and in which form. {known}",
            *_how_to_write_one(scan),
        ]
    )


def _how_to_write_one(scan: Scan) -> Iterator[str]:
    """Yield how a sample submission begins, where folders name the classes and one holds the test images."""
    test, folder = _test_images(scan.images)
    top = label_folder([path for path in scan.images if path not in test])
    if not test or top is None:
        return
    below = [path.removeprefix(f"{top}/" if top else "") for path in scan.images if path not in test]
    label = min(path.partition("/")[0] for path in below if "/" in path)
    text = io.StringIO()
    rows = [[path.removeprefix(f"{folder}/"), label] for path in sorted(test)[:EXAMPLE_ROWS]]
    csv.writer(text, lineterminator="\n").writerows([["id", "label"], *rows])
    yield (
        f"Write a sample_submission.csv there, with a row for each image in {folder} and any label, such as "
        f"'{label}', and run `compete init` again. It begins:\n{text.getvalue().rstrip()}"
    )


def _test_images(images: Sequence[str]) -> tuple[set[str], str]:
    """Return the images to be predicted, and the folder that says so by its name."""
    for word in TEST_WORDS:
        for path in images:
            parts = path.split("/")[:-1]
            depth = next((at for at, part in enumerate(parts, 1) if word in name_words(part)), 0)
            if depth:
                folder = "/".join(parts[:depth])
                return {other for other in images if other.startswith(f"{folder}/")}, folder
    return set(), ""
