"""From the members' predictions to those of the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from compete.errors import TrainingError
from compete.predict.parquet import label_columns, write_predictions
from compete.predict.top_k import concatenate, keep_top, known_rows
from compete.run import Run
from compete.stages.members import member_predictions
from compete.types import TopK

if TYPE_CHECKING:
    from compete.config.options import BoundComponent
    from compete.types import Array, Predictions

ROWS_AT_ONCE = 64  # few, because each row brings columns of its own, and the work grows with rows x columns


@dataclass(frozen=True)
class Blend:
    """The run's predictions: OOF (N, C), NaN where nobody validated, and test (T, C)."""

    oof: Predictions
    test: Predictions
    fold_scores: dict[str, float]


def blend(run: Run) -> Blend:
    """Blend the members, write `oof.parquet` and `test.parquet`, and score each member on its fold, TTA included."""
    data, metric = run.dataset, run.metric
    member_oof, member_test = member_predictions(run)
    scores = {}
    for member, predictions in zip(run.members, member_oof, strict=True):
        rows = known_rows(predictions)
        scores[member.name] = float(metric.score(data.labels[rows], predictions[rows]))
    oof, test = _joined(run, member_oof, member_test)
    test = _fill_unreadable(run, test)
    classes, tables = data.target.classes, data.tables
    keys = {"fold": data.folds, **label_columns(data.labels, classes)}
    write_predictions(run.folder / "oof.parquet", tables.train["id"].tolist(), oof, classes, **keys)
    write_predictions(run.folder / "test.parquet", tables.test["id"].tolist(), test, classes)
    return Blend(oof, test, scores)


def _joined(run: Run, oof: Sequence[Predictions], test: Sequence[Predictions]) -> tuple[Predictions, Predictions]:
    ensemble = run.config.one("ensembles")
    best_oof = [part for part in oof if isinstance(part, TopK)]
    best_test = [part for part in test if isinstance(part, TopK)]
    if best_oof:
        return join_top(run, ensemble, best_oof, 0), join_top(run, ensemble, best_test, 1)
    joined: tuple[Array, Array] = ensemble.build(_stacked(oof), run.dataset.labels, _stacked(test), run.metric)
    return joined


def _stacked(members: Sequence[Any]) -> Array:
    return np.stack(members)


def join_top(run: Run, ensemble: BoundComponent, members: Sequence[TopK], which: int) -> TopK:
    """Join members of whom the best classes are kept, some rows at a time, by an ensemble that works row by row.

    Of some rows only the classes that any member names become columns; elsewhere all of them are 0. `which` is 0 for
    OOF and 1 for the test predictions, as the ensemble takes and gives both.
    """
    return concatenate([_join_some(run, ensemble, some, which) for some in _in_chunks(members)])


def _in_chunks(members: Sequence[TopK]) -> Iterator[list[TopK]]:
    for start in range(0, len(members[0]), ROWS_AT_ONCE):
        yield [member[start : start + ROWS_AT_ONCE] for member in members]


def _join_some(run: Run, ensemble: BoundComponent, members: Sequence[TopK], which: int) -> TopK:
    k, classes = members[0].labels.shape[1], members[0].classes
    named = np.unique([member.labels for member in members])
    columns = np.union1d(named, np.arange(k)) if len(named) < k else named  # rows without a image name no class
    local = [TopK(np.searchsorted(columns, m.labels), m.values, len(columns)) for m in members]
    dense = np.stack([member.dense() for member in local])
    none = dense[:, :0]
    oof, test = (none, dense) if which else (dense, none)
    joined = ensemble.build(oof, run.dataset.labels[:0], test, run.metric)[which]
    return keep_top(joined, k, columns, classes)


def _fill_unreadable(run: Run, test: Predictions) -> Predictions:
    """A test row never disappears: one without a readable image gets the mean prediction, and a warning."""
    lost = ~known_rows(test)
    if not lost.any():
        return test
    if lost.all():
        raise TrainingError("no test image could be read")
    ids = run.tables.test["id"][lost].head(5).tolist()
    run.session.warn(f"{lost.sum()} test rows have no readable image and got the mean prediction: {', '.join(ids)}")
    if isinstance(test, TopK):
        return _fill_top(test, lost)
    return np.where(lost[:, None], test[~lost].mean(axis=0), test)


def _fill_top(test: TopK, lost: Array) -> TopK:
    found = test[~lost]
    sums = np.bincount(found.labels.ravel(), weights=found.values.ravel(), minlength=test.classes)
    mean = keep_top(sums[None] / len(found), test.labels.shape[1], np.arange(test.classes), test.classes)
    labels, values = (
        np.where(lost[:, None], filled, kept)
        for filled, kept in ((mean.labels, test.labels), (mean.values, test.values))
    )
    return TopK(labels, values, test.classes)
