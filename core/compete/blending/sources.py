"""Where a blend's predictions come from: finished runs, and files with out-of-fold and test predictions by id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from compete.blending.past_run import read_run_folds
from compete.errors import ConfigError, DataError
from compete.identity import digest_file
from compete.predict.parquet import class_columns, label_columns, read_predictions
from compete.predict.top_k import known_rows
from compete.scores import read_scores
from compete.stages.run_folder import check_format, read_state
from compete.text import format_first, format_list, plural
from compete.types import TopK

if TYPE_CHECKING:
    from compete.config.settings import Blend
    from compete.data.dataset import Dataset
    from compete.scores import Scores
    from compete.types import Array, Predictions

OOF, TEST = "oof.parquet", "test.parquet"
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Source:
    """One input of a blend: OOF (N, C), NaN in rows that it did not validate, and test predictions (T, C), if any.

    Both are in the row order of the first run's tables. `folds` int64 (N,) are its own, None for a file; `seconds` is
    the training time of a run.
    """

    name: str
    model: str
    metric: str
    oof: Predictions
    test: Predictions | None
    folds: Array | None
    seconds: float


def source_files(blend: Blend) -> dict[str, Path]:
    """Return the files that a blend depends on, by what they are called in its key."""
    runs = {f"{Path(run).name} {name}": Path(run) / name for run in blend.runs for name in (OOF, TEST)}
    others = {f"{name} {part}": Path(file) for name, files in blend.files.items() for part, file in enumerate(files)}
    return {name: path for name, path in (runs | others).items() if path.is_file()}


def digest_sources(blend: Blend) -> dict[str, str]:
    """Return the digests of the files that a blend depends on."""
    return {f"blend {name}": digest_file(path) for name, path in source_files(blend).items()}


def finished_scores(folder: Path) -> Scores:
    """Return a finished run's scores. Raise `ConfigError` for a folder without them."""
    state = read_state(folder)
    if state is None or not state.finished:
        raise ConfigError(f"{folder}: not a finished run. `compete runs` lists the runs.")
    check_format(folder, state)
    return read_scores(folder)


def read_all(blend: Blend, dataset: Dataset, log: Callable[[str], None]) -> list[Source]:
    """Return every source, in the order of the TOML. Raise `DataError` with the problems of all of them."""
    names = [Path(run).name for run in blend.runs]
    places = [Path(run).resolve() for run in blend.runs]
    again = sorted({run for run, place in zip(blend.runs, places, strict=True) if places.count(place) > 1})
    if again:
        raise ConfigError(f"[blend] runs: {format_list(again)}: the same run more than once. Name each once.")
    twice = sorted({name for name in (*names, *blend.files) if [*names, *blend.files].count(name) > 1})
    if twice:
        raise ConfigError(f"[blend]: several inputs are called {format_list(twice)}. Give each another name.")
    found: list[Source] = []
    problems: list[str] = []
    readers: list[Callable[[], Source]] = [
        *(lambda run=run: _of_run(Path(run), dataset, log) for run in blend.runs),
        *(lambda name=name, files=files: _of_files(name, files, dataset, log) for name, files in blend.files.items()),
    ]
    for reader in readers:
        try:
            found.append(reader())
        except (ConfigError, DataError) as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return found


def _of_run(folder: Path, dataset: Dataset, log: Callable[[str], None]) -> Source:
    scores, classes = finished_scores(folder), dataset.target.classes
    if set(scores.classes) != set(classes):
        other = sorted(set(scores.classes) ^ set(classes))
        raise DataError(f"{folder}: its classes are others than the first run's: {format_list(other)}")
    train, test = dataset.tables.train["id"].tolist(), dataset.tables.test["id"].tolist()
    oof, predicted = read_predictions(folder / OOF, train, classes), None
    _refuse_other_labels(folder, dataset, log)
    _log_unmatched(folder / OOF, train, log)
    if dataset.tables.has_test:
        predicted = read_predictions(folder / TEST, test, classes)
        _log_unmatched(folder / TEST, test, log)
        _refuse_gaps(folder / TEST, predicted, test)
    folds = read_run_folds(folder, train)
    return Source(folder.name, scores.model, scores.metric, oof, predicted, folds, scores.seconds)


