"""Rows from Pascal VOC's XML annotations."""

from __future__ import annotations

from pathlib import Path

import pytest

from compete import DataError
from compete_plugins.datasets import voc


def annotate(root: Path, name: str, *objects: tuple[str, int]) -> None:
    """Write an annotation with square boxes, and a file in place of its image."""
    boxes = "".join(
        f"<object><name>{label}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{1 + side}</xmax>"
        f"<ymax>{1 + side}</ymax></bndbox></object>"
        for label, side in objects
    )
    size = "<size><width>20</width><height>10</height><depth>3</depth></size>"
    (root / f"Annotations/{name}.xml").write_text(f"<annotation><folder>VOC</folder>{size}{boxes}</annotation>")
    (root / f"JPEGImages/{name}.jpg").write_bytes(b"")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("Annotations", "JPEGImages", "test"):
        (tmp_path / folder).mkdir()
    annotate(tmp_path, "a", ("dog", 5), ("dog", 3))
    annotate(tmp_path, "b", ("potted plant", 2))
    (tmp_path / "test/q.jpg").write_bytes(b"")
    return tmp_path


def test_the_label_is_the_class_of_the_objects(root):
    tables = voc(root, test="test")
    assert tables.train[["id", "image", "label", "width"]].to_numpy().tolist() == [
        ["a", "JPEGImages/a.jpg", "dog", "20"],
        ["b", "JPEGImages/b.jpg", "potted plant", "20"],
    ]
    assert tables.test.to_numpy().tolist() == [["q", "test/q.jpg"]] and tables.sample["id"].tolist() == ["q"]


def test_without_test_there_is_no_test_set(root):
    assert not voc(root).has_test


@pytest.mark.parametrize(("several", "label"), [("join", "cat|dog"), ("largest", "cat")])
def test_images_with_several_classes(root, several, label):
    annotate(root, "c", ("dog", 4), ("cat", 8), ("dog", 6))
    with pytest.raises(DataError, match=r"1 image has objects of several classes: c\. Set several_labels"):
        voc(root)
    assert voc(root, several_labels=several).train["label"].tolist() == ["dog", "potted plant", label]


def test_lists_choose_the_rows(root):
    annotate(root, "c", ("cat", 1))
    (root / "train.txt").write_text("c  1\na -1\n")
    (root / "val.txt").write_text("b\n")
    tables = voc(root, train="train.txt", test="val.txt")
    assert (tables.train["id"].tolist(), tables.test["id"].tolist()) == (["c", "a"], ["b"])


def test_annotations_without_an_object_are_counted(root):
    annotate(root, "none")
    tables = voc(root)
    assert len(tables.train) == 2 and "1 image left out, without an object: none." in tables.note


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "JPEGImages/a.jpg").unlink(), "1 name without image: a"),
        (lambda root: (root / "train.txt").write_text("a\nzzz\n"), "1 name without annotation: zzz"),
        (lambda root: (root / "Annotations/a.xml").write_text("<annotation>"), "Annotations/a.xml: not valid XML"),
        (lambda root: annotate(root, "x", ("", 2)), "Annotations/x.xml: an object without a name"),
        (lambda root: annotate(root, "x", ("a|b", 2)), r"a class name holds '\|'"),
        (lambda root: (root / "JPEGImages/a.png").write_bytes(b""), "several images have one name: a"),
    ],
)
def test_what_cannot_be_read_is_named(root, damage, message):
    (root / "train.txt").write_text("a\nb\n")
    damage(root)
    listed = {} if "x.xml" in message or "class name" in message else {"train": "train.txt"}
    with pytest.raises(DataError, match=message):
        voc(root, several_labels="join", **listed)


def test_entities_that_explode_are_refused(root):
    bomb = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    text = f'<!DOCTYPE x [<!ENTITY l0 "lol">{bomb}]><annotation><folder>&l11;</folder></annotation>'
    (root / "Annotations/a.xml").write_text(text)
    with pytest.raises(DataError, match="not valid XML"):
        voc(root)
