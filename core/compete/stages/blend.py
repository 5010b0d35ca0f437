"""Blend the members' predictions into the run's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from compete.errors import TrainingError
from compete.predict.parquet import label_columns, write_predictions
from compete.predict.top_k import concatenate, keep_top, known_rows
from compete.session import OpenRun, Run
from compete.stages.predictions import member_predictions
from compete.text import format_first, plural
from compete.types import TopK

if TYPE_CHECKING:
    from compete.config.options import BoundComponent
    from compete.types import Array, Member, Predictions

ROWS_AT_ONCE = 64  # few: each row adds columns of its own, and the work grows with rows x columns


@dataclass(frozen=True)
class Blend:
    """The run's predictions: OOF (N, C), NaN in rows that no member validates, and test (T, C), if any."""

    oof: Predictions
    test: Predictions | None
    fold_scores: dict[str, float]


def blend(run: Run, refits: Sequence[Member] = ()) -> Blend:
    """Blend the members, write `oof.parquet` and `test.parquet`, and score each member on its fold, with TTA."""
    dataset, metric = run.dataset, run.metric
    member_oof, member_test = member_predictions(run, refits)
    scores = {}
    for member, predictions in zip(run.members, member_oof, strict=True):
        rows = known_rows(predictions)
        scores[member.name] = float(metric.score(dataset.labels[rows], predictions[rows]))
    oof, test = join_members(run, member_oof, member_test)
    classes, tables = dataset.target.classes, dataset.tables
    keys = {"fold": dataset.folds, **label_columns(dataset.labels, classes)}
    write_predictions(run.folder / "oof.parquet", tables.train["id"].tolist(), oof, classes, **keys)
    if not tables.has_test:
        return Blend(oof, None, scores)
    write_predictions(run.folder / "test.parquet", tables.test["id"].tolist(), test, classes)
    return Blend(oof, test, scores)


def join_members(run: OpenRun, oof: Sequence[Any], test: Sequence[Any]) -> tuple[Predictions, Predictions]:
    """Join the members' OOF M x (N, C) and test predictions M x (T, C) by `[ensemble]`; no test row stays without.

    An ensemble takes test predictions too: without any, one validated row of each member stands in for them.
    """
    some = test or [predictions[known_rows(predictions)][:1] for predictions in oof]
    joined, joined_test = _ensembled(run, oof, some)
    return joined, _fill_unreadable(run, joined_test)


def _ensembled(run: OpenRun, oof: Sequence[Any], test: Sequence[Any]) -> tuple[Predictions, Predictions]:
    ensemble = run.config.one("ensembles")
    if isinstance(oof[0], TopK):
        return join_top(run, ensemble, oof, 0), join_top(run, ensemble, test, 1)
    # M x (N, C) -> (M, N, C), M x (T, C) -> (M, T, C)
    columns: list[Any] = []
    if ensemble.component.traits.takes_columns:
        found = run.dataset.columns
        columns = [None if found is None else (found.train, found.test)]
    joined: tuple[Array, Array] = ensemble.build(
        np.stack(oof), run.dataset.labels, np.stack(test), run.metric, *columns
    )
    return joined


def join_top(run: OpenRun, ensemble: BoundComponent, members: Sequence[TopK], which: int) -> TopK:
    """Join the members' best classes, some rows at a time, by an ensemble that works row by row.

    Only classes that some member has among those rows become columns; all other classes are 0 there. `which` is 0 for
    OOF and 1 for test predictions, because the ensemble takes and returns both.
    """
    return concatenate([_join_some(run, ensemble, some, which) for some in _in_chunks(members)])


def _in_chunks(members: Sequence[TopK]) -> Iterator[list[TopK]]:
    for start in range(0, len(members[0]), ROWS_AT_ONCE):
        yield [member[start : start + ROWS_AT_ONCE] for member in members]


def _join_some(run: OpenRun, ensemble: BoundComponent, members: Sequence[TopK], which: int) -> TopK:
    k, classes = members[0].labels.shape[1], members[0].classes
    named = np.unique([member.labels for member in members])  # M x (R, k) -> (U,)
    columns = np.union1d(named, np.arange(k)) if len(named) < k else named  # rows without an image have no class
    # Class numbers (R, k) -> column numbers below U -> (R, U), for each member: (M, R, U)
    local = [TopK(np.searchsorted(columns, m.labels), m.values, len(columns)) for m in members]
    dense = np.stack([member.dense() for member in local])
    none = dense[:, :0]
    oof, test = (none, dense) if which else (dense, none)
    joined = ensemble.build(oof, run.dataset.labels[:0], test, run.metric)[which]
    return keep_top(joined, k, columns, classes)


def _fill_unreadable(run: OpenRun, test: Predictions) -> Predictions:
    """Give test rows without a readable image the mean prediction, with a warning: no row may disappear."""
    lost = ~known_rows(test)
    if not lost.any():
        return test
    if lost.all():
        raise TrainingError("no test image can be read")
    rows = plural(int(lost.sum()), "test row has", "test rows have")
    ids = format_first(run.tables.test["id"][lost].tolist())
    run.session.warn(f"{rows} no readable image and got the mean prediction: {ids}")
    if isinstance(test, TopK):
        return _fill_top(test, lost)
    return np.where(lost[:, None], test[~lost].mean(axis=0), test)  # (T, 1), (C,), (T, C) -> (T, C)


def _fill_top(test: TopK, lost: Array) -> TopK:
    known = test[~lost]
    sums = np.bincount(known.labels.ravel(), weights=known.values.ravel(), minlength=test.classes)  # (R, k) -> (C,)
    mean = keep_top(sums[None] / len(known), test.labels.shape[1], np.arange(test.classes), test.classes)  # (1, k)
    labels = np.where(lost[:, None], mean.labels, test.labels)
    values = np.where(lost[:, None], mean.values, test.values)
    return TopK(labels, values, test.classes)
