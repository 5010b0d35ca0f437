"""Rows and images from Parquet files, as the Hugging Face Hub stores them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from compete import DataError, Files
from compete_plugins.datasets import parquet


def png(value: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((4, 5, 3), value, np.uint8)).save(out, "png")
    return out.getvalue()


def write(path: Path, values: list[int], names: list[str] | None = ("cat", "dog"), **columns: list[object]) -> None:
    """Write a shard whose images are of one value, labelled by the Hub's ClassLabel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": png(value), "path": f"{value}.png"} for value in values]
    table = pa.table({"image": images, "label": [value % 2 for value in values]} | columns)
    if names:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=3)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "hub"
    write(root / "data/train-00000-of-00002.parquet", [10, 11, 12, 13, 14])
    write(root / "data/train-00001-of-00002.parquet", [15, 16])
    write(root / "data/test-00000-of-00001.parquet", [20, 21])
    return root


def pixel(root: Path, path: str) -> int:
    return int(np.asarray(Image.open(io.BytesIO(Files(root).read(path))))[0, 0, 0])


def test_shards_are_read_in_order_with_the_names_of_their_classes(root):
    tables = parquet(root, train="data/train-*.parquet", test="data/test-*.parquet")
    assert tables.train["label"].tolist() == ["cat", "dog", "cat", "dog", "cat", "dog", "cat"]
    assert tables.train["id"].tolist() == [f"train/{number}" for number in range(7)]
    assert [pixel(root, path) for path in tables.train["image"]] == [10, 11, 12, 13, 14, 15, 16]
    assert [pixel(root, path) for path in tables.test["image"]] == [20, 21]
    assert tables.sample.to_dict("list") == {"id": ["test/0", "test/1"], "label": ["", ""]}
    assert "No sample submission: the 2 rows" in tables.note


def test_without_test_files_there_is_no_test_set(root):
    tables = parquet(root, train="data/train-*.parquet")
    assert not tables.has_test and tables.sample.empty


def test_an_id_column_and_the_sample_of_a_competition_are_kept(root):
    write(root / "a.parquet", [1, 2], None, number=["007", "008"])
    write(root / "b.parquet", [3, 4], None, number=["1", "2"])
    (root / "sample.csv").write_text("number,label\n2,0\n1,0\n")
    tables = parquet(root, train="a.parquet", test="b.parquet", sample="sample.csv", id="number")
    assert tables.train["id"].tolist() == ["007", "008"] and tables.train["label"].tolist() == ["1", "0"]
    assert tables.sample["number"].tolist() == ["2", "1"] and tables.test["id"].tolist() == ["1", "2"]


def test_plain_bytes_and_unlabelled_rows(root):
    table = pa.table({"pixels": [png(1), png(2)], "label": [1, -1]})
    features = {"info": {"features": {"label": {"names": ["x", "y"], "_type": "ClassLabel"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), root / "plain.parquet")
    tables = parquet(root, train="plain.parquet", image="pixels")
    assert tables.train["label"].tolist() == ["y", ""]
    assert [pixel(root, path) for path in tables.train["image"]] == [1, 2]


def test_changed_files_are_read_again(root):
    parquet(root, train="data/test-*.parquet")
    write(root / "data/test-00000-of-00001.parquet", [30, 31, 32])
    tables = parquet(root, train="data/test-*.parquet")
    assert [pixel(root, path) for path in tables.train["image"]] == [30, 31, 32]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "data/trian-*.parquet"}, r"train = 'data/trian-\*.parquet': no such file. 'data' has test-00000"),
        (
            {"train": "data/train-*.parquet", "image": "imgae"},
            "image = 'imgae': .*no such column. Did you mean 'image'",
        ),
        ({"train": "data/train-*.parquet", "image": "label"}, "image = 'label': .*has int64 there, not bytes"),
        ({"train": "data/train-*.parquet", "id": "name"}, "id = 'name': .*has no such column"),
        ({"train": "text.parquet"}, "text.parquet: not a readable Parquet file"),
        ({"train": "empty.parquet"}, "row 1 of all has no bytes in column 'image'"),
    ],
)
def test_what_cannot_be_read_is_named(root, options, message):
    (root / "text.parquet").write_text("id,label\n")
    pq.write_table(pa.table({"image": [{"bytes": b"", "path": "a.png"}]}), root / "empty.parquet")
    with pytest.raises(DataError, match=message):
        parquet(root, **options)
    assert not list(Path(".compete").glob("parquet/*/images.bin")) or "id" in options
