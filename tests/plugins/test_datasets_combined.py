"""Tables combined before their rows are used: chosen rows, other tables' columns, ragged rows, rows joined into one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compete import DataError, Tables
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.datasets import csv

BREASTS = """patient_id,laterality,image_id,view,age,cancer
10,L,1,CC,61,0
10,L,2,MLO,61,0
10,R,3,CC,61,1
11,L,4,CC,50,0
10,R,5,MLO,61,1
"""


def put(root: Path, path: str, text: str = "") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture(autouse=True)
def work_outside_the_project(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache lies in the working directory."""
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


# --- several rows made one --------------------------------------------------------------------------------------


@pytest.fixture
def breasts(tmp_path: Path) -> Path:
    put(tmp_path, "train.csv", BREASTS)
    put(tmp_path, "test.csv", "patient_id,laterality,image_id\n20,R,8\n20,L,6\n20,L,7\n")
    put(tmp_path, "sample_submission.csv", "prediction_id,cancer\n20_L,0\n20_R,0\n")
    for folder, number in [("train/10", 1), ("train/10", 2), ("train/10", 3), ("train/11", 4), ("train/10", 5),
                           ("test/20", 6), ("test/20", 7), ("test/20", 8)]:  # fmt: skip
        put(tmp_path, f"{folder}/{number}.png")
    return tmp_path


def read_breasts(root: Path, **options: Any) -> Tables:
    joined = {"join_on": "{patient_id}_{laterality}", "join_labels": ("cancer",), "test": "test.csv"}
    places = {"image": "train/{patient_id}/{image_id}.png", "test_image": "test/{patient_id}/{image_id}.png"}
    return csv(root, **joined | places | {"group": "patient_id"} | options)


def test_rows_with_one_key_become_one_row_with_several_images(breasts: Path) -> None:
    tables = read_breasts(breasts)
    assert tables.train.to_dict("list") == {
        "id": ["10_L", "10_R", "11_L"],
        "image": [["train/10/1.png", "train/10/2.png"], ["train/10/3.png", "train/10/5.png"], ["train/11/4.png"]],
        "patient_id": ["10", "10", "11"],
        "laterality": ["L", "R", "L"],
        "age": ["61", "61", "50"],
        "cancer": ["0", "1", "0"],
        "prediction_id": ["10_L", "10_R", "11_L"],
        "group": ["10", "10", "11"],
    }
    assert dict(zip(tables.test["id"], tables.test["image"], strict=True)) == {
        "20_R": ["test/20/8.png"],
        "20_L": ["test/20/6.png", "test/20/7.png"],
    }
    assert tables.note == (
        "5 rows of train.csv were joined into 3, without image_id, view, which differ. "
        "3 rows of test.csv were joined into 2, without image_id, which differ."
    )


def test_images_of_joined_rows_may_lie_in_one_cell(tmp_path: Path) -> None:
    put(tmp_path, "train.csv", "who,files,y\na,1|2,0\nb,3,1\na,4,0\n")
    put(tmp_path, "sample_submission.csv", "who,y\nc,0\n")
    for name in ("1", "2", "3", "4", "c"):
        put(tmp_path, f"{name}.png")
    tables = csv(
        tmp_path, image="{files}.png", test_image="{id}.png", image_separator="|", join_on="who", join_labels=("y",)
    )
    assert tables.train["image"].tolist() == [["1.png", "2.png", "4.png"], ["3.png"]]


def test_labels_of_joined_rows_must_agree(breasts: Path) -> None:
    put(breasts, "train.csv", BREASTS.replace("10,R,5,MLO,61,1", "10,R,5,MLO,61,0"))
    with pytest.raises(
        DataError, match=r"join_labels: the rows of one prediction_id differ in 'cancer' in train.csv: 10_R"
    ):
        read_breasts(breasts)


