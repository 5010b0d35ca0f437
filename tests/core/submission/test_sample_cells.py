"""The sample's cells are compared with those that would be written: never another kind without a word."""

from __future__ import annotations

import re
import unicodedata

import pandas as pd
import pytest

from compete.submission.sample_cells import compare_cells

NFC, NFD = (unicodedata.normalize(form, "crème") for form in ("NFC", "NFD"))


def compared(asked, given, classes=("cat", "dog"), joint=""):
    rows = max(len(asked), len(given))
    frames = [pd.DataFrame({"id": range(rows), "label": (cells * rows)[:rows]}) for cells in (given, asked)]
    return compare_cells(*frames, classes, joint)


@pytest.mark.parametrize(
    ("asked", "given", "classes", "warning"),
    [
        (["0"], ["cat", "dog"], ("cat", "dog"), "are integers ('0'), but names .* 0 cat, 1 dog"),
        (["0.5"], ["cat", "dog"], ("cat", "dog"), "are fractions ('0.5'), but labels .*\"positive\""),
        (["0.5"], [0, 1], ("0", "1"), "are fractions ('0.5'), but labels would be written ('0')"),
        (["cat"], [0, 1], ("0", "1"), "are names ('cat'), but integers"),
        (["cat"], [0.7, 0.1], ("dog",), "are names ('cat'), but numbers would be .* name = \"label\""),
        (["Cat"], ["cat", "dog"], ("cat", "dog"), "are no label of the training rows: Cat. Did you mean 'cat'"),
        ([NFC], [NFD, "chat"], (NFD, "chat"), "in another Unicode form (NFC or NFD)"),
    ],
)
def test_another_kind_is_a_warning_with_its_cure(asked, given, classes, warning):
    found = compared(asked, given, classes)
    assert found.problems == [] and len(found.warnings) == 1
    pattern = ".*".join(map(re.escape, warning.split(" .* " if " .* " in warning else ".*")))
    assert re.search(pattern, found.warnings[0]), found.warnings


@pytest.mark.parametrize(
    ("asked", "given", "joint"),
    [
        (["cat"], ["dog"], ""),
        ([""], ["dog"], ""),
        (["0"], [0.25], ""),  # a placeholder for a probability
        (["0.5"], [0.25], ""),
        (["1"], [0], ""),
        (["cat dog"], ["dog"], " "),
        (["dog|cat"], ["cat"], "|"),
        (["unknown cat"], ["dog"], " "),
    ],
)
def test_cells_of_one_kind_say_nothing(asked, given, joint):
    found = compared(asked, given, joint=joint)
    assert (found.problems, list(found.warnings)) == ([], [])


@pytest.mark.parametrize(
    ("cell", "joint", "other"), [("cat|dog", " ", "|"), ("cat dog", "|", " "), ("cat, dog", ",", ", ")]
)
def test_labels_that_the_sample_joins_otherwise_are_a_problem(cell, joint, other):
    (problem,) = compared([cell], ["cat"], joint=joint).problems
    assert f'Set [submission] separator = "{other}"' in problem


def test_a_name_with_the_separator_inside_is_one_label():
    assert compared(["red fox"], ["elk"], ("red fox", "elk"), "|").problems == []
