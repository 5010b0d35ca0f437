"""Classes that a file lists."""

from __future__ import annotations

import pandas as pd
import pytest

from compete import DataError
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.targets import label, register_targets, tokens

ANIMALS = pd.DataFrame({"id": ["1", "2"], "label": ["cat", "ape"]})
SETS = pd.DataFrame({"id": ["1", "2"], "labels": ["7 12", "3"]})


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("\ufeffdog\ncat \n\nNA\nape\n")
    (tmp_path / "attributes.csv").write_text("attribute_id,attribute_name\n12,tag::man\n3,tag::NA\n7,tag::ship\n9,\n")
    (tmp_path / "twice.txt").write_text("cat\ndog\ncat\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2,3\n1,2,3,4\n")


def test_a_file_gives_a_class_in_each_line():
    target = label(ANIMALS, classes="names.txt")
    assert target.classes == ("dog", "cat", "NA", "ape")
    assert target.encode(ANIMALS).tolist() == [1, 3]


def test_a_column_of_a_table_gives_the_classes():
    target = tokens(SETS, classes="attributes.csv#attribute_id")
    assert target.classes == ("12", "3", "7", "9")
    assert target.encode(SETS).tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("nams.txt", r"classes = 'nams.txt': the file cannot be read: .*No such file"),
        ("twice.txt", r"classes = 'twice.txt': the file lists cat twice"),
        ("empty.txt", r"classes = 'empty.txt': the file lists no classes"),
        ("ragged.csv#a", r"classes = 'ragged.csv#a': the file cannot be read: .*line 3"),
        ("attributes.csv#attribute", r"unknown column. Did you mean 'attribute_id'\? Columns: attribute_id"),
        ("attributes.csv#attribute_name", r"column 'label' holds 'cat', which is not a class"),
    ],
)  # fmt: skip
def test_bad_files_are_explained(classes, message):
    with pytest.raises(DataError, match=message):
        label(ANIMALS, classes=classes)


def test_an_empty_name_is_refused_when_the_toml_is_read():
    _, problems = bind(Component("targets", "label", register_targets()["label"], "test"), {"classes": ""}, "[target]")
    assert [p.message for p in problems] == ["classes is empty: list the classes, or name a file that does."]


def test_another_separator_than_the_one_given_is_recognised():
    cells = ["scab,rust", "rust", "scab,rust", "healthy"]
    train = pd.DataFrame({"id": list("abcd"), "labels": cells})
    with pytest.raises(DataError, match=r"holds the separator ' ', but 2 of 4 hold ',', the first 'scab,rust'\. Set"):
        tokens(train)
    assert tokens(train, separator=",").classes == ("healthy", "rust", "scab")
    assert len(tokens(train, classes=["healthy", "rust", "scab,rust"]).classes) == 3
    spaced = pd.DataFrame({"id": list("abcd"), "labels": ["a,b c", "c", "a,b", "c"]})
    assert tokens(spaced).classes == ("a,b", "c")
