"""Path templates over the columns of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compete import DataError
from compete.files.root import Files, path_template
from file_fixtures import write

TABLE = pd.DataFrame(
    {"id": ["abc", "xyz"], "path": ["p/q", "r"], "CVC - Normal": ["1", "0"], "number": [7, 12]}, index=[5, 9]
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("train/{id}.jpg", ["train/abc.jpg", "train/xyz.jpg"]),
        ("train/{id[0]}/{id}.npy", ["train/a/abc.npy", "train/x/xyz.npy"]),
        ("{id[-1]}{id[0:2]}{id[1:]}{id[:-1]}", ["cabbcab", "zxyyzxy"]),
        ("{path}/{number}.jpg", ["p/q/7.jpg", "r/12.jpg"]),
        ("{CVC - Normal}/{{{id}}}", ["1/{abc}", "0/{xyz}"]),
        ("{path[/-1]}/{path[/-2:]}/{path[/0]}", ["q/p/q/p", "r/r/r"]),
        ("fixed.jpg", ["fixed.jpg", "fixed.jpg"]),
    ],
)
def test_templates_fill_columns_and_parts_of_them(files: Files, template: str, expected: list[str]) -> None:
    assert path_template(template, TABLE.columns).apply(TABLE, files) == expected
    assert path_template(template).fill(TABLE).index.tolist() == [5, 9]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("train/{id.jpg", "'train/{id.jpg': '{' has no partner"),
        ("train/id}.jpg", "'}' has no partner"),
        ("{}", r"'\{\}' is not a column"),
        (
            "{id[}",
            r"'\{id\[\}' is not a column or a slice of one, such as \{id\}, \{id\[0\]\}, \{id\[0:2\]\} or, of a path",
        ),
        ("{id[/]}", "is not a column or a slice of one"),
        ("{id[a]}", "is not a column or a slice of one"),
        ("{id[0:1:2]}", "is not a column or a slice of one"),
    ],
)
def test_bad_templates_are_explained(template: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        path_template(template)


def test_unknown_columns_are_all_named_with_the_nearest() -> None:
    with pytest.raises(DataError) as caught:
        path_template("{pth}/{Id}/{nothing}.jpg", TABLE.columns)
    assert "unknown column 'pth'. Did you mean 'path'?" in caught.value.problems[0]
    assert "unknown column 'Id'. Did you mean 'id'?" in caught.value.problems[1]
    assert len(caught.value.problems) == 3


def test_an_unknown_extension_is_found_in_the_listing(root: Path, files: Files) -> None:
    for name in ("a/1.2.3.jpg", "a/1.2.png", "b/1.2.JPEG", "b/1.2.txt", "b/noending"):
        write(root, name)
    table = pd.DataFrame({"folder": list("aabbb"), "id": ["1.2.3", "1.2", "1.2", "noending", "9"]})
    assert path_template("{folder}/{id}.*").apply(table, files) == [
        "a/1.2.3.jpg",
        "a/1.2.png",
        "b/1.2.JPEG",
        "b/noending",
        "b/9.*",
    ]
    assert path_template("{id}.*").apply(table[:1], files) == ["1.2.3.*"]


def test_an_ambiguous_extension_is_an_error(root: Path, files: Files) -> None:
    for name in ("1.jpg", "1.png", "1.txt"):
        write(root, f"train/{name}")
    with pytest.raises(DataError, match=r"'train/1.\*' matches several files: 1.jpg, 1.png"):
        path_template("train/{id}.*").apply(pd.DataFrame({"id": ["1"]}), files)


def test_listing_once_for_a_hundred_thousand_rows(root: Path, files: Files, listed: list[str]) -> None:
    write(root, "train/7.jpg")
    table = pd.DataFrame({"id": np.arange(100_000).astype(str)})
    paths = path_template("train/{id}.*").apply(table, files)
    assert paths[6:8] == ["train/6.*", "train/7.jpg"]
    assert listed == ["train"]
