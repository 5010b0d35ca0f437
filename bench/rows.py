"""Time and memory against the number of rows: tables, folds, an epoch's plan, ensemble, score and submission.

    python bench/rows.py --rows 10000 100000 1000000 --classes 65000

Each size runs in a process of its own, on a table of so many training rows and a tenth as many test rows, whose
images are 1,000 files (nothing is decoded). Five members' predictions, the 20 best classes of each row, are drawn,
written and read back as a run does. Prints the seconds of each part and the process's peak memory.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from compete.config.load import Config, load_config
from compete.data.dataset import Dataset
from compete.data.images import ImageIndex, Images, ImagesByRow, ImageSet
from compete.data.loaders import prediction_batches, training_batches
from compete.identity import identify, read_sources
from compete.model.device import make_fabric
from compete.predict.parquet import write_predictions
from compete.predict.postprocessing import submission_frame
from compete.session import Run, Session
from compete.stages.blend import blend
from compete.stages.finish import write_checked
from compete.stages.predictions import OOF, TEST
from compete.stages.prepare import choose_members, prepare
from compete.train.trainer import epoch_order
from compete.types import Tables, TopK

KEPT, FILES = 20, 1000
TOML = f"""\
[competition]
name = "rows"
root = "data"
[dataset]
name = "csv"
test = "test.csv"
image = "images/{{file}}"
group = "group"
[target]
name = "label"
column = "label"
[folds]
name = "stratified_group"
n = 5
[metric]
name = "macro_f1"
[model]
name = "resnet9"
[inference]
keep_top = {KEPT}
[checks]
missing_class = "warn"
"""


def draw(root: Path, rows: int, classes: int) -> None:
    """Write the tables, with a long tail of classes, and empty image files."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    for number in range(FILES):
        (root / f"images/{number}.jpg").touch()
    labels = np.concatenate([np.arange(classes), (classes * rng.random(rows) ** 3).astype(int)])[:rows]
    train = pd.DataFrame({"id": np.arange(rows), "group": np.arange(rows) // 2, "label": labels})
    test = pd.DataFrame({"id": [f"t{number}" for number in range(rows // 10)]})
    for table, name in ((train, "train.csv"), (test, "test.csv")):
        table.assign(file=[f"{number % FILES}.jpg" for number in range(len(table))]).to_csv(root / name, index=False)
    test.assign(label=0).to_csv(root / "sample_submission.csv", index=False)


def drawn_predictions(rows: int, classes: int, seed: int) -> TopK:
    """Draw 20 different classes for each row, in neighbourhoods as a network's confusions are."""
    rng = np.random.default_rng(seed)
    labels = (rng.integers(classes, size=(rows, 1)) + np.arange(KEPT) * 7) % classes
    values = np.sort(rng.random((rows, KEPT), np.float32), axis=1)[:, ::-1] / KEPT
    return TopK(labels.astype(np.int32), np.ascontiguousarray(values), classes)


def measure(rows: int, classes: int) -> None:
    """Run every part once and print its seconds."""
    draw(Path("data"), rows, classes)
    Path("rows.toml").write_text(TOML)
    marks = [("", time.perf_counter())]

    def done(part: str) -> None:
        marks.append((part, time.perf_counter()))

    config = load_config(Path("rows.toml"))
    dataset = prepare(config, read_sources(config), Path("submissions/rows/folds"))
    done("tables, target, folds")
    run = run_of(config, dataset)
    train = run.images.train.by_row
    order = epoch_order(run, np.arange(rows), seed=0)
    plan = training_batches(order, train, np.random.default_rng(0), 64, drop_last=True)
    read = sum(len(batch) for batch in plan) + sum(len(b) for b in prediction_batches(np.arange(rows), train, 64))
    done(f"an epoch's batches, {read:,} images")
    write_members(run, dataset.tables, len(dataset.target.classes))
    done("members' predictions written")
    blended = blend(run)
    done("read, ensemble, scores")
    write_checked(run, submission_frame(run.config, run.tables, blended.test, run.target))
    done("submission")
    parts = [f"{name} {end - start:.1f} s" for (_, start), (name, end) in itertools.pairwise(marks)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{rows:>9,} rows, {classes:,} classes: {'; '.join(parts)}; peak memory {peak:.2f} GiB", flush=True)


def run_of(config: Config, dataset: Dataset) -> Run:
    """Return a run of a dataset without any image."""
    fabric, manager = make_fabric(config.training), config.plugins.new_manager()
    session = Session(config, Path("submissions/rows/run-001"), fabric, manager)
    train, test = (
        ImageSet([], ImagesByRow(ImageIndex.of(t).rows, len(t)), {})
        for t in (dataset.tables.train, dataset.tables.test)
    )
    members = tuple(choose_members(config, dataset.folds))
    identity = identify(config, {}, dataset, [], [])
    return Run(session, dataset, Images(train, test, None), members, nn.Identity(), identity)


def write_members(run: Run, tables: Tables, classes: int) -> None:
    """Write drawn predictions as members do: OOF of their own fold, and the test rows."""
    names = run.target.classes
    for member in run.members:
        rows = np.flatnonzero(run.dataset.folds == member.fold)
        folder = run.member_folder(member)
        for file, table in ((OOF, tables.train.iloc[rows]), (TEST, tables.test)):
            best = drawn_predictions(len(table), classes, member.fold)
            write_predictions(folder / file, table["id"].tolist(), best, names)


def main() -> None:
    """Measure each number of rows in a fresh process and folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--classes", type=int, default=65_000)
    parser.add_argument("--here", action="store_true", help="measure in this process and folder")
    options = parser.parse_args()
    if options.here:
        measure(options.rows[0], min(options.classes, options.rows[0]))
        return
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, pandas {pd.__version__}, NumPy {np.__version__}")
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["--here", "--rows", str(rows), "--classes", str(options.classes)]
            subprocess.run([sys.executable, str(Path(__file__).resolve()), *arguments], cwd=folder, check=True)


if __name__ == "__main__":
    main()
