"""The table of data size and similarity: which case, what is advised, and a user's word against a guess."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compete.advice.facts import Facts
from compete.advice.transfer import find_cell, finetune, table_lines

PHOTOS = Facts(rows=2_000, kind="label", metric="accuracy", side=224, counts={"a": 1_000, "b": 1_000})


def advised(facts: Facts) -> dict[str, object]:
    return {key.name: key.value for key in finetune(facts).keys}


@pytest.mark.parametrize(
    ("rows", "classes", "similar", "wanted"),
    [
        (2_000, 2, True, {"backbone_lr_ratio": 1.0}),
        (2_000, 2, False, {"backbone_lr_ratio": 1.0}),
        (2_000, 100, True, {"backbone_lr_ratio": 0.1}),
        (2_000, 100, False, {"backbone_lr_ratio": 0.5}),
        (120, 3, True, {"freeze": "backbone"}),
        (120, 3, False, {"backbone_lr_ratio": 0.5}),
        (300_000, 10, True, {"backbone_lr_ratio": 1.0}),
    ],
)
def test_rows_and_similarity_decide(rows, classes, similar, wanted):
    facts = replace(PHOTOS, rows=rows, counts={str(n): rows // classes for n in range(classes)}, similar=similar)
    assert advised(facts) == wanted


def test_the_user_s_word_counts_more_than_the_guess():
    chest = replace(PHOTOS, words=frozenset({"chest", "xray"}))
    assert not find_cell(chest).similar
    assert find_cell(replace(chest, similar=True)).similar
    assert not find_cell(replace(PHOTOS, similar=False)).similar
    assert not find_cell(replace(PHOTOS, channels=4)).similar


def test_one_line_of_the_table_is_marked_and_it_is_the_case_that_is_advised():
    lines = table_lines(replace(PHOTOS, similar=False))
    [marked] = [line for line in lines if line.startswith("->")]
    assert "enough" in marked and " no " in marked and "everything at one rate" in marked and len(lines) == 5


def test_numbers_have_no_classes_and_are_advised_by_their_rows():
    assert advised(replace(PHOTOS, kind="regression", counts={})) == {"backbone_lr_ratio": 1.0}
