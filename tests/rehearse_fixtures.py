"""Targets to rehearse, and the tiny competition with other labels or another sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from compete.config.load import load_config
from compete.data.dataset import Dataset
from compete.identity import read_sources
from compete.stages.prepare import prepare

CLASSES = ("submission.name=probabilities", "checks.rows_sum_to_one=true")
SETS = (
    "target.name=tokens", "target.column=label", "metric.name=label_set_f1", "submission.name=tokens",
    "folds.name=group", "checks.missing_class=warn", "loss.name=bce",
)  # fmt: skip
VALUES = (
    "target.name=regression", "target.column=label", "metric.name=rmse", "submission.name=value", "folds.name=group", "loss.name=mse",
)  # fmt: skip
LEVELS = (
    "target.name=ordinal",
    "target.column=label",
    "metric.name=kappa",
    "submission.name=value",
    "folds.name=group",
    "loss.name=mse",
)


def stage_1(*overrides: str) -> Dataset:
    """Prepare the rows in the working directory, and nothing after it."""
    config = load_config(Path("tiny.toml"), overrides)
    return prepare(config, read_sources(config), None)


def write_sample(tiny: Path, *columns: str, ids: Callable[[str], str] = str) -> None:
    rows = {"id": [ids(f"t{number}") for number in range(7)], **dict.fromkeys(columns, "0")}
    pd.DataFrame(rows).to_csv(tiny / "data/sample.csv", index=False)


def write_labels(tiny: Path, labels: list[str]) -> None:
    table = pd.read_csv(tiny / "data/train.csv", dtype=str, keep_default_na=False)
    table.assign(label=np.resize(labels, len(table))).to_csv(tiny / "data/train.csv", index=False)
