from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import pytest

from compete import DataError, Tables
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


def test_rows_ids_and_images_of_a_plain_competition(root: Path) -> None:
    tables = read(root)
    assert tables.train.to_dict("list") == {
        "id": ["007", "008", "010"],
        "image": ["train/007.jpg", "train/008.jpg", "train/010.jpg"],
        "image_name": ["007", "008", "010"],
        "patient": ["p1", "p1", "p2"],
        "site": ["head", "", "None"],
        "target": ["NA", "0", "1"],
    }
    assert tables.test[["id", "image"]].to_numpy().tolist() == [["101", "test/101.jpg"], ["100", "test/100.jpg"]]
    assert tables.sample.to_dict("list") == {"image_name": ["101", "100"], "target": ["0", "0"]}
    assert tables.note == ""


@pytest.mark.parametrize(
    ("text", "mark", "named", "said"),
    [
        ("고양이강아지", "", "cp949", True),
        ("고양이강아지", "\ufeff", "cp949", True),
        ("고양이강아지", "", "utf-8", False),
        ("cat", "", "cp949", False),
    ],
)
def test_a_table_that_is_utf_8_whatever_is_named_is_said(root: Path, text, mark, named, said) -> None:
    table = (root / "train.csv").read_text().replace("head", text)
    put(root, "train.csv", mark + table)
    tables = read(root, encoding=named)
    assert tables.train["site"][0] == text
    assert ("train.csv is utf-8, and read so, though encoding = 'cp949'" in tables.note) == said


def test_a_test_table_of_its_own_keeps_its_columns_and_order(root: Path) -> None:
    put(root, "test.csv", "image_name,site\n100,arm\n101,leg\n")
    test = read(root, test="test.csv", test_image="test/{image_name}.*").test
    assert test.to_dict("list") == {
        "id": ["100", "101"],
        "image": ["test/100.jpg", "test/101.jpg"],
        "image_name": ["100", "101"],
        "site": ["arm", "leg"],
    }


def test_the_sample_may_call_the_id_otherwise(root: Path) -> None:
    put(root, "sample_submission.csv", "Id,Category\n101,0\n100,0\n")
    tables = read(root, id="image_name", test_image="test/{image_name}.jpg")
    assert tables.test["id"].tolist() == ["101", "100"]
    put(root, "test.csv", "Id,site\n100,arm\n101,leg\n")
    assert read(root, id="image_name", test="test.csv").test["id"].tolist() == ["100", "101"]


@pytest.mark.parametrize("column", ["id", "image"])
def test_columns_called_id_or_image_are_kept(root: Path, column: str) -> None:
    put(root, "train.csv", f"image_name,{column},target\n007,a,0\n008,b,0\n010,c,1\n")
    train = read(root, image="train/{image_name}.jpg").train
    assert train["id"].tolist() == ["007", "008", "010"]
    assert train[f"raw_{column}"].tolist() == ["a", "b", "c"]
    put(root, "train.csv", f"{column},target\n007,0\n008,0\n010,1\n")
    put(root, "sample_submission.csv", f"{column},target\n101,0\n100,0\n")
    for tables in (read(root), read(root, image=f"train/{{{column}}}.jpg", test_image=f"test/{{{column}}}.jpg")):
        assert list(tables.train.columns) == ["id", "image", "target"]
        assert tables.test["image"].tolist() == ["test/101.jpg", "test/100.jpg"]


@pytest.mark.parametrize(
    "name",
    ["sample_submission.csv", "sampleSubmission.csv", "SampleSubmission.csv", "kaggle_sample_submission.csv"],
)
@pytest.mark.parametrize("packing", ["", ".zip", ".gz"])
def test_the_sample_is_found_by_its_name_packed_or_not(root: Path, name: str, packing: str) -> None:
    text = (root / "sample_submission.csv").read_bytes()
    (root / "sample_submission.csv").unlink()
    if packing == ".zip":
        with zipfile.ZipFile(root / f"{name}.zip", "w") as archive:
            archive.writestr(f"deep/{name}", text)
    else:
        put(root, name + packing, gzip.compress(text) if packing else text)
    assert len(read(root).test) == 2


