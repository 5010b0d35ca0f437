"""Datasets without a sample submission, said in so many words, and without a test set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compete import DataError, Tables
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.datasets import coco, csv, folder


@pytest.fixture
def root(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Class folders, tables and JSON of the same images, and a folder of test images."""
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    for path in ("train/7.png", "train/8.png", "te {st}/1.png", "te {st}/a/2.PNG", "te {st}/.t/3.png", "te {st}/n.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    (tmp_path / "train.csv").write_text("name,label\n7.png,a\n8.png,b\n")
    (tmp_path / "test.csv").write_text("name,label\n7.png,\n")
    images = [{"id": n, "file_name": f"{n}.png"} for n in (7, 8)]
    marks = [{"id": n, "image_id": n, "category_id": n} for n in (7, 8)]
    (tmp_path / "train.json").write_text(json.dumps({"images": images, "annotations": marks}))
    (tmp_path / "test.json").write_text(json.dumps({"images": images[:1]}))
    return tmp_path


def of_csv(root: Path, **options: Any) -> Tables:
    return csv(root, **({"image": "train/{name}", "id": "name"} | options))


def of_coco(root: Path, **options: Any) -> Tables:
    return coco(root, train="train.json", image="train/{file_name}", **options)


Read = Callable[..., Tables]


@pytest.mark.parametrize("read", [of_csv, of_coco])
def test_none_is_said_and_never_assumed(root: Path, read: Read) -> None:
    with pytest.raises(DataError, match=r'no sample submission is named, .*if there is none, set sample = "none"'):
        read(root)
    tables = read(root, sample="none")
    assert len(tables.train) == 2 and not tables.has_test
    assert (list(tables.sample.columns), len(tables.sample)) == (["id", "label"], 0)


@pytest.mark.parametrize(("read", "test", "id"), [(of_csv, "test.csv", "7.png"), (of_coco, "test.json", "7")])
def test_each_row_of_a_test_table_is_predicted(root: Path, read: Read, test: str, id: str) -> None:
    tables = read(root, sample="none", test=test)
    assert tables.test[["id", "image"]].to_numpy().tolist() == [[id, "train/7.png"]]
    assert tables.sample.to_numpy().tolist() == [[id, ""]]
    assert "No sample submission: the 1 rows of" in tables.note


@pytest.mark.parametrize("read", [of_csv, of_coco])
def test_a_folder_s_images_are_the_test_rows(root: Path, read: Read) -> None:
    tables = read(root, sample="none", test="te {st}/")
    assert tables.test["image"].tolist() == ["te {st}/1.png", "te {st}/a/2.PNG"]
    assert tables.sample["id"].tolist() == ["1.png", "a/2.PNG"]
    with pytest.raises(DataError, match=r"test = 'tset/': no image below it"):
        read(root, sample="none", test="tset/")


def test_a_test_folder_excludes_what_a_test_table_needs() -> None:
    written = {"image": "{id}.png", "test": "t/", "sample": "none", "test_image": "t/{id}.png"}
    [problem] = bind(Component("datasets", "csv", csv, "test"), written, "[dataset]")[1]
    assert "test: a folder's images are the test rows; leave out test_image" in str(problem)


def test_the_id_is_a_column_called_so_or_must_be_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"id \(not set, and there is no sample submission .*train.csv has no such"):
        of_csv(root, sample="none", id="")
    (root / "train.csv").write_text("id,label\n7,a\n8,b\n")
    assert of_csv(root, sample="none", id="", image="train/{id}.png").train["id"].tolist() == ["7", "8"]


def test_an_empty_test_folder_is_no_test_set(root: Path) -> None:
    for label in "ab":
        (root / f"classes/{label}").mkdir(parents=True)
        (root / f"classes/{label}/1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r'Without a test set: test = ""\.'):
        folder(root, train="classes")
    tables = folder(root, train="classes", test="")
    assert tables.train["label"].tolist() == ["a", "b"] and not tables.has_test
    (root / "sample_submission.csv").write_text("id,label\n1.png,a\n")
    tables = folder(root, train="classes", test="")
    assert not tables.has_test and "sample_submission.csv is not read, since test is empty" in tables.note
    tables = folder(root, train="classes", test="te {st}".replace("{", "{{").replace("}", "}}") + "/{id}")
    assert tables.test["image"].tolist() == ["te {st}/1.png"]
    [problem] = bind(Component("datasets", "folder", folder, "test"), {"test": "", "sample": "s.csv"}, "[dataset]")[1]
    assert 'test = "" says that there is no test set; sample = "s.csv" asks for one' in str(problem)


def test_test_images_below_the_training_folder_are_no_training_rows(root: Path) -> None:
    for path in ("d/train/a/1.png", "d/valid/b/1.png", "d/test/1.png"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_bytes(b"")
    pattern = "^(?:train|valid)/(?P<label>[^/]+)/"
    tables = folder(root, train="d", pattern=pattern, test="d/test")
    assert tables.train["id"].tolist() == ["train/a/1.png", "valid/b/1.png"]
    assert tables.test["image"].tolist() == ["d/test/1.png"]


def test_json_lines_are_a_table(root: Path) -> None:
    rows = [{"name": "7.png", "label": 1, "boxes": [1]}, {"name": "8.png", "label": None}]
    (root / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    tables = of_csv(root, train="rows.jsonl", sample="none")
    assert tables.train[["id", "label", "boxes"]].to_numpy().tolist() == [["7.png", "1", "[1]"], ["8.png", "", ""]]
    (root / "rows.jsonl").write_text('{"name": "7.png"}\n{"name": \n')
    with pytest.raises(DataError, match=r"rows.jsonl, line 2: not valid JSON"):
        of_csv(root, train="rows.jsonl", sample="none")


@pytest.mark.parametrize("cell", ["/kaggle/input/x/train/7.png", "C:\\me\\train\\7.png", "train/7.png"])
def test_a_template_cuts_the_paths_of_another_machine(root: Path, cell: str) -> None:
    (root / "train.csv").write_text(f"name,label\n{cell},a\n/x/y/train/8.png,b\n")
    assert of_csv(root, sample="none", image="{name[/-2:]}").train["image"].tolist() == ["train/7.png", "train/8.png"]
    assert of_csv(root, sample="none", image="train/{name[/-1]}").train["image"].tolist()[0] == "train/7.png"
