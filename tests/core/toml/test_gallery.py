"""The gallery by name, and what is said of a file that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from compete.config.load import load_config
from compete.errors import ConfigError, DataError
from compete.stages.prepare import read_tables
from compete.stages.runner import run_competition
from compete.toml.gallery import entries, find_toml, gallery

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_the_checkout_s():
    assert gallery() == {path.stem: path for path in sorted((ROOT / "competitions").glob("*.toml"))}


def test_the_listing_has_metric_and_submission():
    listed = {entry.name: entry for entry in entries()}
    assert listed.keys() == gallery().keys()
    assert listed["mask"] == ("mask", "macro_f1", "label", "Mask image classification")
    for name, entry in listed.items():
        config = load_config(Path(name))
        assert (entry.metric, entry.submission) == (config.one("metrics").name, config.one("submissions").name)


def test_a_file_comes_before_the_gallery(here):
    assert find_toml(Path("mask")) == gallery()["mask"]
    (here / "mask").write_text("mine")
    assert find_toml(Path("mask")) == Path("mask")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("masc", "Did you mean 'mask', of the gallery?"),
        ("mask.toml", "Did you mean 'mask', of the gallery?"),
        ("competitions/mask.toml", "Did you mean 'mask', of the gallery?"),
        ("leafs", "Did you mean 'leaves.toml'?"),
        ("zzz", "no such file. Available: leaves.toml. `compete competitions` lists the gallery."),
    ],
)
def test_the_nearest_name_is_of_this_folder_or_of_the_gallery(here, name, message):
    (here / "leaves.toml").write_text('[competition]\nname = "leaves"\nroot = "."\n')
    (here / "pyproject.toml").write_text("[project]\n")  # not a competition's
    with pytest.raises(ConfigError) as refused:
        find_toml(Path(name))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("leaf-classification", "compete download https://www.kaggle.com/competitions/leaf-classification data/leaf-"),
        ("fairface", "put the data at data/fairface. It comes from: FairFace (Karkkainen and Joo), CC BY 4.0, https:"),
    ],
)
def test_missing_data_says_where_to_get_it_and_where_to_put_it(name, command):
    with pytest.raises(DataError) as missing:
        read_tables(load_config(Path(name)))
    assert command in str(missing.value)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("my data/train.csv", "Name the folder that holds all files: compete run 'my data'"),
        ("train.csv", "Name the folder that holds all files: cd .. && compete run {here}"),
        ("a.tar.gz", "in a folder: mkdir a && mv a.tar.gz a/ && compete run a"),
        ("my data/b.zip", "mkdir 'my data/b' && mv 'my data/b.zip' 'my data/b'/ && compete run 'my data/b'"),
        ("my data/1.jpg", "compete run 'my data'"),
    ],
)
def test_a_file_that_is_not_a_toml_is_answered_with_the_folder_to_name(here, name, command):
    (here / "my data").mkdir()
    (here / name).write_text("id,label\n1,a\n")
    with pytest.raises(ConfigError) as refused:
        find_toml(Path(name))
    assert str(refused.value).endswith(command.format(here=here.name)), str(refused.value)


def test_a_root_that_is_relative_to_another_folder_says_where_to_go(tiny, monkeypatch):
    (tiny / "elsewhere").mkdir()
    monkeypatch.chdir(tiny / "elsewhere")
    with pytest.raises(DataError, match=r"root = \"data\" is relative to the folder where you run compete: cd \.\.$"):
        run_competition(load_config(Path("../tiny.toml"), ["plugins=['../tiny_plugin.py']"]))
    assert not any((tiny / "elsewhere").iterdir())  # no run folder in the wrong place
    with pytest.raises(
        DataError, match=r"\[competition\] root = \"dta\" is relative to .*--set competition\.root=FOLDER$"
    ):
        run_competition(load_config(Path("../tiny.toml"), ["plugins=['../tiny_plugin.py']", "competition.root=dta"]))
