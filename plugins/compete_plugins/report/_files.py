"""Read a run's outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from compete import CompeteError, DataError, Scores, read_scores


@dataclass(frozen=True)
class RunFiles:
    """A finished run: its scores, OOF and fold tables, resolved TOML and environment."""

    scores: Scores
    oof: pd.DataFrame
    folds: pd.DataFrame
    config: str
    environment: dict[str, Any]
    grad_cams: dict[str, bytes]  # a PNG by member, where [[hooks]] drew one

    @property
    def classes(self) -> tuple[str, ...]:
        """The titles of the classes (C,), one for each prediction column."""
        return self.scores.titles

    @property
    def predictions(self) -> np.ndarray[Any, Any]:
        """The OOF predictions (N, C); NaN where nobody validated."""
        # By position: a class called "id" or "fold" has another column name.
        return self.oof.iloc[:, -len(self.classes) :].to_numpy(float)

    @property
    def predicted(self) -> np.ndarray[Any, Any]:
        """The number of the class predicted for each row (N,); -1 where nobody validated."""
        if list(self.oof)[3:5] == ["top1", "p1"]:  # [inference] keep_top kept the best classes only
            return np.asarray(pd.Index(self.scores.classes).get_indexer(pd.Index(self.oof["top1"])))
        known = ~np.isnan(self.predictions).any(axis=1)
        return np.where(known, np.nan_to_num(self.predictions).argmax(axis=1), -1)

    @property
    def labels(self) -> np.ndarray[Any, Any]:
        """The labels: class numbers (N,), or (N, C)."""
        if "label" in self.oof:
            return self.oof["label"].to_numpy()
        return self.oof.iloc[:, 2 : -len(self.classes)].to_numpy(float)

    @property
    def kind(self) -> Literal["classes", "labels", "values"]:
        """What is predicted: one class of several, any number of labels, or values."""
        labels = self.labels
        if labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer) and len(self.classes) > 1:
            return "classes"
        return "labels" if np.isin(labels, (0, 1)).all() else "values"


def read_run(folder: Path) -> RunFiles:
    """Read a run folder. Raise `DataError` with every file that is missing or cannot be read."""
    problems: list[str] = []

    def read(name: str, reader: Callable[[Path], Any]) -> Any:  # noqa: ANN401 - what the reader gives
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing: a run writes it when it ends.")
            return None
        try:
            return reader(path)
        except CompeteError as error:
            problems.append(str(error))
        except Exception as error:  # a damaged file can raise nearly anything
            problems.append(f"cannot read {path}: {error}")

    files = RunFiles(
        scores=read("scores.json", lambda path: read_scores(path.parent)),
        oof=read("oof.parquet", pd.read_parquet),
        folds=read("folds.csv", lambda path: pd.read_csv(path, dtype={"id": str})),
        config=read("config.toml", lambda path: path.read_text("utf-8")),
        environment=read("environment.json", lambda path: json.loads(path.read_text("utf-8"))),
        grad_cams={path.parent.name: path.read_bytes() for path in sorted(folder.glob("members/*/grad_cam.png"))},
    )
    if problems:
        raise DataError(problems)
    return files