def test_tables_and_images_may_be_packed(root: Path) -> None:
    for folder in ("train", "test"):
        with zipfile.ZipFile(root / f"{folder}.zip", "w") as archive:
            for path in sorted((root / folder).iterdir()):
                archive.writestr(path.name, b"")
                path.unlink()
        (root / folder).rmdir()
    with zipfile.ZipFile(root / "train.csv.zip", "w") as archive:
        archive.writestr("train.csv", (root / "train.csv").read_bytes())
        archive.writestr("readme.txt", b"")
    (root / "train.csv").unlink()
    assert read(root).train["image"].tolist() == ["train/007.jpg", "train/008.jpg", "train/010.jpg"]


def test_the_sample_loses_a_stray_index_but_keeps_repeated_rows(root: Path) -> None:
    put(root, "sample_submission.csv", ",image_name,target\n0,101,0\n1,100,0\n2,101,0\n")
    tables = read(root, duplicates="keep")
    assert tables.sample["image_name"].tolist() == ["101", "100", "101"]
    assert list(tables.sample.columns) == ["image_name", "target"]
    assert tables.test["id"].tolist() == ["101", "100"]


def test_repeated_ids_by_policy(root: Path) -> None:
    put(root, "train.csv", "image_name,target\n007,0\n008,1\n007,2\n007,3\n")
    with pytest.raises(DataError, match=r"train.csv: 2 rows repeat an id of an earlier row: 007\. Set duplicates"):
        read(root)
    kept = read(root, duplicates="keep")
    assert kept.train["id"].tolist() == ["007", "008", "007#2", "007#3"]
    assert kept.train["image"].tolist() == ["train/007.jpg", "train/008.jpg", "train/007.jpg", "train/007.jpg"]
    first = read(root, duplicates="first")
    assert first.train["target"].tolist() == ["0", "1"]
    assert first.note == "2 of 4 training rows (50.0%) left out: repeated id: 007, 007."


def test_missing_images_by_policy(root: Path) -> None:
    (root / "train/008.jpg").unlink()
    with pytest.raises(DataError) as caught:
        read(root)
    (problem,) = caught.value.problems
    assert problem.startswith(
        "image = 'train/{id}.jpg': 1 of 3 train.csv rows have no image (66.7% do). Missing: train/008.jpg. "
        "'train' holds 007.jpg, 010.jpg. "
    )
    assert problem.endswith("Training rows can be left out with missing_images = 'skip'.")
    assert "Did you mean" not in problem  # 007.jpg is another row's image
    tables = read(root, missing_images="skip")
    assert tables.train["id"].tolist() == ["007", "010"]
    assert tables.train.index.tolist() == [0, 1]
    assert tables.note == "1 of 3 training rows (33.3%) left out: no image: 008."


