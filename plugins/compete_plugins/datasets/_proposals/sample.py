"""Which table is the sample submission, and how to write one for class folders that come without."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from compete.errors import DataError
from compete.init.naming import name_words
from compete.init.source_folder import label_folder
from compete.text import format_list

if TYPE_CHECKING:
    from compete.init.scan import Look

TEST_WORDS = ("test", "eval", "valid", "validation")
SHOWN_ROWS = 2


def sample_name(look: Look) -> str:
    """Return the sample submission among the tables: the one that is called so, the shortest name first."""
    for pattern in ("samplesubmission", "submission"):
        found = [name for name in look.tables if pattern in re.sub(r"[\W_]", "", name.rpartition("/")[2].lower())]
        if found:
            return min(found, key=lambda name: (name.count("/"), len(name)))
    there = f"The tables there are {format_list(look.tables)}." if look.tables else "There is no table at all."
    raise DataError(
        [
            f"{look.files.root} has no sample submission, a table with 'submission' in its name, which says what to "
            f"predict and in which form. {there}",
            *_how_to_write_one(look),
            *look.closed,
        ]
    )


def _how_to_write_one(look: Look) -> list[str]:
    """Return how a sample submission begins, where folders name the classes and one holds the test images."""
    test, folder = _test_images(look.images)
    top = label_folder([path for path in look.images if path not in test])
    if not test or top is None:
        return []
    below = [path.removeprefix(f"{top}/" if top else "") for path in look.images if path not in test]
    label = min(path.partition("/")[0] for path in below if "/" in path)
    text = io.StringIO()
    rows = [[path.removeprefix(f"{folder}/"), label] for path in sorted(test)[:SHOWN_ROWS]]
    csv.writer(text, lineterminator="\n").writerows([["id", "label"], *rows])
    return [
        f"Write a sample_submission.csv there, with a row for each image in {folder} and any label, such as "
        f"'{label}', and run `compete init` again. It begins:\n{text.getvalue().rstrip()}"
    ]


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
