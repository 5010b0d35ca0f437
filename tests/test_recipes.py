"""The mask competition's recipes: each validates, says what it teaches, and runs on demo data to a checked submission."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import torch

import compete
from compete.config.load import load_config
from compete.config.options import bind
from compete.config.plugins import load_plugins
from compete.config.registry import find
from compete.config.tuning import Finetune
from compete.toml.gallery import find_toml, gallery, recipes

FOLDER = Path(__file__).parents[1] / "competitions/mask-recipes"
RECIPES = {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}
if "preset" not in Finetune.model_fields:  # it comes with `[finetune] preset`
    RECIPES.pop("gradual-unfreezing")
LINES = 75  # as long as a recipe may be


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_validates_and_says_what_it_teaches(name):
    text = RECIPES[name].read_text()
    head = text.partition("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines()) and "\n# Teaches: " in head
    assert name in ("scratch-cnn", "feature-extraction", "gradual-unfreezing") or "# Source: " in head
    assert len(text.splitlines()) <= LINES
    load_config(RECIPES[name])


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_differ_in_training_only(name):
    ours, theirs = tomllib.loads(RECIPES[name].read_text()), tomllib.loads((FOLDER.parent / "mask.toml").read_text())
    for table in ("dataset", "folds", "metric"):
        assert ours[table] == theirs[table]
    assert ours["competition"]["name"] == "mask" and ours["competition"]["root"] == theirs["competition"]["root"]


def test_the_page_lists_every_recipe():
    listed = re.findall(r"^\| \[([^]]+)\]", (FOLDER / "README.md").read_text(), re.M)
    assert sorted(listed) == sorted(path.stem for path in FOLDER.glob("*.toml"))


def test_they_are_found_by_name_and_are_no_competitions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {f"mask-recipes/{name}": path for name, path in RECIPES.items()}.items() <= recipes().items()
    assert not set(recipes()) & set(gallery())
    assert find_toml(Path("mask-recipes/vit")) == RECIPES["vit"]
    with pytest.raises(compete.ConfigError, match="Did you mean 'mask-recipes/vit', of the gallery"):
        find_toml(Path("vit.toml"))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a few drawn people in it; the recipes share its decoded images."""
    folder = tmp_path_factory.mktemp("recipes")
    torch.set_num_threads(1)
    demo = find(load_plugins([]).registry, "demos", "mask")
    bound, problems = bind(demo, {"people": 24, "test_people": 6, "size": [32, 40]}, "demo mask")
    assert bound is not None and not problems
    bound.build(folder / "data/mask")
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_on_demo_data(name, place, monkeypatch):
    import compete.config.plugins

    bundled = tuple(name for name in compete.config.plugins.BUNDLED if name != "compete_plugins.report")
    monkeypatch.setattr(compete.config.plugins, "BUNDLED", bundled)
    monkeypatch.chdir(place)
    settings = tomllib.loads(RECIPES[name].read_text())
    overrides = {
        "images.size": [32, 32], "folds.n": 2, "checks.missing_class": "warn", "training.epochs": 1,
        "training.only_folds": [0], "training.workers": 0, "training.device": "cpu", "training.precision": "32-true",
        **({"model.arguments": {"img_size": 32}} if name == "vit" else {}),
        **({"model.pretrained": False} if settings["model"].get("pretrained") else {"model.width": 4}),
    }  # fmt: skip
    run = compete.run(RECIPES[name], overrides, name=name, doctor=False)
    assert len(run.submission) == 42 and run.scores.cv.oof is not None
