"""What the script of a bundle calls: predictions without a network, from the bundle's folder alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

from compete.api.blended import FinishedBlend, open_any
from compete.api.caller import warnings_as_lines
from compete.api.finished import FinishedRun
from compete.api.given import read_rows
from compete.api.predicting import write_both
from compete.config.load import load_run_config
from compete.errors import DataError
from compete.scores import read_scores
from compete.stages.prepare import read_tables
from compete.store import make_folder
from compete.text import echo


@warnings_as_lines()
def predict_offline(bundle: Path, run: str, images: str, sample: str, output: str) -> None:
    """Write `test.parquet` and `submission.csv` of these images. What the run's TOML names is below `bundle`."""
    given, form = Path(images).resolve(), Path(sample).resolve() if sample else None
    finished, _, target = _open(bundle, run, output)
    is_table = given.suffix.lower() == ".csv"
    rows, root = (read_rows(given), given.parent) if is_table else (given, Path())
    _report(target, len(write_both(finished, target, rows, form, root)))


@warnings_as_lines()
def predict_competition(bundle: Path, run: str, data: str, output: str) -> None:
    """Write both files for the test rows that the competition's folder has now, which `[dataset]` finds as in the run.

    A code competition replaces its test set, and with it the sample submission.
    """
    root = Path(data).resolve()
    finished, folder, target = _open(bundle, run, output)
    tables = read_tables(load_run_config(folder, [f"competition.root={json.dumps(str(root))}"]))
    if not tables.has_test:
        raise DataError(f"{root}: [dataset] finds no test rows here")
    _report(target, len(write_both(finished, target, tables.test, tables.sample, root, tables.form)))


def _open(bundle: Path, run: str, output: str) -> tuple[FinishedRun | FinishedBlend, Path, Path]:
    """Return the run on this machine's device, its folder and the target; the bundle becomes the working directory."""
    target = Path(output).resolve()
    make_folder(target)
    os.chdir(bundle)
    folder = Path("runs") / run
    return open_any(folder, read_scores(folder), "auto"), folder, target


def _report(target: Path, rows: int) -> None:
    echo(f"{target / 'submission.csv'}: {rows:,} rows")
