"""`compete predict`."""

from __future__ import annotations

import pandas as pd
import pytest

from compete.api.commands import predict
from compete.config.load import load_config
from compete.errors import DataError, UserError
from compete.stages.runner import run_competition


@pytest.fixture
def folder(tiny):
    return run_competition(load_config(tiny / "tiny.toml", ["training.epochs=1"])).folder


def table(path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"id": str}).set_index("id")


def test_the_run_s_own_test_images_are_predicted_as_in_the_run(tiny, folder, capsys):
    predict(str(folder), str(tiny / "data/test"), tiny / "out.csv")
    expected = pd.read_parquet(folder / "test.parquet").set_index("id")
    found = table(tiny / "out.csv").loc[expected.index]
    pd.testing.assert_frame_equal(found[["a", "b", "c"]], expected[["a", "b", "c"]], check_dtype=False, atol=1e-6)
    submitted = pd.read_csv(folder / "submission.csv", dtype=str).set_index("id")["label"]
    assert found["label"].tolist() == submitted.loc[found.index].tolist()
    assert f"out.csv: 7 rows, predicted by 3 members of {folder}" in capsys.readouterr().out


def test_a_csv_names_images_beside_it_and_a_sample_gives_the_form(tiny, folder):
    (tiny / "data/some.csv").write_text("id,image\nx,test/t0.png\ny,test/t1.png\n")
    predict("run-001", str(tiny / "data/some.csv"), tiny / "some.csv")
    assert table(tiny / "some.csv").index.tolist() == ["x", "y"]
    (tiny / "data/wanted.csv").write_text("id,label\ny,a\nx,a\n")
    predict("run-001", str(tiny / "data/some.csv"), tiny / "sub.csv", sample=tiny / "data/wanted.csv")
    written = pd.read_csv(tiny / "sub.csv")
    assert written["id"].tolist() == ["y", "x"] and list(written) == ["id", "label"]


@pytest.mark.filterwarnings("default")
def test_warnings_are_lines_like_other_messages(tiny, folder, capsys):
    (tiny / "data/twice.csv").write_text("id,image\n007,test/t0.png\n007,test/t1.png\n")
    predict("run-001", str(tiny / "data/twice.csv"), tiny / "twice.csv")
    assert capsys.readouterr().err == "warning: several rows have one id: 007\n"


def test_nothing_is_overwritten_and_wrong_input_is_named(tiny, folder):
    (tiny / "out.csv").write_text("mine")
    with pytest.raises(UserError, match=r"out\.csv exists already"):
        predict("run-001", str(tiny / "data/test"), tiny / "out.csv")
    assert (tiny / "out.csv").read_text() == "mine"
    with pytest.raises(UserError, match=r"'run-0001' is not a run.*Did you mean 'run-001'"):
        predict("run-0001", str(tiny / "data/test"), tiny / "new.csv")
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        predict("run-001", str(tiny / "none.csv"), tiny / "new.csv")
    with pytest.raises(DataError, match="nowhere"):
        predict("run-001", str(tiny / "nowhere"), tiny / "new.csv")


def test_the_name_of_the_table_says_how_it_is_written(tiny, folder):
    predict("run-001", str(tiny / "data/test"), tiny / "out.csv")
    predict("run-001", str(tiny / "data/test"), tiny / "out.parquet")
    written = pd.read_parquet(tiny / "out.parquet").set_index("id")
    pd.testing.assert_frame_equal(written, table(tiny / "out.csv"), check_dtype=False, atol=1e-6)
    with pytest.raises(UserError, match=r"out\.txt: the table is written as \.csv or \.parquet"):
        predict("run-001", str(tiny / "data/test"), tiny / "out.txt")
    with pytest.raises(UserError, match=r"sub\.parquet: a submission is written as \.csv: end"):
        predict("run-001", str(tiny / "data/test"), tiny / "sub.parquet", sample=tiny / "data/sample.csv")
    assert not (tiny / "out.txt").exists() and not (tiny / "sub.parquet").exists()
