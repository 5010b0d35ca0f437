"""What a bundle's script calls: predict a test set without a network, and write it as the run did."""

from __future__ import annotations

import os
from pathlib import Path

from compete.api.blended import open_any
from compete.api.commands import read_rows
from compete.api.predicting import write_both
from compete.scores import read_scores
from compete.store import make_folder
from compete.text import echo


def predict_offline(bundle: Path, run: str, images: str, sample: str, output: str) -> None:
    """Write `test.parquet` and `submission.csv` of these images. What the run's TOML names is below `bundle`."""
    given, target = Path(images).resolve(), Path(output).resolve()
    form = Path(sample).resolve() if sample else None
    make_folder(target)
    os.chdir(bundle)
    folder = Path("runs") / run
    finished = open_any(folder, read_scores(folder))
    is_table = given.suffix.lower() == ".csv"
    rows, root = (read_rows(given), given.parent) if is_table else (given, Path())
    count = len(write_both(finished, target, rows, form, root))
    echo(f"{target / 'submission.csv'}: {count:,} rows")
