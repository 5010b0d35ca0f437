from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compete import DataError, Tables
from compete.config.options import bind
from compete.config.registry import Component
from compete.files.root import Files
from compete_plugins.datasets import _bson, records

RNG = np.random.default_rng(0)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root, with a working directory beside it, where the cache goes."""
    folder, work = tmp_path / "root", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


# --- pixels in JSON --------------------------------------------------------------------------------------------


def radar(name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "band_1": RNG.normal(-20, 5, 16).round(3).tolist(),
        "band_2": RNG.normal(-25, 5, 16).round(3).tolist(),
        "inc_angle": "na",
        **more,
    }


TRAIN = [radar("5a", is_iceberg=1), radar("5b", is_iceberg=0, inc_angle=43.9)]
TEST = [radar("t2"), radar("t1")]


@pytest.fixture
def icebergs(root: Path) -> Path:
    (root / "train.json").write_text(json.dumps(TRAIN))
    with zipfile.ZipFile(root / "test.json.zip", "w") as archive:
        archive.writestr("data/processed/test.json", json.dumps(TEST))
    (root / "sample_submission.csv").write_text("id,is_iceberg\nt1,0.5\nt2,0.5\n")
    return root


def read(root: Path, **options: Any) -> Tables:
    defaults: dict[str, Any] = {"train": "train.json", "test": "test.json", "bands": ("band_1", "band_2")}
    return records(root, **(defaults | options))


def test_the_bands_of_a_record_are_its_image(icebergs: Path) -> None:
    tables = read(icebergs)
    assert tables.train.drop(columns="image").to_dict("list") == {
        "id": ["5a", "5b"],
        "inc_angle": ["na", "43.9"],
        "is_iceberg": ["1", "0"],
    }
    assert tables.test["id"].tolist() == ["t2", "t1"]
    files = Files(icebergs)
    for row, path in zip([*TRAIN, *TEST], [*tables.train["image"], *tables.test["image"]], strict=True):
        pixels = np.load(files.cache / path.removeprefix("cache:"))
        assert pixels.shape == (4, 4, 2) and pixels.dtype == np.float32 and files.exists(path)
        np.testing.assert_allclose(pixels[:, :, 1].ravel(), row["band_2"], rtol=1e-6)


def test_pixels_are_written_once_beside_the_run_never_into_the_root(icebergs: Path) -> None:
    before = sorted(icebergs.rglob("*"))
    first = read(icebergs)
    written = {path: path.stat().st_mtime_ns for path in Path(".compete/records").rglob("*.npy")}
    assert len(written) == 4
    again = read(icebergs)
    assert again.train.equals(first.train) and again.test.equals(first.test)
    assert {path: path.stat().st_mtime_ns for path in Path(".compete/records").rglob("*.npy")} == written
    assert sorted(icebergs.rglob("*")) == before


def test_changed_records_and_options_are_read_anew(icebergs: Path) -> None:
    first = read(icebergs).train["image"].tolist()
    assert read(icebergs, bands=("band_2",)).train["image"].tolist() != first
    (icebergs / "train.json").write_text(json.dumps(TRAIN[:1]))
    assert len(read(icebergs).train) == 1


def test_a_shape_that_is_no_square_must_be_given(icebergs: Path) -> None:
    rows = [{**row, "band_1": row["band_1"][:15], "band_2": row["band_2"][:15]} for row in TRAIN]
    (icebergs / "train.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match=r"shape: the 15 values of a band of train.json are not a square"):
        read(icebergs)
    (icebergs / "test.json").write_text(json.dumps([{**row, "id": f"t{n}"} for n, row in enumerate(rows, 1)]))
    image = read(icebergs, shape=(3, 5)).train["image"][0]
    assert np.load(Path(".compete") / image.removeprefix("cache:")).shape == (3, 5, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": ()}, r"bands: train.json needs the keys that hold its pixels\. Lists are under: band_1, band_2"),
        ({"bands": ("band1",)}, r"bands: train.json has no pixels under band1\. Did you mean 'band_1'\?"),
        ({"bands": ("inc_angle",)}, r"bands: train.json has no pixels under inc_angle"),
        ({"shape": (4, 5)}, r"train.json, record 1: a band is not 4 x 5 numbers"),
        ({"id": "name"}, r"id = 'name': train.json has no such column"),
        ({"train": "trian.json"}, r"no such file: 'trian.json' .* Did you mean 'train.json'\?"),
        ({"group": "patient"}, r"group = 'patient': train.json has no such column"),
    ],
)
def test_what_is_not_there_is_explained(icebergs: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(icebergs, **options)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"id": "x"}, r"train.json, record 2 has no 'band_1'"),
        (radar("x") | {"band_2": [1.0] * 15}, r"train.json, record 2: a band is not 4 x 4 numbers"),
        (radar("x") | {"band_2": ["a"] * 16}, r"train.json, record 2: a band is not 4 x 4 numbers: could not convert"),
        (radar("x") | {"band_2": [[]] * 16}, r"train.json, record 2: a band is not 4 x 4 numbers"),
    ],
)
def test_a_broken_record_is_named(icebergs: Path, second: dict[str, Any], message: str) -> None:
    (icebergs / "train.json").write_text(json.dumps([TRAIN[0], second]))
    with pytest.raises(DataError, match=message):
        read(icebergs)
    assert not list(Path(".compete/records").glob("*-*"))


def test_group_and_duplicates(icebergs: Path) -> None:
    (icebergs / "train.json").write_text(json.dumps([*TRAIN, TRAIN[0]]))
    train = read(icebergs, duplicates="keep", group="inc_angle").train
    assert train["id"].tolist() == ["5a", "5b", "5a#2"]
    assert train["group"].tolist() == ["na", "43.9", "na"]


# --- images in BSON ------------------------------------------------------------------------------------------


def element(kind: int, name: str, payload: bytes) -> bytes:
    return bytes([kind]) + name.encode() + b"\0" + payload


def document(*elements: bytes) -> bytes:
    inside = b"".join(elements) + b"\0"
    return struct.pack("<i", len(inside) + 4) + inside


def block(data: bytes) -> bytes:
    return struct.pack("<i", len(data)) + b"\0" + data


def product(number: int, images: list[bytes], category: int | None = None) -> bytes:
    images = [element(3, str(n), document(element(5, "picture", block(data)))) for n, data in enumerate(images)]
    label = [] if category is None else [element(0x12, "category_id", struct.pack("<q", category))]
    return document(element(0x10, "_id", struct.pack("<i", number)), *label, element(4, "imgs", document(*images)))


@pytest.fixture
def products(root: Path) -> Path:
    (root / "train.bson").write_bytes(product(0, [b"one"], 1000010653) + product(16, [b"two", b"three"], 7))
    (root / "test.bson").write_bytes(product(5, [b"four"]) + product(4, [b"five"]))
    (root / "sample_submission.csv").write_text("_id,category_id\n4,0\n5,0\n")
    return root


def read_products(root: Path, **options: Any) -> Tables:
    return records(root, **({"train": "train.bson", "test": "test.bson"} | options))


def test_images_are_slices_of_the_file(products: Path) -> None:
    for _ in range(2):  # the second time from the index
        tables = read_products(products, group="_id")
        files = Files(products)
        assert tables.train["id"].tolist() == tables.train["group"].tolist() == ["0", "16"]
        assert tables.train["category_id"].tolist() == ["1000010653", "7"]
        assert [[files.read(path) for path in paths] for paths in tables.train["image"]] == [
            [b"one"],
            [b"two", b"three"],
        ]
        assert [files.read(path) for path in tables.test["image"]] == [b"four", b"five"]
        assert files.present(tables.test["image"].tolist()).all()
    assert not list(Path(".compete/records").rglob("*.npy"))


def test_every_plain_type_is_read(tmp_path: Path) -> None:
    elements = [
        element(0x01, "double", struct.pack("<d", 0.5)),
        element(0x02, "text", struct.pack("<i", 4) + "né".encode() + b"\0"),
        element(0x07, "object_id", bytes(range(12))),
        element(0x08, "yes", b"\1"),
        element(0x09, "time", struct.pack("<q", -5)),
        element(0x0A, "null", b""),
        element(0x10, "int32", struct.pack("<i", -7)),
        element(0x12, "int64", struct.pack("<q", 2**40)),
        element(0x03, "inner", document(element(0x10, "hidden", struct.pack("<i", 1)))),
    ]
    (tmp_path / "x.bson").write_bytes(document(*elements))
    (read_back,) = _bson.documents(tmp_path / "x.bson")
    assert read_back.values == {
        "double": 0.5,
        "text": "né",
        "object_id": bytes(range(12)).hex(),
        "yes": True,
        "time": -5,
        "null": None,
        "int32": -7,
        "int64": 2**40,
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (product(0, [b"one"], 1)[:-3], "damaged BSON in the document at byte 0: its length"),
        (product(0, [b"one"], 1) + b"\x05\0", "damaged BSON in the document at byte 71"),
        (document(element(0x0B, "pattern", b"a\0b\0")), "a value of type 0x0b, which is not read"),
        (document(element(5, "x", struct.pack("<i", -1) + b"\0")), "a length is negative"),
        (document(element(5, "x", struct.pack("<i", 99) + b"\0ab")), "a value is longer than its document"),
        (struct.pack("<i", 8) + b"\x10ab\0", "a name has no end|longer than"),
        (product(0, []), "1 of its 1 documents hold no image"),
        (b"", "0 of its 0 documents hold no image"),
    ],
)
def test_damaged_bson_is_named_with_its_place(products: Path, data: bytes, message: str) -> None:
    (products / "train.bson").write_bytes(data)
    with pytest.raises(DataError, match=rf"train.bson: .*({message})"):
        read_products(products)


WHOLE = product(0, [b"one"], 1) + product(16, [b"two", b"three"], 7)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_any_damage_gives_documents_or_a_reason(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.bson"
    path.write_bytes(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])
    try:
        found = list(_bson.documents(path))
    except DataError as error:
        assert "at byte" in str(error)
    else:
        assert all(offset + length <= len(WHOLE) for row in found for offset, length in row.blocks)


def test_packed_bson_must_be_unpacked(products: Path) -> None:
    with zipfile.ZipFile(products / "more.bson.zip", "w") as archive:
        archive.writestr("more.bson", WHOLE)
    with pytest.raises(DataError, match="BSON is read where it is on disk; unpack it first"):
        read_products(products, train="more.bson")


def test_options_are_checked_when_the_toml_is_read() -> None:
    component = Component("datasets", "records", records, "test")
    _, problems = bind(component, {"train": "a", "test": "b", "group": "{"}, "[dataset]")
    assert "group = '{': '{' has no partner" in str(problems[0])
    bound, problems = bind(component, {"train": "a", "test": "b", "bands": ["x"], "shape": [75, 75]}, "[dataset]")
    assert problems == [] and bound is not None and bound.options["shape"] == (75, 75)
