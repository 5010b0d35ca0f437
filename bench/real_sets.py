"""Real photographs as competitions: flat tables without the answers, which stay apart for scoring.

`masks` (3 classes, 23:1, grouped by photograph) and `faces` (6 classes of gender and age) are read from a folder that
holds both as they were published; see docs/defaults.md for their sources.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
from sklearn.metrics import f1_score

PAGE = "# Evaluation\nSubmissions are scored by macro F1.\n"


def write_competition(name: str, source: Path, place: Path) -> Path:
    """Write train.csv (image_id, label, group), sample_submission.csv and the images; return the folder."""
    folder = place / name
    if not folder.exists():
        folder.mkdir(parents=True)
        train, images = _tables(name, source / name)
        shutil.copytree(images, folder / "train", ignore=shutil.ignore_patterns("*.csv"))
        shutil.copytree(source / name / ("test" if name == "masks" else "eval/images"), folder / "test")
        train.to_csv(folder / "train.csv", index=False)
        ids = read_answers(name, source).index
        pd.DataFrame({"image_id": ids, "label": train["label"].mode()[0]}).to_csv(
            folder / "sample_submission.csv", index=False
        )
        (folder / "description.md").write_text(PAGE)
    return folder


def _tables(name: str, folder: Path) -> tuple[pd.DataFrame, Path]:
    if name == "masks":
        table = pd.read_csv(folder / "train.csv", dtype=str)
        return table[["image_id", "label", "group"]], folder / "train"
    people = pd.read_csv(folder / "train/train.csv", dtype=str)
    ids = people["path"] + "/normal"
    labels = [_face(*row) for row in zip(people["gender"], people["age"].astype(int), strict=True)]
    return pd.DataFrame({"image_id": ids, "label": labels}), folder / "train/images"


def _face(gender: str, age: int) -> str:
    return f"{gender}-{'young' if age < 30 else 'middle' if age < 60 else 'old'}"


def read_answers(name: str, source: Path) -> pd.Series:
    """Return the held-back labels by id."""
    if name == "masks":
        return pd.read_csv(source / "masks/test_answers.csv", dtype=str).set_index("image_id")["label"]
    table = pd.read_csv(source / "faces/eval/answers.csv", dtype={"ImageID": str})
    labels = [_face(*row) for row in zip(table["gender"], table["age"], strict=True)]
    return pd.Series(labels, index=table["ImageID"].str.removesuffix(".jpg"))


def held_back_score(name: str, source: Path, submission: Path) -> float:
    """Return the macro F1 of a submission, joined by id."""
    answers = read_answers(name, source)
    written = pd.read_csv(submission, dtype=str).set_index("image_id")["label"]
    return float(f1_score(answers, written.loc[answers.index], average="macro"))
