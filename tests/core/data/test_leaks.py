"""Rows that show one image are found, directly or through others, and what is said of them is true of the folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from compete.data.leaks import image_notes, linked_rows, placeholders, same_content, straddling


def naive(images: list[list[str]], groups: list[int]) -> list[set[int]]:
    """Merge rows until nothing changes."""
    sets = [{row} for row in range(len(images))]
    changed = True
    while changed:
        changed = False
        for one in range(len(images)):
            for other in range(one):
                alike = bool({*images[one]} & {*images[other]}) or groups[one] == groups[other]
                if alike and sets[one] is not sets[other]:
                    merged = sets[one] | sets[other]
                    for row in merged:
                        sets[row] = merged
                    changed = True
    return sets


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 9), min_size=1, max_size=3), st.integers(0, 6)), min_size=2, max_size=9)
)
def test_linked_rows_are_those_that_a_naive_search_finds(rows):
    images = [[f"{number}.png" for number in numbers] for numbers, _ in rows]
    groups = [group for _, group in rows]
    counts = pd.Series([path for paths in images for path in set(paths)]).value_counts()
    linked = linked_rows(images, np.array(groups))
    if counts.max() > 4:
        return  # a placeholder, see below
    if counts.max() < 2:
        assert linked is None
        return
    expected = naive(images, groups)
    for one in range(len(rows)):
        assert {other for other in range(len(rows)) if linked[other] == linked[one]} == expected[one]


def test_an_image_in_many_rows_links_none_and_is_named():
    images = ["no-image.png"] * 12 + [f"{number}.png" for number in range(30)]
    assert linked_rows(images) is None
    (note,) = placeholders(images, pd.Series([f"r{number}" for number in range(42)]))
    assert note.startswith("12 of 42 training rows (28.6%) show one of 1 image") and note.endswith("id r0 (12 rows)")
    assert placeholders(images[11:], pd.Series([f"r{number}" for number in range(31)])) == []


def test_files_with_the_same_bytes_are_one_image_and_unreadable_ones_are_none():
    images = ["a.png", ["b.png", "c.png"], "d.png", "e.png"]
    content = same_content(images, ["x", "y", "x", "", ""])
    assert linked_rows(content).tolist() == [0, 0, 1, 2]


def test_what_is_said_depends_on_the_folds_and_the_labels():
    ids, linked = pd.Series(list("abcd")), np.array([0, 0, 1, 2])
    (together,) = image_notes(linked, ids, np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    assert together.startswith("2 training rows show an image") and together.endswith("stay in one fold: id a and b")
    apart, odd = image_notes(linked, ids, np.array([0, 1, 1, 1]), np.array([[1, 0], [0, 1], [0, 1], [0, 1]]))
    assert "2 of them are in another fold than its other row: id a and b" in apart
    assert odd.startswith("2 training rows show an image that another row shows with another label: id a and b")
    assert straddling(linked, np.array([0, 1, 1, 1])).tolist() == [0, 1]
    assert image_notes(None, ids, linked, linked) == []
