"""`compete init` on a miniature of every competition of the gallery: what runs without an edit, and what agrees."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from compete.config.load import load_config
from compete.draft import write_toml
from compete.stages.runner import run_competition

sys.path.insert(0, str(Path(__file__).parents[2]))
from miniatures import MINIATURES

GALLERY = Path(__file__).parents[3] / "competitions"

# Of the gallery's 28: how many TOMLs run without an edit, and agree with the gallery's. These may only grow.
FLOOR = {"runs": 28, "target": 28, "submission": 28, "group": 28, "metric": 21}
SAME_ORDER = {"micro_f1": "accuracy", "error": "accuracy"}  # of one class a row they rank all files alike

# The files alone do not say these; what a competition's page says does, once it lies beside them.
SAID = {
    "alaska2-image-steganalysis": "Scored is the weighted AUC, where reliable detection counts double.",
    "dogs-vs-cats-redux-kernels-edition": "Files are scored on the log loss of each image.",
    "herbarium-2020-fgvc7": "What counts is the macro F1 score over all species.",
    "inaturalist-2019-fgvc6": "The score is the top-1 classification error.",
    "iwildcam-2019-fgvc6": "What counts is the macro F1 score, the plain mean over animals.",
    "plant-seedlings-classification": "The score is a micro-averaged F1-score.",
    "statoil-iceberg-classifier-challenge": "Files are scored on the log loss between chances and truth.",
}
PAGE = """# Overview
More accuracy is wanted: ROC curves, F1 and RMSE of earlier methods are shown in the forum.

## Evaluation

{}

## Prizes
None, but accuracy is its own reward.
"""


@pytest.fixture(scope="module")
def drafts(tmp_path_factory) -> dict[str, tuple[bool | None, dict]]:
    """What `init` makes of each miniature; the few that need a package that is not there are left out."""
    found, home = {}, Path.cwd()
    for name, draw in MINIATURES.items():
        place = tmp_path_factory.mktemp(name)
        os.chdir(place)
        try:
            draw(Path(name))
            result = write_toml(Path(name))
            found[name] = result.runs, tomllib.loads(result.path.read_text())
        except pytest.skip.Exception:
            continue
        finally:
            os.chdir(home)
    return found


@pytest.mark.parametrize("what", FLOOR)
def test_the_gallery_s_competitions_are_understood(drafts, what):
    def chosen(data: dict) -> object:
        if what == "group":
            return data["dataset"].get("group", data["dataset"].get("group_pattern"))
        name = data.get(what, {"name": "label"})["name"]
        return SAME_ORDER.get(name, name)

    def agrees(name: str) -> bool | None:
        runs, data = drafts[name]
        return runs if what == "runs" else chosen(data) == chosen(tomllib.loads((GALLERY / f"{name}.toml").read_text()))

    wrong = [name for name in drafts if not agrees(name)]
    assert len(wrong) <= len(MINIATURES) - FLOOR[what], wrong


@pytest.mark.parametrize("name", SAID)
def test_what_the_page_says_about_the_score_is_believed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    MINIATURES[name](Path(name))
    (tmp_path / name / "description.md").write_text(PAGE.format(SAID[name]))
    text = write_toml(Path(name)).path.read_text()
    assert (
        tomllib.loads(text)["metric"]["name"] == tomllib.loads((GALLERY / f"{name}.toml").read_text())["metric"]["name"]
    )
    assert "a guess: description.md says" in text


def test_a_draft_trains_and_writes_a_checked_submission(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = MINIATURES["hotel-id-2021-fgvc8"](Path("hotels"))
    draft = write_toml(Path("hotels")).path
    tiny = ['model={name="resnet9", width=4}', "folds.n=2", "training.epochs=1", "training.device=cpu"]
    done = run_competition(load_config(draft, [*tiny, "training.workers=0"]))
    written = pd.read_csv(done.folder / "submission.csv", dtype=str)
    assert [list(written.columns), written.iloc[:, 0].tolist()] == [drawn.header, list(drawn.labels)]
