from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from compete import DataError
from compete_plugins.datasets import mask

STEMS = ["mask1", "mask2", "mask3", "mask4", "mask5", "incorrect_mask", "normal"]
PEOPLE = [
    ("000001", "male", "29"),
    ("000002-1", "female", "30"),
    ("000002-2", "female", "59"),
    ("003397", "female", "60"),
    ("003397", "male", "18"),
]


def folder_of(person: tuple[str, str, str]) -> str:
    return f"{person[0]}_{person[1]}_Asian_{person[2]}"


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def write_listing(root: Path, people: list[tuple[str, str, str]], header: str = "id,gender,race,age,path") -> None:
    rows = [f"{person[0]},{person[1]},Asian,{person[2]},{folder_of(person)}" for person in people]
    (root / "train").mkdir(parents=True, exist_ok=True)
    (root / "train/train.csv").write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_listing(tmp_path, PEOPLE)
    for number, person in enumerate(PEOPLE):
        for stem in STEMS:
            touch(tmp_path / "train/images" / folder_of(person) / f"{stem}.{['jpg', 'PNG', 'jpeg'][number % 3]}")
        touch(tmp_path / "train/images" / folder_of(person) / "._mask1.jpg")
    for name in ("f0.jpg", "a1.jpg"):
        touch(tmp_path / "eval/images" / name)
    (tmp_path / "eval/info.csv").write_text("ImageID,ans\nf0.jpg,0\na1.jpg,0\n")
    return tmp_path


def test_every_photograph_is_a_row_with_its_labels(root: Path) -> None:
    tables = mask(root)
    train = tables.train
    assert len(train) == 35 and train["id"].is_unique and tables.note == ""
    assert train["person"].unique().tolist() == [folder_of(person) for person in PEOPLE]
    assert train["id"].iloc[:7].tolist() == [f"000001_male_Asian_29/{stem}" for stem in STEMS]
    assert train["image"].iloc[7] == "train/images/000002-1_female_Asian_30/mask1.PNG"
    assert train["mask"].tolist() == [0, 0, 0, 0, 0, 1, 2] * 5
    people = train.drop_duplicates("person")
    assert people["gender"].tolist() == [0, 1, 1, 1, 0]
    assert people["age"].tolist() == [29, 30, 59, 60, 18]
    assert people["age_group"].tolist() == [0, 1, 1, 2, 0]
    assert people["group"].tolist() == ["000001", "000002", "000002", "003397", "003397"]
    assert train["label"].tolist() == (train["mask"] * 6 + train["gender"] * 3 + train["age_group"]).tolist()
    assert train.loc[train["id"] == "003397_female_Asian_60/normal", "label"].item() == 17
    assert {str(train[name].dtype) for name in ("label", "mask", "gender", "age_group", "age")} == {"int64"}


def test_the_test_rows_are_those_of_info_csv_in_its_order(root: Path) -> None:
    tables = mask(root)
    assert tables.test.to_dict("list") == {
        "id": ["f0.jpg", "a1.jpg"],
        "image": ["eval/images/f0.jpg", "eval/images/a1.jpg"],
    }
    assert tables.sample.to_dict("list") == {"ImageID": ["f0.jpg", "a1.jpg"], "ans": ["0", "0"]}


def test_the_folders_may_be_packed(root: Path) -> None:
    expected = mask(root).train
    for folder in ("train/images", "eval/images"):
        with zipfile.ZipFile(root / f"{folder}.zip", "w") as archive:
            for path in sorted((root / folder).rglob("*.*")):
                archive.write(path, path.relative_to(root / folder.partition("/")[0]))
        shutil.rmtree(root / folder)
    assert mask(root).train["id"].tolist() == expected["id"].tolist()


def test_drawn_images_are_noted(root: Path) -> None:
    (root / "DRAWN.txt").write_text("These people are drawn.\nMore.\n")
    assert mask(root).note == "These people are drawn."


