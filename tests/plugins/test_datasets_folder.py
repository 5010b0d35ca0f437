from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from compete import DataError
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins.datasets import folder


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")


@pytest.fixture(autouse=True)
def work_outside_the_project(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache lies in the working directory."""
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


@pytest.fixture
def seedlings(tmp_path: Path) -> Path:
    """Label = folder name, with spaces."""
    touch(
        tmp_path, "train/Sugar beet/a.png", "train/Sugar beet/deep/b.PNG", "train/Maize/c.png", "train/Maize/notes.txt"
    )
    touch(tmp_path, "test/x.png", "test/y.png")
    (tmp_path / "sample_submission.csv").write_text("file,species\ny.png,Maize\nx.png,Maize\n")
    return tmp_path


@pytest.fixture
def steganography(tmp_path: Path) -> Path:
    """Four folders for two labels, with the same file names."""
    for name in ("Cover", "JMiPOD", "UERD"):
        touch(tmp_path, f"{name}/0001.jpg", f"{name}/0002.jpg")
    touch(tmp_path, "Test/0001.jpg")
    (tmp_path / "sample_submission.csv").write_text("Id,Label\n0001.jpg,0\n")
    return tmp_path


@pytest.fixture
def dogs(tmp_path: Path) -> Path:
    """Labels in the file names of archives, test ids without ending."""
    for name, members in {
        "train": ["cat.0.jpg", "dog.0.jpg", "dog.1.jpg"],
        "test": ["1.jpg", "2.jpg", "10.jpg"],
    }.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for member in members:
                archive.writestr(f"{name}/{member}", b"")
    (tmp_path / "sample_submission.csv").write_text("id,label\n1,0.5\n10,0.5\n2,0.5\n")
    return tmp_path


def test_the_folder_is_the_label(seedlings: Path) -> None:
    tables = folder(seedlings)
    assert tables.train.to_dict("list") == {
        "id": ["Maize/c.png", "Sugar beet/a.png", "Sugar beet/deep/b.PNG"],
        "image": ["train/Maize/c.png", "train/Sugar beet/a.png", "train/Sugar beet/deep/b.PNG"],
        "label": ["Maize", "Sugar beet", "Sugar beet"],
    }
    assert tables.test.to_dict("list") == {"id": ["y.png", "x.png"], "image": ["test/y.png", "test/x.png"]}
    assert tables.sample["species"].tolist() == ["Maize", "Maize"]
    assert tables.note == ""


def test_several_folders_may_share_a_label(steganography: Path) -> None:
    tables = folder(
        steganography,
        train="",
        test="Test",
        labels={"Cover": "0", "JMiPOD": "1", "UERD": "1"},
        group_pattern="[^/]+$",
    )
    assert tables.train["id"].tolist()[:3] == ["Cover/0001.jpg", "Cover/0002.jpg", "JMiPOD/0001.jpg"]
    assert tables.train["image"].tolist() == tables.train["id"].tolist()
    assert tables.train["label"].tolist() == ["0", "0", "1", "1", "1", "1"]
    assert tables.train["group"].tolist() == ["0001.jpg", "0002.jpg"] * 3
    assert tables.test["image"].tolist() == ["Test/0001.jpg"]


def test_the_root_as_train_leaves_out_the_test_images(steganography: Path) -> None:
    assert folder(steganography, train=".", test="Test").train["label"].unique().tolist() == ["Cover", "JMiPOD", "UERD"]


def test_labelled_folders_may_be_packed(steganography: Path) -> None:
    for name in ("Cover", "UERD"):
        shutil.make_archive(str(steganography / name), "zip", steganography / name)
        shutil.rmtree(steganography / name)
    tables = folder(steganography, train="", test="Test", labels={"Cover": "0", "UERD": "1"})
    assert tables.train["image"].tolist() == ["Cover/0001.jpg", "Cover/0002.jpg", "UERD/0001.jpg", "UERD/0002.jpg"]


def test_the_file_name_holds_the_label(dogs: Path) -> None:
    tables = folder(dogs, pattern=r"(?P<label>cat|dog)\.(?P<id>\d+)")
    assert tables.train.to_dict("list") == {
        "id": ["cat/0", "dog/0", "dog/1"],
        "image": ["train/cat.0.jpg", "train/dog.0.jpg", "train/dog.1.jpg"],
        "label": ["cat", "dog", "dog"],
    }
    assert tables.test.to_dict("list") == {"id": ["1", "10", "2"], "image": ["test/1.jpg", "test/10.jpg", "test/2.jpg"]}


def test_found_labels_may_be_renamed(dogs: Path) -> None:
    train = folder(dogs, train="train.zip", pattern=r"^(?P<label>\w+)", labels={"cat": "0", "dog": "1"}).train
    assert train["id"].tolist() == ["cat.0.jpg", "dog.0.jpg", "dog.1.jpg"]
    assert train["label"].tolist() == ["0", "1", "1"]
    with pytest.raises(DataError, match=r"labels: no label for dog\. Did you mean 'dogs'\? Available: cat, dogs\."):
        folder(dogs, pattern=r"^(?P<label>\w+)", labels={"cat": "0", "dogs": "1"})


def test_the_test_images_may_follow_a_template(dogs: Path) -> None:
    assert folder(dogs, pattern=r"^(?P<label>\w+)", test="test/{id}.jpg").test["image"].tolist()[1] == "test/10.jpg"


def test_without_a_sample_the_test_folder_is_listed(seedlings: Path) -> None:
    (seedlings / "sample_submission.csv").unlink()
    touch(seedlings, "test/notes.txt")
    tables = folder(seedlings)
    assert tables.test["id"].tolist() == ["x.png", "y.png"]
    assert tables.sample.to_dict("list") == {"id": ["x.png", "y.png"], "label": ["", ""]}
    assert tables.note == "No sample submission: the 2 images of 'test' are the test rows."


def test_a_table_of_ids_will_do_as_the_sample(seedlings: Path) -> None:
    (seedlings / "test.csv").write_text("file\nx\n")
    tables = folder(seedlings, sample="test.csv")
    assert tables.test.to_dict("list") == {"id": ["x"], "image": ["test/x.png"]}
    assert tables.sample.to_dict("list") == {"file": ["x"], "label": [""]}


def test_other_extensions_can_be_images(seedlings: Path) -> None:
    assert folder(seedlings, extensions=("txt", "png")).train["id"].tolist()[1] == "Maize/notes.txt"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"train": "trian"},
            r"train = 'trian': no image below it\. .* nothing\. Did you mean 'train'\?",
        ),
        ({"train": "test"}, r"2 images are not in a folder of their own: x.png, y.png\. Set pattern"),
        ({"labels": {"Maise": "0"}}, r"labels: there is no folder 'train/Maise' .* Did you mean 'Maize'\?"),
        ({"pattern": "(?P<label>Maize)"}, r"pattern = .* fits 33.3% of the training images; not, for example, Sugar"),
        ({"pattern": "(?P<id>[ac])?(?P<label>.)"}, r"gives \d images an id that is already used"),
        ({"group_pattern": "Maize"}, r"group_pattern = 'Maize' fits 33.3% of train"),
        (
            {"test": "tests"},
            r"test = 'tests': 2 of 2 sample_submission.csv rows .* Did you mean 'test'\?",
        ),
        ({"test": "test/{file}.jpg"}, r"Missing: test/y.png.jpg, test/x.png.jpg"),
        ({"test": "test/{name}.jpg"}, r"test = 'test/{name}.jpg': unknown column 'name'"),
        ({"sample": "smaple.csv"}, r"no such file: 'smaple.csv'"),
    ],
)
def test_what_is_not_there_is_explained(seedlings: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        folder(seedlings, **options)


def test_train_and_test_are_told_at_once(seedlings: Path) -> None:
    with pytest.raises(DataError) as caught:
        folder(seedlings, train="trian", test="tset")
    assert len(caught.value.problems) == 2


def test_neither_sample_nor_test_images(seedlings: Path) -> None:
    (seedlings / "sample_submission.csv").unlink()
    with pytest.raises(DataError, match="test = 'tests': no image below it, and no sample submission"):
        folder(seedlings, test="tests")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"pattern": "("}, "pattern = '(' is not a regular expression"),
        ({"pattern": "cat|dog"}, "has no part (?P<label>...)"),
        ({"group_pattern": "["}, "group_pattern = '[' is not a regular expression"),
        ({"test": "test/{id"}, "test = 'test/{id': '{' has no partner"),
        ({"endings": ["png"]}, "[dataset] endings: was renamed. Use extensions."),
        ({"labels": {"cat": 0}}, "must be a table of strings, but labels.cat is 0."),
    ],
)
def test_options_are_checked_when_the_toml_is_read(table: dict[str, Any], message: str) -> None:
    _, problems = bind(Component("datasets", "folder", folder, "test"), table, "[dataset]")
    assert any(message in str(problem) for problem in problems), problems


def test_a_label_is_spelled_another_way(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "train/cat /2.png", "train/dog/3.png", "test/x.png")
    tables = folder(tmp_path, replace={"label": {"cat ": "cat"}})
    assert tables.train["label"].tolist() == ["cat", "cat", "dog"]
    assert "1 cell of label replaced: 'cat ' by 'cat'." in tables.note


def test_what_programs_leave_behind_is_no_class_and_no_row(seedlings: Path) -> None:
    touch(
        seedlings, "train/.ipynb_checkpoints/a-checkpoint.png", "train/Maize/.ipynb_checkpoints/c-checkpoint.png",
        "train/__MACOSX/Maize/c.png", "train/Maize/deep/@eaDir/c.png/THUMB_M.jpg", "train/.git/x.png",
        "train/Maize/.c.png.part.png", "train/Maize/._c.png", "train/Maize/Thumbs.db", "test/.thumbnails/x.png",
    )  # fmt: skip
    tables = folder(seedlings)
    assert tables.train["id"].tolist() == ["Maize/c.png", "Sugar beet/a.png", "Sugar beet/deep/b.PNG"]
    assert tables.note == (
        "6 of 9 images in 'train' left out, hidden or left behind by programs: "
        ".ipynb_checkpoints (2), .git (1), .c.png.part.png (1), @eaDir (1), __MACOSX (1)."
    )
    chosen = folder(seedlings, labels={".git": "g", "Maize": "m"})  # a folder that is named is meant
    assert chosen.train["label"].tolist() == ["g", "m"]


def test_files_that_may_be_images_but_are_not_read_are_counted(seedlings: Path) -> None:
    touch(seedlings, "train/Maize/x.heic", "train/Wheat/y.HEIC")
    (seedlings / "train/Empty").mkdir()
    tables = folder(seedlings)
    assert tables.note == "2 files in 'train' left out, not images: .heic (2)."
    assert tables.warnings == ("2 folders of 'train' without an image, so without a class: Empty, Wheat",)


def test_class_folders_may_be_links_below_the_root(seedlings: Path) -> None:
    touch(seedlings, "store/Wheat/w.png")
    (seedlings / "train/Wheat").symlink_to("../store/Wheat")
    assert folder(seedlings).train["label"].value_counts().to_dict() == {"Sugar beet": 2, "Maize": 1, "Wheat": 1}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/", r"Wheat is a link to /, outside the root"),
        ("../train", r"Wheat is a link to .*train, which holds it"),
        ("../nothing", r"Wheat is a link to \.\./nothing, where nothing is"),
    ],
)
def test_class_folders_that_lead_elsewhere_are_refused(seedlings: Path, target: str, message: str) -> None:
    (seedlings / "train/Wheat").symlink_to(target)
    with pytest.raises(DataError, match=message):
        folder(seedlings)


def test_a_test_id_that_names_several_images_is_refused(seedlings: Path) -> None:
    touch(seedlings, "test/x.jpg")
    (seedlings / "sample_submission.csv").write_text("file,species\nx,Maize\ny,Maize\n")
    with pytest.raises(DataError) as caught:
        folder(seedlings)
    (problem,) = caught.value.problems
    assert problem.startswith("test = 'test': 1 test id names several images, x: x.jpg, x.png. Write the extension: ")
    (seedlings / "test/y.jpg").write_bytes(b"")
    assert folder(seedlings, test="test/{id}.jpg").test["image"].tolist() == ["test/x.jpg", "test/y.jpg"]