def _refuse_other_labels(folder: Path, dataset: Dataset, log: Callable[[str], None]) -> None:
    """Raise `DataError` if the run learned other labels for the same ids; report labels of another form."""
    wanted = label_columns(dataset.labels, dataset.target.classes)
    if not set(wanted) <= set(pq.read_schema(folder / OOF).names):
        log(f"{folder}: its labels have another form than the first run's, so they were not compared")
        return
    stored = pd.read_parquet(folder / OOF, columns=["id", *wanted]).set_index("id")
    ids = dataset.tables.train["id"]
    both = ids[ids.isin(stored.index)]
    mine = pd.DataFrame(wanted, index=ids).loc[both].to_numpy(np.float64)
    theirs = stored.loc[both, list(wanted)].to_numpy(np.float64)
    differ = ~np.isclose(mine, theirs, rtol=1e-5, atol=1e-6, equal_nan=True).all(axis=1)
    if differ.any():
        rows = f"{plural(int(differ.sum()), 'row')} of {len(both):,}"
        raise DataError(
            f"{folder}: {rows} had another label there than in the first run: id {format_first(both[differ].tolist())}"
        )


def _log_unmatched(path: Path, wanted: Sequence[str], log: Callable[[str], None]) -> None:
    """Report rows of a run's file that the first run lacks. Raise `DataError` where none is common."""
    _log_unmatched_ids(path, pd.read_parquet(path, columns=["id"])["id"], wanted, log)


def _log_unmatched_ids(path: Path, ids: pd.Series[str], wanted: Sequence[str], log: Callable[[str], None]) -> None:
    common = len(set(ids) & set(wanted))
    if not common:
        raise DataError(
            f"{path}: none of its {len(ids):,} ids is in the first run, such as '{ids.iloc[0] if len(ids) else ''}'; "
            f"the first run has ids such as '{wanted[0]}'"
        )
    if common < len(ids):
        log(f"{path}: {plural(len(ids) - common, 'row')} left out, whose ids the first run does not have")


def _refuse_gaps(path: Path, predictions: Predictions, ids: Sequence[str]) -> None:
    lacking = ~known_rows(predictions)
    if lacking.any():
        first = format_first(np.asarray(ids, dtype=object)[lacking].tolist())
        raise DataError(f"{path}: {plural(int(lacking.sum()), 'test row')} without a prediction: id {first}")


def _of_files(name: str, files: Sequence[str], dataset: Dataset, log: Callable[[str], None]) -> Source:
    """Read foreign predictions: out-of-fold ones, and those of the test set where there is one."""
    paths = [Path(file) for file in files]
    if dataset.tables.has_test and len(paths) < 2:
        raise ConfigError(f'[blend] files.{name}: needs two files, out-of-fold and test: ["oof.csv", "test.csv"].')
    train, test = dataset.tables.train["id"].tolist(), dataset.tables.test["id"].tolist()
    oof, predicted = _read_table(paths[0], train, dataset, log), None
    if dataset.tables.has_test:
        predicted = _read_table(paths[1], test, dataset, log)
        _refuse_gaps(paths[1], predicted, test)
    return Source(name, "foreign predictions", "", oof, predicted, None, 0.0)


def _read_table(path: Path, ids: Sequence[str], dataset: Dataset, log: Callable[[str], None]) -> Array:
    """Return a file's predictions float32 (len(ids), C) in the order of `ids`; NaN for ids that it lacks."""
    table = _open_table(path)
    table = table.set_index(table.columns[0] if "id" not in table else "id")
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise DataError(f"{path}: ids are there more than once: {format_first(repeated.unique().tolist())}")
    _log_unmatched_ids(path, table.index.to_series(), ids, log)
    columns = _class_columns(path, table, dataset)
    try:
        values = table[columns].to_numpy(np.float64)
    except ValueError as error:
        raise DataError(f"{path}: non-numeric cells: {error}") from error
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        first = format_first(table.index[bad].tolist())
        raise DataError(f"{path}: {plural(int(bad.sum()), 'row')} with empty, NaN or infinite cells: id {first}")
    if note := _scale_note(path, values, dataset):
        log(note)
    return pd.DataFrame(values, table.index).reindex(list(ids)).to_numpy(np.float32)


