"""Names that look alike: file names as macOS writes them, ids and labels in another Unicode form, bytes that are no text."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from compete import DataError, Files
from compete_plugins.datasets._csv import csv
from compete_plugins.datasets._folder import folder


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def put(root: Path, name: str, data: str | bytes = b"") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(data.encode() if isinstance(data, str) else data)


@pytest.mark.parametrize("template", ["train/{id}.png", "train/{id}.*", "{part}/{id}.png"])
def test_decomposed_file_names_are_matched_and_counted(tmp_path, template):
    for name in ("é0", "é1", "b2"):
        put(tmp_path, nfd(f"entraîné/{name}.png"))
        put(tmp_path, nfd(f"train/{name}.png"))
    rows = "".join(nfc(f"{name},entraîné,{label}\n") for name, label in (("é0", "x"), ("é1", "y"), ("b2", "x")))
    put(tmp_path, "train.csv", "id,part,label\n" + rows)
    put(tmp_path, "sample_submission.csv", nfc("id,label\né0,x\nb2,x\n"))
    tables = csv(tmp_path, image=template, test_image="train/{id}.png")
    assert Files(tmp_path).present(tables.train["image"].tolist()).all()
    respelled = 3 if "part" in template else 2
    assert f"{respelled} image names of train.csv matched in another Unicode form" in tables.note
    assert tables.train["id"].tolist() == [nfc("é0"), nfc("é1"), "b2"]


def test_a_file_of_its_exact_name_comes_first(tmp_path):
    for name in (nfc("é"), nfd("é")):
        put(tmp_path, f"train/{name}.png", name)
    put(tmp_path, "train.csv", f"id,label\n{nfc('é')},x\n{nfd('é')},y\n")
    put(tmp_path, "sample_submission.csv", f"id,label\n{nfc('é')},x\n")
    tables = csv(tmp_path, image="train/{id}.png")
    files = Files(tmp_path)
    assert [files.read(path).decode() for path in tables.train["image"]] == tables.train["id"].tolist()
    assert "Unicode" not in tables.note


def test_test_ids_are_spelled_as_the_sample_spells_them(tmp_path):
    put(tmp_path, "train/a.png")
    put(tmp_path, "train/b.png")
    put(tmp_path, "train.csv", "id,file,label\n1,a,x\n2,b,y\n")
    put(tmp_path, "test.csv", nfd("id,file\né,a\nb,b\n"))
    put(tmp_path, "sample_submission.csv", nfc("id,label\né,x\nb,x\n"))
    tables = csv(tmp_path, image="train/{file}.png", test="test.csv")
    assert tables.test["id"].tolist() == [nfc("é"), "b"]
    assert "1 id of test.csv matched" in tables.note


def test_labels_of_folders_are_spelled_as_the_sample_spells_them(tmp_path):
    for label in ("chat", "crème"):
        put(tmp_path, nfd(f"train/{label}/1.png"))
    put(tmp_path, nfd("test/à.png"))
    put(tmp_path, "sample_submission.csv", nfc("id,label\nà,crème\n"))
    tables = folder(tmp_path)
    assert tables.train["label"].tolist() == ["chat", nfc("crème")]
    assert "1 label of train matched" in tables.note and "1 image name of sample_submission.csv" in tables.note
    assert Files(tmp_path).present(tables.test["image"].tolist()).all()


def test_file_names_that_are_not_utf8_are_refused(tmp_path):
    put(tmp_path, "train/cat/a.png")
    put(tmp_path, "test/a.png")
    (tmp_path / "train/cat" / os.fsdecode("사진.png".encode("cp949"))).touch()
    with pytest.raises(DataError, match=r"train: 1 file name not in UTF-8: .*which may read '사진.png' in cp949"):
        folder(tmp_path)


def test_a_sample_with_one_id_twice_is_refused_by_name(tmp_path):
    put(tmp_path, "train/cat/a.png")
    put(tmp_path, "test/a.png")
    put(tmp_path, "test/b.png")
    put(tmp_path, "sample_submission.csv", "id,label\na,cat\nb,cat\na,cat\n")
    with pytest.raises(DataError, match="1 id in several rows: 'a' in rows 1, 3"):
        folder(tmp_path)
