"""Blend the members' predictions into the run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from compete.errors import TrainingError
from compete.predict.parquet import label_columns, write_predictions
from compete.predict.top_k import join_top, keep_top, known_rows
from compete.session import OpenRun, Run
from compete.stages.predictions import member_predictions
from compete.text import format_first, plural
from compete.types import TopK

if TYPE_CHECKING:
    from compete.types import Array, Member, Predictions


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
        labels, metric = run.dataset.labels, run.metric
        return join_top(ensemble, oof, labels, metric), join_top(ensemble, test, labels, metric, test=True)
    # M x (N, C) -> (M, N, C), M x (T, C) -> (M, T, C)
    columns: list[Any] = []
    if ensemble.component.traits.takes_columns:
        found = run.dataset.columns
        columns = [None if found is None else (found.train, found.test)]
    joined: tuple[Array, Array] = ensemble.build(
        np.stack(oof), run.dataset.labels, np.stack(test), run.metric, *columns
    )
    return joined


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