def _open_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet table, its ids as strings."""
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            first = pd.read_csv(path, nrows=0).columns[0]
            table = pd.read_csv(path, dtype={first: str, "id": str}, keep_default_na=False, na_values=[""])
    except Exception as error:  # pandas and pyarrow raise a dozen types for a damaged file
        raise DataError(f"{path} cannot be read: {error}") from error
    key = "id" if "id" in table else table.columns[0]
    return table.assign(**{str(key): table[key].astype(str)})


def _class_columns(path: Path, table: pd.DataFrame, dataset: Dataset) -> list[str]:
    """Return the columns with the predictions of the classes, in their order; a single output may have any name."""
    wanted, others = class_columns(dataset.target.classes), [name for name in table if name not in ("fold", "label")]
    if set(wanted) <= set(table):
        return wanted
    if len(wanted) == 1 and len(others) == 1:
        return [str(others[0])]
    lacking = [name for name in wanted if name not in table]
    raise DataError(
        f"{path}: no column for {plural(len(lacking), 'class', 'classes')}: {format_first(lacking)}. "
        f"Its columns: {format_list(map(str, table))}."
    )


def _scale_note(path: Path, values: Array, dataset: Dataset) -> str:
    """Return a note on predictions that are not probabilities where those of a class among several should be."""
    labels = dataset.labels
    if labels.ndim > 1 or not np.issubdtype(labels.dtype, np.integer) or values.shape[1] < 2:
        return ""
    sums = values.sum(axis=1)
    if values.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE:
        return ""
    return (
        f"{path}: its rows are not probabilities (values {values.min():.3g} to {values.max():.3g}, sums "
        f"{sums.min():.3g} to {sums.max():.3g}); a mean counts them as they are, rank_mean by their order"
    )


def shared_rows(sources: Sequence[Source], log: Callable[[str], None]) -> Array:
    """Return the rows that every source validated, bool (N,). Raise `DataError` if there are none."""
    known = np.stack([known_rows(source.oof) for source in sources])  # M x (N,) -> (M, N)
    shared = known.all(axis=0)
    if not shared.any():
        counts = ", ".join(f"{source.name} {int(rows.sum()):,}" for source, rows in zip(sources, known, strict=True))
        raise DataError(f"[blend]: no row has out-of-fold predictions of every input (rows: {counts})")
    some = int((known.any(axis=0) & ~shared).sum())
    if some:
        log(f"{plural(some, 'row')} with out-of-fold predictions of some inputs only: not blended, not scored")
    return np.asarray(shared)


def kinds_agree(sources: Sequence[Source]) -> None:
    """Raise `DataError` if some inputs keep the best classes only."""
    best = [source.name for source in sources if isinstance(source.oof, TopK)]
    if best and len(best) < len(sources):
        raise DataError(f"[blend]: {format_list(best)} kept the best classes only ([inference] keep_top), others all")


def kept_note(sources: Sequence[Source]) -> str:
    """Say what a blend of the best classes assumes."""
    kept = format_list(sorted({str(s.oof.labels.shape[1]) for s in sources if isinstance(s.oof, TopK)}, key=int))
    return (
        f"these runs kept the best {kept} classes of a row ([inference] keep_top): a class that a run did not keep "
        "counts 0 there, and scores and test predictions are blended like this alike"
    )


def disagreements(sources: Sequence[Source]) -> Iterator[str]:
    """Yield what differs between the runs and may surprise: the metric that chose their epochs."""
    metrics = {source.metric for source in sources if source.metric}
    if len(metrics) > 1:
        named = ", ".join(f"{source.name} {source.metric}" for source in sources if source.metric)
        yield f"the runs chose their epochs by different metrics ({named}); the first run's scores the blend"
