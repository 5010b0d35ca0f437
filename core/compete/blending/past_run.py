"""A finished run's configuration and rows, from its own folder: no images, no network, no hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compete.config.load import Config, load_run_config
from compete.data.columns import encode_columns
from compete.data.dataset import Dataset
from compete.data.stored_tables import read_stored_tables
from compete.errors import CompeteError
from compete.identity import read_sources
from compete.stages.prepare import read_tables
from compete.stages.run_folder import changed_since
from compete.text import format_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from compete.scores import BlendFacts, Scores
    from compete.types import Array, Target

FOLDS_FILE = "folds.csv"


def past_config(folder: Path, overrides: Sequence[str], warn: Callable[[str], None]) -> Config:
    """Return a run's configuration, and warn of files that changed since the run."""
    config = load_run_config(folder, overrides)
    changed = [line for line in changed_since(folder, config, read_sources(config)) if line.startswith("file ")]
    if changed:
        names = format_list(line.removeprefix("file ") for line in changed)
        warn(f"{folder}: {names} changed since the run; its predictions may differ")
    return config


def blended_runs(folder: Path, config: Config, facts: BlendFacts) -> list[Path]:
    """Return the runs that a blend is made of: those of `[blend]`, else its variants', which are beside it.

    Raise `CompeteError` where predictions from elsewhere are in it, or runs are missing.
    """
    if config.blend.files:
        raise CompeteError(
            f"{folder}: {format_list(config.blend.files)} are files of predictions: no network predicts new images"
        )
    named = [Path(run) for run in config.blend.runs] or [folder.with_name(each.name) for each in facts.inputs]
    runs = [run if run.is_dir() else folder.with_name(run.name) for run in named]  # the folders were moved together
    missing = [str(run) for run in runs if not run.is_dir()]
    if missing:
        raise CompeteError(
            f"{folder} blends runs that are missing: {format_list(missing)}. Copy their folders beside it."
        )
    return runs


def past_dataset(folder: Path, config: Config, scores: Scores) -> Dataset:
    """Return a run's rows and labels, with its folds; rows that `folds.csv` lacks are in none.

    Raise `CompeteError` where the files now give other classes.
    """
    tables = read_stored_tables(folder) or read_tables(config)
    target: Target = config.one("targets").build(tables.train)
    if target.classes != scores.classes:
        raise CompeteError(
            f"{folder} was trained on the classes {format_list(scores.classes)}, and the files now give "
            f"{format_list(target.classes)}. Run `compete run {folder / 'config.toml'}` on the files of its training."
        )
    labels, targets = target.labels(tables.train), target.encode(tables.train)
    columns, folds = encode_columns(config.columns, tables), read_run_folds(folder, tables.train["id"].tolist())
    return Dataset(tables, target, targets, labels, columns, folds, scores.folds.key)


def read_run_folds(folder: Path, ids: Sequence[str]) -> Array:
    """Return the fold that a run gave each of these rows, int64 (N,); -1 for a row that it did not have."""
    path = folder / FOLDS_FILE
    try:
        table = pd.read_csv(path, dtype={"id": str, "fold": np.int64}, keep_default_na=False)
        return table.set_index("id")["fold"].reindex(list(ids), fill_value=-1).to_numpy()
    except (OSError, ValueError, KeyError) as error:
        raise CompeteError(f"{path} cannot be read ({error}). Copy the whole folder of the run.") from error
