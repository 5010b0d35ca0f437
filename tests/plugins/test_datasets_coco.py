from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from compete import DataError, Tables
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.datasets import coco

IMAGES: list[dict[str, Any]] = [
    {"id": 7, "file_name": "images/a/7.jpg", "location": 4, "width": None},
    {"id": "x-8", "file_name": "images/a/8.jpg", "location": 5, "note": "blé"},
    {"id": 9, "file_name": "images/b/9.jpg", "location": 5},
]
ANNOTATIONS: list[dict[str, Any]] = [
    {"id": 0, "image_id": 9, "category_id": 31},
    {"id": 1, "image_id": 7, "category_id": 0},
    {"id": 2, "image_id": "x-8", "category_id": 31},
]
TEST: list[dict[str, Any]] = [{"id": 1, "file_name": "images/1.jpg"}, {"id": 0, "file_name": "images/0.jpg"}]


def put_json(root: Path, path: str, data: Any, encoding: str = "utf-8") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(json.dumps(data, ensure_ascii=False), encoding=encoding)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put_json(tmp_path, "train.json", {"images": IMAGES, "annotations": ANNOTATIONS, "categories": []})
    put_json(tmp_path, "test.json", {"images": TEST})
    (tmp_path / "sample_submission.csv").write_text("Id,Predicted\n0,0\n1,0\n")
    for path in ["train/" + str(image["file_name"]) for image in IMAGES] + ["test/images/0.jpg", "test/images/1.jpg"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    return tmp_path


def read(root: Path, **options: Any) -> Tables:
    defaults: dict[str, Any] = {
        "train": "train.json",
        "test": "test.json",
        "image": "train/{file_name}",
        "test_image": "test/{file_name}",
    }
    return coco(root, **(defaults | options))


def test_images_are_joined_with_their_labels(root: Path) -> None:
    tables = read(root, group="location")
    assert tables.train.to_dict("list") == {
        "id": ["7", "x-8", "9"],
        "image": ["train/images/a/7.jpg", "train/images/a/8.jpg", "train/images/b/9.jpg"],
        "file_name": ["images/a/7.jpg", "images/a/8.jpg", "images/b/9.jpg"],
        "location": ["4", "5", "5"],
        "width": ["", "", ""],
        "note": ["", "blé", ""],
        "category_id": ["0", "31", "31"],
        "group": ["4", "5", "5"],
    }
    assert tables.test[["id", "image"]].to_numpy().tolist() == [["1", "test/images/1.jpg"], ["0", "test/images/0.jpg"]]
    assert tables.sample["Id"].tolist() == ["0", "1"]
    assert tables.note == ""


def test_other_keys_a_bare_list_and_another_encoding(root: Path) -> None:
    images = [{"image_id": image["id"], **{k: v for k, v in image.items() if k != "id"}} for image in IMAGES]
    annotations = [{"photo": row["image_id"], "species": row["category_id"]} for row in ANNOTATIONS]
    put_json(root, "train.json", {"photos": images, "labels": annotations}, "latin-1")
    put_json(root, "test.json", [{"image_id": row["id"], "file_name": row["file_name"]} for row in TEST])
    keys = {"images_key": "photos", "annotations_key": "labels", "id_key": "image_id", "image_id_key": "photo"}
    tables = read(root, label_key="species", encoding="latin-1", **keys)
    assert tables.train["species"].tolist() == ["0", "31", "31"]
    assert tables.train["note"].tolist()[1] == "blé"
    assert tables.test["id"].tolist() == ["1", "0"]
    with pytest.raises(DataError, match=r"train.json, line 1: not UTF-8\. It may read 'blé' in cp1252\."):
        read(root, **keys)


def test_without_a_test_file_the_sample_names_the_rows(root: Path) -> None:
    assert read(root, test="", test_image="test/images/{id}.jpg").test["image"].tolist() == [
        "test/images/0.jpg",
        "test/images/1.jpg",
    ]


def test_several_files_and_images_that_are_missing(root: Path) -> None:
    more = {"images": [{"id": 10, "file_name": "none.jpg"}], "annotations": [{"image_id": 10, "category_id": 5}]}
    with zipfile.ZipFile(root / "val.json.zip", "w") as archive:
        archive.writestr("val.json", json.dumps(more))
    with pytest.raises(DataError, match=r"1 of 4 train.json, val.json rows have no image .*Missing: train/none.jpg"):
        read(root, train=("train.json", "val.json"))
    tables = read(root, train=("train.json", "val.json"), missing_images="skip")
    assert tables.train["id"].tolist() == ["7", "x-8", "9"]
    assert tables.note == "1 of 4 training rows (25.0%) left out: no image: 10."


def test_annotations_that_agree_are_one_label(root: Path) -> None:
    put_json(root, "train.json", {"images": IMAGES, "annotations": ANNOTATIONS * 2})
    assert read(root).train["category_id"].tolist() == ["0", "31", "31"]


@pytest.mark.parametrize(("policy", "expected"), [("first", "31"), ("join", "31 4")])
def test_annotations_that_disagree_by_policy(root: Path, policy: str, expected: str) -> None:
    put_json(root, "train.json", {"images": IMAGES, "annotations": [*ANNOTATIONS, {"image_id": 9, "category_id": 4}]})
    with pytest.raises(DataError, match=r"train.json: 1 annotations give .* earlier one: 9\. Set several_labels"):
        read(root)
    tables = read(root, several_labels=policy)
    assert tables.train["category_id"].tolist() == ["0", "31", expected]
    assert tables.note.startswith("1 of 3 images of train.json (33.3%) with several labels, ")
    assert tables.note.endswith(": 9.")


def test_images_without_a_label_are_counted(root: Path) -> None:
    put_json(root, "train.json", {"images": IMAGES, "annotations": ANNOTATIONS[:2]})
    (root / "train/images/a/7.jpg").unlink()
    tables = read(root, missing_images="skip")
    assert tables.train["id"].tolist() == ["9"]
    assert tables.note == (
        "1 of 3 images of train.json (33.3%) left out: no annotation: x-8. "
        "1 of 2 training rows (50.0%) left out: no image: 7."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "tran.json"}, r"no such file: 'tran.json' .* Did you mean 'train.json'\?"),
        (
            {"images_key": "image"},
            r"images_key = 'image': train.json has no such key\. Did you mean 'images'\?",
        ),
        ({"annotations_key": "notes"}, r"annotations_key = 'notes': train.json has no such key"),
        ({"id_key": "ids"}, r"id_key = 'ids': train.json: images has no such column\. Did you mean 'id'\?"),
        (
            {"image_id_key": "imageid"},
            r"image_id_key = 'imageid': .* Did you mean 'image_id'\?",
        ),
        ({"label_key": "category"}, r"label_key = 'category': .* Did you mean 'category_id'\?"),
        ({"image_id_key": "id"}, r"no annotation's 'id' is the 'id' of an image: 0, 1, 2 against 7, x-8, 9"),
        ({"image": "train/{filename}"}, r"image = 'train/{filename}': .* Did you mean 'file_name'\?"),
        ({"group": "place"}, r"group = 'place': train.json has no such column"),
    ],
)
def test_what_is_not_there_is_explained(root: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(root, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [\n{"id": 1},]}', "train.json, line 2: not valid JSON"),
        ('{"images": [], "annotations": []}', "train.json: images: not a list of objects, or an empty one"),
        ('{"images": {"id": 1}, "annotations": []}', "train.json: images: not a list of objects"),
        ("7", "train.json: images: not a list of objects"),
    ],
)
def test_broken_json_is_explained(root: Path, text: str, message: str) -> None:
    (root / "train.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read(root)


def test_all_problems_are_told_at_once(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(root, train="a.json", test="b.json", sample="c.csv")
    found = [problem.split("'")[1] for problem in caught.value.problems]
    assert found == ["a.json", "c.csv", "b.json"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"train": "a"}, "image: is required"),
        ({"train": ["a", "b"], "image": "{"}, "image = '{': '{' has no partner"),
        ({"train": "a", "image": "{a}", "group_pattern": "a"}, "group_pattern needs group"),
    ],
)
def test_options_are_checked_when_the_toml_is_read(table: dict[str, Any], message: str) -> None:
    _, problems = bind(Component("datasets", "coco", coco, "test"), table, "[dataset]")
    assert any(message in str(problem) for problem in problems), problems