def test_skipping_never_leaves_nothing_and_never_touches_the_test_rows(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        csv(root, image="tran/{id}.jpg", missing_images="skip")
    train, test = caught.value.problems
    assert "3 of 3 train.csv rows have no image (0.0% do)" in train
    assert "There is no folder or archive 'tran'. Did you mean 'train'?" in train
    assert "2 of 2 sample_submission.csv rows have no image" in test
    assert test.endswith("Are the test images elsewhere? Set test_image.")
    with pytest.raises(DataError) as caught:
        read(root, test_image="tset/{id}.jpg", missing_images="skip")
    assert caught.value.problems[0].startswith("test_image = 'tset/{id}.jpg': 2 of 2")


@pytest.mark.parametrize(
    ("options", "groups"),
    [
        ({"group": "patient"}, ["p1", "p1", "p2"]),
        ({"group": "{patient}/{image_name}", "group_pattern": r"^(p\d)/0"}, ["p1", "p1", "p2"]),
        ({"group": "{id[0:2]}"}, ["00", "00", "01"]),
        ({"group": "image_name", "group_pattern": "^.."}, ["00", "00", "01"]),
    ],
)
def test_groups_come_from_a_column_a_template_or_a_pattern(
    root: Path, options: dict[str, Any], groups: list[str]
) -> None:
    assert read(root, **options).train["group"].tolist() == groups


def test_a_column_called_group_is_the_group_unless_another_is_named(root: Path) -> None:
    put(root, "train.csv", "image_name,group,target\n007,a,0\n008,b,0\n010,c,1\n")
    assert read(root).train["group"].tolist() == ["a", "b", "c"]
    assert read(root, group="target").train["group"].tolist() == ["0", "0", "1"]
    assert "raw_group" not in read(root).train
    assert read(root, group="image_name").train["raw_group"].tolist() == ["a", "b", "c"]  # it may hold the labels


def test_groups_stay_with_their_rows_when_others_are_left_out(root: Path) -> None:
    (root / "train/007.jpg").unlink()
    assert read(root, group="patient", missing_images="skip").train["group"].tolist() == ["p1", "p2"]


def test_a_pattern_that_does_not_fit_all_rows_is_an_error(root: Path) -> None:
    with pytest.raises(DataError, match=r"fits 66.7% of the rows of train.csv; not, for example, p2\."):
        read(root, group="patient", group_pattern="p1")


def test_leaks_are_dropped(root: Path) -> None:
    assert "site" not in read(root, drop=("site", "patient")).train.columns


def test_several_images_in_a_row(root: Path) -> None:
    put(root, "train.csv", "image_name,views,target\na,007|008,0\nb,010,1\n")
    put(root, "sample_submission.csv", "image_name,target\n100|101,0\n")
    tables = csv(
        root,
        image="train/{views}.jpg",
        test_image="test/{image_name}.jpg",
        image_separator="|",
    )
    assert tables.train["image"].tolist() == [["train/007.jpg", "train/008.jpg"], ["train/010.jpg"]]
    assert tables.test["image"].tolist() == [["test/100.jpg", "test/101.jpg"]]
    (root / "train/008.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 2 train.csv rows .*Missing: train/008.jpg\. "):
        csv(root, image="train/{views}.jpg", test_image="test/{image_name}.jpg", image_separator="|")


def test_columns_with_several_values_must_agree(root: Path) -> None:
    put(root, "train.csv", "image_name,folder,target\na|b,c|d|e,0\n")
    with pytest.raises(DataError, match="the columns folder, image_name hold different numbers of values"):
        read(root, image="{folder}/{image_name}.jpg", image_separator="|")


def test_cells_are_spelled_another_way_in_both_tables(root: Path) -> None:
    put(root, "test.csv", "image_name,site\n100,head \n101,head\n")
    tables = read(root, test="test.csv", replace={"site": {"head ": "head", "None": "arm"}})
    assert tables.train["site"].tolist() == ["head", "", "arm"]
    assert tables.test["site"].tolist() == ["head", "head"]
    assert tables.note == "2 cells of site replaced: 'head ' by 'head', 'None' by 'arm'."


def test_a_spelling_that_no_cell_has_is_refused(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(root, replace={"site": {"haed": "head"}, "sit": {"a": "b"}})
    assert [problem.split(" Its columns")[0] for problem in caught.value.problems] == [
        "replace.site: no cell is 'haed'. Did you mean 'head'?",
        "replace = 'sit': train.csv has no such column. Did you mean 'site'?",
    ]


def test_images_may_lie_in_several_folders(root: Path) -> None:
    (root / "more").mkdir()
    (root / "train/010.jpg").rename(root / "more/010.jpg")
    put(root, "more/007.jpg")
    tables = read(root, image=("train/{id}.jpg", "more/{id}.jpg"))
    assert tables.train["image"].tolist() == ["train/007.jpg", "train/008.jpg", "more/010.jpg"]
    assert tables.note == "1 image (33.3%) chosen among several files: train/007.jpg before more/007.jpg."
    with pytest.raises(
        DataError, match=r"image = 'train/\{id\}.jpg', 'none/\{id\}.jpg': 1 of 3 .*Missing: train/010.jpg"
    ):
        read(root, image=("train/{id}.jpg", "none/{id}.jpg"))


def test_a_class_that_goes_with_its_images_is_named(root: Path) -> None:
    rows = [f"{number},{'rare' if number < 2 else 'usual'}" for number in range(8)]
    put(root, "train.csv", "\n".join(["image_name,target", *rows]))
    put_images(root, *(f"train/{number}.jpg" for number in range(2, 8)))
    tables = read(root, missing_images="skip")
    assert tables.note == "2 of 8 training rows (25.0%) left out: no image: 0, 1."
    assert tables.warnings == ("With them go the rows with target = 'rare' (2 of 2).",)


def test_paths_written_by_windows_find_their_images(root: Path) -> None:
    put(root, "train.csv", "image_name,target\ntrain\\007.jpg,0\ntrain\\008.jpg,1\n")
    tables = read(root, image="{id}")
    assert tables.train["image"].tolist() == ["train/007.jpg", "train/008.jpg"]
    assert tables.train["id"].tolist() == ["train\\007.jpg", "train\\008.jpg"]
