"""docs/blending.md: its TOML is valid, and its commands do what it says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pandas as pd

import compete
from compete.blending.commands import blend
from compete.config.load import check_config
from compete.scores import read_scores
from compete.toml.read import read_toml

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/blending.md").read_text()


def test_its_toml_is_valid_beside_the_mask_competition():
    written = read_toml(ROOT / "competitions/mask.toml")[0]
    variants, refit = (tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.S))
    assert len(check_config({**written, **variants}).variants) == 3
    assert check_config({**written, "training": {**written["training"], **refit["training"]}}).training.refit


def test_its_commands_blend_two_runs_and_a_file(tiny):
    for more in ([], ["model.dropout=0.3"]):
        done = compete.run(tiny / "tiny.toml", ["training.epochs=1", *more])
    for name in ("oof", "test"):
        pd.read_parquet(done.folder / f"{name}.parquet")[["id", "a", "b", "c"]].to_csv(f"{name}.csv", index=False)
    lines = re.findall(r"^\$ compete blend (.*)$", PAGE, re.M)
    assert len(lines) == 3
    for line in lines:
        runs, _, option = line.partition(" --")
        name, _, value = option.partition(" ")
        blend(runs.split(), files=[value] if name == "file" else None, method=value if name == "method" else "auto")
    found = [read_scores(folder).blend for folder in sorted(Path("submissions/tiny").glob("run-*"))]
    inputs = {tuple(facts.name for facts in blended.inputs) for blended in found if blended is not None}
    assert inputs == {("run-001", "run-002"), ("run-001", "team")}