def test_a_key_of_unknown_columns_is_told_for_both_tables(breasts: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_breasts(breasts, join_on="{patient}_{laterality}")
    assert len(caught.value.problems) == 2 and "patient_id" in caught.value.problems[0]
    with pytest.raises(DataError, match=r"join_on = 'breast': train.csv has no such column"):
        read_breasts(breasts, join_on="breast")


def test_joined_rows_keep_the_images_they_have(breasts: Path) -> None:
    (breasts / "train/10/2.png").unlink()
    (breasts / "train/11/4.png").unlink()
    (breasts / "test/20/8.png").unlink()
    tables = read_breasts(breasts, missing_images="skip")
    assert tables.train["image"].tolist() == [["train/10/1.png"], ["train/10/3.png", "train/10/5.png"]]
    assert tables.test["image"].tolist() == [[], ["test/20/6.png", "test/20/7.png"]]
    assert "1 image of train.csv missing from rows that have others: train/10/2.png." in tables.note
    assert "1 of 3 training rows (33.3%) left out: no image: 11_L." in tables.note
    assert tables.note.endswith("1 of 2 test rows (50.0%) without an image, predicted as the mean: 20_R.")


def test_a_test_row_without_a_image_is_refused_without_the_policy(breasts: Path) -> None:
    (breasts / "test/20/8.png").unlink()
    with pytest.raises(
        DataError, match=r"1 of 2 test.csv rows have no image .* With missing_images = 'skip' they would"
    ):
        read_breasts(breasts)


# --- one table for train and test, and columns of others --------------------------------------------------------


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    put(tmp_path, "labels.txt", "rec_id,[labels]\n0,11,12\n1,?\n2\n3,?\n4,3\n")
    put(tmp_path, "folds.txt", "rec_id,fold\n0,0\n1,1\n2,0\n3,1\n4,0\n")
    put(tmp_path, "names.txt", "rec_id,filename\n0,PC1_a\n1,PC1_b\n2,PC2_a\n3,PC2_b\n4,PC4_a\n")
    put(tmp_path, "sample_submission.csv", "Id,Probability\n100,0\n101,0\n300,0\n301,0\n")
    for name in ("PC1_a", "PC1_b", "PC2_a", "PC2_b", "PC4_a"):
        put(tmp_path, f"images/{name}.bmp")
    return tmp_path


def read_birds(root: Path, **options: Any) -> Tables:
    split = {"train_where": {"fold": "0"}, "test_where": {"fold": "1"}, "more": ("names.txt", "folds.txt")}
    named = {"train": "labels.txt", "test": "labels.txt", "id": "rec_id", "image": "images/{filename}.bmp"}
    return csv(root, **split | named | {"ragged": True} | options)


def test_one_ragged_table_gives_train_and_test(birds: Path) -> None:
    tables = read_birds(birds)
    assert tables.train[["id", "image", "[labels]"]].to_numpy().tolist() == [
        ["0", "images/PC1_a.bmp", "11,12"],
        ["2", "images/PC2_a.bmp", ""],
        ["4", "images/PC4_a.bmp", "3"],
    ]
    assert tables.test["id"].tolist() == ["1", "3"]


def test_several_values_may_be_chosen(birds: Path) -> None:
    assert len(read_birds(birds, train_where={"filename": ["PC1_a", "PC2_a", "PC9"]}).train) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_where": {"fold": "2"}}, r"train_where: no row of labels.txt has fold = 2\. It holds 0, 1"),
        ({"test_where": {"folds": "1"}}, "test_where = 'folds': labels.txt has no such column. Did you mean 'fold'"),
        ({"more": ("name.txt",)}, "no such file: 'name.txt' .* Did you mean 'names.txt'"),
        ({"more": ("sample_submission.csv",)}, "more: sample_submission.csv and labels.txt have no column in common: Id, Probability"),
        ({"ragged": False}, r"labels.txt, line 2: 3 cells where the header has 2"),
        ({"test_id": "rec"}, "test_id = 'rec': labels.txt has no such column. Did you mean 'rec_id'"),
    ],
)  # fmt: skip
def test_wrong_names_and_values_are_told(birds: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_birds(birds, **options)


def test_another_table_must_have_one_row_for_each(birds: Path) -> None:
    put(birds, "folds.txt", "rec_id,fold\n0,0\n1,1\n0,1\n")
    with pytest.raises(DataError, match=r"more: folds.txt has several rows for rec_id = 0"):
        read_birds(birds)


def test_training_rows_that_another_table_lacks_are_told(birds: Path) -> None:
    assert read_birds(birds).warnings == ()
    put(birds, "folds.txt", "rec_id,fold\n0,0\n1,1\n3,1\n")
    tables = read_birds(birds)
    assert tables.train["id"].tolist() == ["0"]
    lost = "train_where leaves out 2 rows of labels.txt, as folds.txt has no row with rec_id = 2, 4."
    assert tables.warnings == (lost,)
    put(birds, "names.txt", "rec_id,filename\n0,PC1_a\n1,PC1_b\n2,PC2_a\n3,PC2_b\n")
    chosen = read_birds(birds, train_where={"rec_id": ["0", "4"]}, image="images/PC1_a.bmp")
    assert chosen.warnings == (
        "filename: empty in 1 row of labels.txt, as names.txt has no row with rec_id = 4.",
        "fold: empty in 1 row of labels.txt, as folds.txt has no row with rec_id = 4.",
    )


def test_rows_that_are_left_out_on_purpose_are_not_told(birds: Path) -> None:
    put(birds, "folds.txt", "rec_id,fold\n0,0\n1,1\n3,1\n4,0\n")
    assert read_birds(birds, train_where={"fold": "0", "filename": ["PC1_a", "PC4_a"]}).warnings == ()
    assert len(read_birds(birds, train_where={"fold": ["0", ""]}).train) == 3


def test_test_rows_that_another_table_lacks_are_an_error(birds: Path) -> None:
    put(birds, "test.txt", "rec_id\n1\n3\n9\n")
    with pytest.raises(DataError) as caught:
        read_birds(birds, test="test.txt")
    assert caught.value.problems == [
        "test_where leaves out 1 row of test.txt, as folds.txt has no row with rec_id = 9."
    ]


def test_the_test_table_may_have_ids_of_its_own(birds: Path) -> None:
    tables = read_birds(birds, id="filename", test_id="rec_id", test_image="images/{filename}.bmp")
    assert tables.train["id"].tolist() == ["PC1_a", "PC2_a", "PC4_a"]
    assert tables.test["id"].tolist() == ["1", "3"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"join_on": "key"}, "join_on and join_labels belong together: which rows become one, and the labels they must agree in."),
        ({"join_on": "{key", "join_labels": ["y"]}, "join_on = '{key': '{' has no partner. Write {{ or }} for a brace itself."),
        ({"join_on": "key", "join_labels": ["y"], "id": "x"}, "join_on makes the ids; leave out id and test_id."),
        ({"test_where": {"fold": "1"}}, "test_where and test_id need test: the table they choose from."),
        ({"train_where": {"fold": []}}, "train_where.fold names no value."),
    ],
)  # fmt: skip
def test_options_are_checked_when_the_toml_is_read(table: dict[str, Any], message: str) -> None:
    _, problems = bind(Component("datasets", "csv", csv, "test"), {"image": "{id}.png"} | table, "[dataset]")
    assert [problem.message for problem in problems] == [message]
