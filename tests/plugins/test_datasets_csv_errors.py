from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compete import DataError, Tables
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.datasets import csv


def put(root: Path, path: str, text: str | bytes = b"") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def put_images(root: Path, *paths: str) -> None:
    for path in paths:
        put(root, path)


@pytest.fixture(autouse=True)
def work_outside_the_project(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache lies in the working directory."""
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "train.csv", "image_name,patient,site,target\n007,p1,head,NA\n008,p1,,0\n010,p2,None,1\n")
    put(tmp_path, "sample_submission.csv", "image_name,target\n101,0\n100,0\n")
    put_images(tmp_path, *(f"train/{name}.jpg" for name in ("007", "008", "010")), "test/100.jpg", "test/101.jpg")
    return tmp_path


def read(root: Path, **options: Any) -> Tables:
    options = {"image": "train/{id}.jpg", "test_image": "test/{id}.jpg"} | options
    return csv(root, **options)


# --- how tables are written ------------------------------------------------------------------------------------


def test_byte_order_mark_separator_and_encoding(root: Path) -> None:
    put(root, "train.csv", b"\xef\xbb\xbfimage_name,target\n007,1\n")
    assert read(root).train["target"].tolist() == ["1"]
    put(root, "train.csv", "image_name;target\n007;blé,noir\n".encode("latin-1"))
    put(root, "sample_submission.csv", "image_name;target\n100;0\n")
    assert read(root, separator=";", encoding="latin-1").train["target"].tolist() == ["blé,noir"]
    with pytest.raises(
        DataError, match=r"line 2: not UTF-8\. It may read 'blé' in cp1252\. .* encoding = \"cp1252\"\."
    ):
        read(root, separator=";")
    with pytest.raises(DataError, match=r'encoding = "utf-9": unknown encoding'):
        read(root, encoding="utf-9")


def test_a_byte_order_mark_of_another_encoding_is_recognised(root: Path) -> None:
    put(root, "train.csv", "image_name,target\n007,1\n".encode("utf-16"))
    assert read(root).train["target"].tolist() == ["1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_name,target\n007,1\n008,1,2\n", "train.csv, line 3: 3 cells where the header has 2"),
        ("image_name,target\n007,1,2\n008,1,2\n", "train.csv, line 2: 3 cells where the header has 2"),
        ('image_name,target\n"a\nb",1\n\n008\n', "train.csv, line 5: 1 cells where the header has 2"),
        (
            'image_name,target\n007,1\n\n008,"1\n009,1\n',
            r"train.csv, line 4: a quote .* is opened here and never closed",
        ),
        ("image_name;target\n007;1,5\n", r"train.csv: .* separated by ';', not by ','\. .* separator = \";\""),
        ("image_name\ttarget\n007\t1\n", r"'image_name\\ttarget': .* by a tab, .* separator = \"\\t\""),
        ("", "train.csv is empty"),
        ("image_name,target\n", "train.csv has a header but no rows"),
    ],
)
def test_ragged_rows_are_named_with_their_line(root: Path, text: str, message: str) -> None:
    put(root, "train.csv", text)
    with pytest.raises(DataError, match=message):
        read(root)


def test_a_trailing_separator_is_an_empty_cell(root: Path) -> None:
    put(root, "train.csv", "image_name,target\n007,\n")
    assert read(root).train["target"].tolist() == [""]


# --- what can be wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "trian.csv"}, r"no such file: 'trian.csv' in .*\. Did you mean 'train.csv'\? There is: "),
        ({"sample": "sample.csv"}, r"no such file: 'sample.csv'"),
        ({"id": "image_nam"}, r"id = 'image_nam': train.csv has no such column\. Did you mean 'image_name'\?"),
        ({"group": "pateint"}, r"group = 'pateint': train.csv has no such column\. Did you mean 'patient'\?"),
        ({"group": "{pateint}"}, r"'{pateint}': unknown column 'pateint'\. Did you mean 'patient'\?"),
        ({"drop": ("sites",)}, r"drop = 'sites': train.csv has no such column\. Did you mean 'site'\?"),
        ({"image": "train/{name}.jpg"}, r"image = 'train/{name}.jpg': unknown column 'name'"),
        ({"test_image": "{site}/{id}"}, r"test_image = '{site}/{id}': unknown column 'site'"),
    ],
)
def test_wrong_names_are_told_with_the_nearest(root: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(root, **options)


def test_both_templates_are_told_at_once(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(root, image="{a}", test_image="{b}")
    starts = [problem.partition(" = ")[0] for problem in caught.value.problems]
    assert starts == ["train.csv: image", "sample_submission.csv: test_image"]


def test_an_id_that_the_sample_does_not_name_must_be_set(root: Path) -> None:
    put(root, "sample_submission.csv", "Id,Category\n100,0\n")
    with pytest.raises(DataError, match=r"id \(not set, .*first column\) = 'Id': train.csv has no such column"):
        read(root)


def test_no_sample_or_several_must_be_named(root: Path) -> None:
    put(root, "sample_submission_v2.csv", "a,b\n")
    with pytest.raises(DataError, match=r"several could be it: sample_submission.csv, sample_submission_v2.csv"):
        read(root)
    for path in root.glob("sample*"):
        path.unlink()
    with pytest.raises(DataError, match=r"no sample submission is named, and there is: test, train, train.csv"):
        read(root)


def test_a_sample_that_repeats_ids_is_no_matter_of_training_rows(root: Path) -> None:
    put(root, "sample_submission.csv", "image_name,target\n101,0\n100,0\n101,0\n")
    with pytest.raises(DataError) as caught:
        read(root)
    (problem,) = caught.value.problems
    assert problem.startswith(
        "sample_submission.csv: 1 id in several rows: '101' in rows 1, 3 (counted without the header)"
    )
    put(root, "test.csv", "image_name\n100\n101\n")
    with pytest.raises(DataError, match="'101' in rows 1, 3"):
        read(root, test="test.csv")
    assert read(root, duplicates="first").test["id"].tolist() == ["101", "100"]
    put(root, "test.csv", "image_name\n101\n101\n")
    with pytest.raises(DataError, match=r"test.csv: 1 rows repeat .* With duplicates = 'first' one row of each"):
        read(root, test="test.csv")


def test_empty_ids_are_refused(root: Path) -> None:
    put(root, "train.csv", "image_name,target\n007,1\n,1\n")
    with pytest.raises(DataError, match=r"train.csv: 1 rows have an empty id, the first is row 2"):
        read(root)


def test_an_archive_with_several_tables_must_be_named(root: Path) -> None:
    with zipfile.ZipFile(root / "tables.csv.zip", "w") as archive:
        archive.writestr("a.csv", "")
        archive.writestr("b.csv", "")
    with pytest.raises(DataError, match=r"tables.csv.zip holds several files: a.csv, b.csv"):
        read(root, train="tables.csv")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "image: is required and missing"),
        ({"image": "train/{id"}, "image = 'train/{id': '{' has no partner"),
        ({"image": "{id}", "test_image": "}"}, "test_image = '}': '}' has no partner"),
        ({"image": "{id}", "group_pattern": "("}, "group_pattern = '(' is not a regular expression"),
        ({"image": "{id}", "group_pattern": "a"}, "group_pattern needs group"),
        ({"image": "{id}", "duplicates": "keeep"}, "Did you mean 'keep'?"),
        ({"image": "{id}", "separator": "::"}, "separator"),
        ({"image": "{id}", "smaple": "x"}, "Did you mean 'sample'?"),
    ],
)
def test_options_are_checked_when_the_toml_is_read(table: dict[str, Any], message: str) -> None:
    bound, problems = bind(Component("datasets", "csv", csv, "test"), table, "[dataset]")
    assert any(message in str(problem) for problem in problems), problems
    assert bound is None or bound.name == "csv"


def test_a_hundred_thousand_rows_are_looked_up_at_once(root: Path) -> None:
    ids = np.arange(100_000).astype(str)
    pd.DataFrame({"image_name": ids, "target": "1"}).to_csv(root / "train.csv", index=False)
    with pytest.raises(DataError, match=r"99999 of 100000 .*Missing: train/0.jpg, train/1.jpg"):
        put(root, "train/7.jpg")
        read(root)


@pytest.mark.parametrize(
    "train",
    [
        "image_name,target\n007,NA,\n008,0,\n010,1,\n",  # a separator ends every row but the header's
        "image_name,target\r\n007,NA\r\n008,0\r\n010,1\r\n,\r\n,\r\n",  # a spreadsheet's empty rows
    ],
)
def test_what_spreadsheets_leave_behind_is_not_data(root, train):
    put(root, "train.csv", train)
    table = read(root).train
    assert table["id"].tolist() == ["007", "008", "010"]
    assert table["target"].tolist() == ["NA", "0", "1"]


def test_a_separator_that_ends_some_rows_only_is_refused(root):
    put(root, "train.csv", "image_name,target\n007,NA,\n008,0\n010,1,\n")
    with pytest.raises(DataError, match=r"train\.csv, line 2: 3 cells where the header has 2\."):
        read(root)
    put(root, "train.csv", "image_name,target\n007,NA,\n008,0,more\n")
    with pytest.raises(DataError, match=r"train\.csv, line 2: 3 cells"):
        read(root)


def test_an_ending_that_the_template_lacks_is_named(root):
    with pytest.raises(
        DataError, match=r"They end in \.jpg: write 'train/\{id\}\.jpg', or, .* 'train/\{id\[:-4\]\}\.jpg'\."
    ):
        read(root, image="train/{id}")
    put(root, "train.csv", "image_name,target\n007.png,NA\n008.png,0\n010.png,1\n")
    assert read(root, image="train/{id[:-4]}.jpg").train["image"].tolist()[0] == "train/007.jpg"  # as it is typed
