"""How much too good a CV is when weights are chosen on the fold that scores them: labels drawn at random.

Every honest accuracy is 0.5. `python bench/noise.py` trains 20 members (5 folds, 4 seeds) for each choice, in about
three minutes on two cores.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image

from compete.config.load import load_config
from compete.scores import read_scores
from compete.session import RunOptions
from compete.stages.runner import run_competition

ROWS = 300
TOML = """
competition = { name = "noise", root = "data" }
dataset = { name = "csv", train = "train.csv", test = "test.csv", sample = "sample.csv", image = "{image}" }
target = { name = "label", column = "label" }
folds = { name = "stratified", n = 5 }
images = { size = [8, 8] }
metric = { name = "accuracy" }
model = { name = "resnet9", width = 2 }
optimizer = { name = "adamw", lr = 0.01 }
training = { epochs = 10, seeds = 4, device = "cpu", precision = "32-true", workers = 0 }
"""
CHOICES = {
    "the last epoch": "callbacks=[]",
    "best_checkpoint": 'callbacks=[{name="best_checkpoint"}]',
    "soup of 5": 'callbacks=[{name="soup", candidates=5}]',
    "soup of 10": 'callbacks=[{name="soup", candidates=10}]',
}


def draw(folder: Path) -> None:
    """Write noise images with random labels."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    names = [f"{number}.png" for number in range(ROWS)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name)
    train = pd.DataFrame({"id": names, "image": names, "label": rng.choice(["a", "b"], ROWS)})
    train.to_csv(folder / "train.csv", index=False)
    train[["id", "image"]].head(2).to_csv(folder / "test.csv", index=False)
    train[["id", "label"]].head(2).to_csv(folder / "sample.csv", index=False)


def main() -> None:
    """Print the mean accuracy of the members on their own folds, with its standard error."""
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        draw(Path("data"))
        Path("noise.toml").write_text(TOML)
        lines = []
        for name, override in CHOICES.items():
            done = run_competition(
                load_config(Path("noise.toml"), [override]), fresh=True, options=RunOptions(doctor=False)
            )
            scores = np.array([member.score for member in read_scores(done.folder).members.values()])
            lines.append(f"{name:16} {scores.mean():.3f} ± {scores.std(ddof=1) / len(scores) ** 0.5:.3f}")
        print("\n".join(lines))
        os.chdir("/")


if __name__ == "__main__":
    main()
