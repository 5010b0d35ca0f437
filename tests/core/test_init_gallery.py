"""`compete init` on a miniature of every competition of the gallery: what runs without an edit, and what agrees."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from compete.config import load_config
from compete.init import write_toml
from compete.runner import run_competition

sys.path.insert(0, str(Path(__file__).parents[1]))
from miniatures import MINIATURES

GALLERY = Path(__file__).parents[2] / "competitions"

# Of the gallery's 28: how many TOMLs run without an edit, and agree with the gallery's. These may only grow.
FLOOR = {"runs": 28, "target": 28, "submission": 28, "group": 28, "metric": 19}


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
        return data.get(what, {"name": "label"})["name"]

    def agrees(name: str) -> bool | None:
        runs, data = drafts[name]
        return runs if what == "runs" else chosen(data) == chosen(tomllib.loads((GALLERY / f"{name}.toml").read_text()))

    wrong = [name for name in drafts if not agrees(name)]
    assert len(wrong) <= len(MINIATURES) - FLOOR[what], wrong


def test_a_draft_trains_and_writes_a_checked_submission(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = MINIATURES["hotel-id-2021-fgvc8"](Path("hotels"))
    draft = write_toml(Path("hotels")).path
    tiny = ['model={name="resnet9", width=4}', "folds.n=2", "training.epochs=1", "training.device=cpu"]
    done = run_competition(load_config(draft, [*tiny, "training.workers=0"]))
    written = pd.read_csv(done.folder / "submission.csv", dtype=str)
    assert [list(written.columns), written.iloc[:, 0].tolist()] == [drawn.header, list(drawn.answers)]