def test_fewer_kinds_of_photograph_are_noted(root: Path) -> None:
    for person in PEOPLE:
        for path in (root / "train/images" / folder_of(person)).glob("*mask*"):
            path.unlink()
    tables = mask(root)
    assert tables.train["label"].tolist() == [12, 16, 16, 17, 12]
    assert tables.note == "Of the 7 kinds of image only normal is there."


def test_what_differs_from_the_competition_is_noted(root: Path) -> None:
    first, second, third, *_ = [root / "train/images" / folder_of(person) for person in PEOPLE]
    (first / "mask3.jpg").unlink()
    (first / "normal.jpg").unlink()
    (second / "mask1.PNG").unlink()
    touch(third / "portrait.jpg")
    touch(third / "notes.txt")
    touch(root / "train/images/stranger/normal.jpg")
    tables = mask(root)
    assert len(tables.train) == 32
    assert tables.note == (
        "3 images are missing, in 2 folders: 000001_male_Asian_29, 000002-1_female_Asian_30. "
        "1 image left out, named otherwise: 000002-2_female_Asian_59/portrait.jpg. "
        "1 folder left out, not in train/train.csv: stranger."
    )


def test_missing_data_says_where_it_comes_from(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder: .*nowhere\. .*AI Stages.*`compete demo mask .*nowhere`"):
        mask(tmp_path / "nowhere")
    (root / "train/train.csv").unlink()
    with pytest.raises(DataError, match=r"lacks train/train.csv\. .*Boostcamp.*compete demo mask"):
        mask(root)
    (root / "eval/info.csv").unlink()
    with pytest.raises(DataError, match=r"lacks train/train.csv and eval/info.csv"):
        mask(root)


def test_all_problems_are_told_at_once(root: Path) -> None:
    write_listing(root, [*PEOPLE, ("000009", "man", "3-Sep"), ("000010", "femal", "25"), PEOPLE[0]])
    (root / "eval/images/a1.jpg").unlink()
    with pytest.raises(DataError) as caught:
        mask(root)
    assert caught.value.problems == [
        "train/train.csv: 2 cells of column 'gender' are not male or female: 'man' (line 7), 'femal' (line 8).",
        "train/train.csv: 1 cells of column 'age' are not an integer (years): '3-Sep' (line 7).",
        "train/train.csv: 1 cells of column 'path' are not a folder of its own: '000001_male_Asian_29' (line 9).",
        "eval/images: 1 of 2 eval/info.csv rows have no image (50.0% do). Missing: eval/images/a1.jpg. "
        "'eval/images' holds f0.jpg.",
    ]


def test_folders_without_a_image_are_an_error(root: Path) -> None:
    write_listing(root, [*PEOPLE, ("000009", "male", "20")])
    shutil.rmtree(root / "train/images" / folder_of(PEOPLE[1]))
    with pytest.raises(DataError, match=r"2 of 6 listed folders hold no image: 000002-1.*, 000009_male_Asian_20\."):
        mask(root)


def test_one_image_with_two_extensions_is_an_error(root: Path) -> None:
    touch(root / "train/images" / folder_of(PEOPLE[0]) / "normal.png")
    with pytest.raises(DataError, match=r"1 images are there with two extensions: 000001_male_Asian_29/normal\."):
        mask(root)


def test_missing_columns_name_the_nearest(root: Path) -> None:
    write_listing(root, PEOPLE, "id,Gender,race,years,path")
    (root / "eval/info.csv").write_text("image_id,ans\nf0.jpg,0\n")
    with pytest.raises(DataError) as caught:
        mask(root)
    assert caught.value.problems[0].startswith("train/train.csv has no column 'gender'. Did you mean 'Gender'?")
    assert caught.value.problems[1].startswith("train/train.csv has no column 'age'.")
    assert caught.value.problems[2].startswith("eval/info.csv has no column 'ImageID'.")


def test_test_ids_must_be_unique(root: Path) -> None:
    (root / "eval/info.csv").write_text("ImageID,ans\nf0.jpg,0\nf0.jpg,0\n")
    with pytest.raises(DataError, match=r"eval/info.csv: 1 rows repeat an id of an earlier row: f0.jpg\.$"):
        mask(root)
