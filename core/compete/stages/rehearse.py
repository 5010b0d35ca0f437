"""Rehearse the end of a run before training: made-up predictions become a submission, which must pass its check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from compete.predict.postprocessing import Step, fit_steps, submission_frame
from compete.submission.check import CheckResult, check_submission
from compete.submission.form import submission_bytes
from compete.submission.sample_cells import compare_cells

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.types import Array, Metric, Tables, Target

MOST_CELLS, MOST_ROWS = 20_000_000, 20_000  # of the rehearsed predictions
MOST_OWN_CELLS = 2_000_000  # if the submission has ids of its own, which needs every test row
MOST_FIT_CELLS, MOST_FIT_ROWS = 1_000_000, 2_000  # what post-processing is fitted on


def rehearse_submission(config: Config, tables: Tables, target: Target, labels: Array, metric: Metric) -> CheckResult:
    """Return what the check finds in a submission of plausible predictions; components raise their own errors.

    The predictions are mixtures of training labels, so that ranges, sums and spellings are the competition's, with
    fractions as a network predicts them. The first rows of a large sample submission are enough.
    """
    some = _some_rows(config, tables, len(target.classes))
    if some is None:
        return CheckResult()
    rng = np.random.default_rng(0)
    if labels.size > MOST_CELLS:
        labels = labels[rng.permutation(len(labels))[: MOST_CELLS * len(labels) // labels.size]]
    apply = _fitted(config, target, labels, metric, rng) if config.many("postprocessors") else np.asarray
    pairs = rng.integers(len(labels), size=(2, len(some.test)))
    extremes = _extremes(labels, len(target.classes))[: (len(some.test) + 1) // 2]
    pairs[:, : len(extremes)] = extremes  # mixed with themselves
    predictions = _mixtures(target, labels[pairs[0]], labels[pairs[1]], rng)
    frame = submission_frame(config, some, apply(predictions), target)
    check = check_submission(frame, some.sample, **config.checks.submission_rules())
    submission_bytes(frame, some.form)  # raises for labels that the sample's encoding lacks
    cells = compare_cells(frame, some.sample, target.classes, _joining(config, target))
    found = [*_separator_problems(config, target), *check.problems, *cells.problems]
    return CheckResult([f"[submission] rehearsed before training: {problem}" for problem in found], cells.warnings)


def _some_rows(config: Config, tables: Tables, classes: int) -> Tables | None:
    """Return the rows to rehearse: the sample's first, or all test rows if the submission has ids of its own."""
    if config.writes_own_ids:
        return tables if len(tables.test) * classes <= MOST_OWN_CELLS else None
    sample = tables.sample.head(max(1, min(MOST_ROWS, MOST_CELLS // classes)))
    return replace(tables, sample=sample, test=tables.test[tables.test["id"].isin(sample.iloc[:, 0])])


def _fitted(config: Config, target: Target, labels: Array, metric: Metric, rng: np.random.Generator) -> Step:
    """Fit `[[postprocess]]` on some training rows, with at least one of each class, as metrics need."""
    classes = len(target.classes)
    most = max(2, min(MOST_FIT_ROWS, MOST_FIT_CELLS // classes))
    each = _extremes(labels, classes) if classes == 1 or labels.ndim > 1 else np.unique(labels, return_index=True)[1]
    rows = pd.unique(np.concatenate([each, rng.permutation(len(labels))]))[:most]
    others = rng.integers(len(labels), size=len(rows))
    oof = _mixtures(target, labels[rows], labels[others], rng)
    return fit_steps(config, oof, labels[rows], metric, target)


def _extremes(labels: Array, classes: int) -> Array:
    """Return the rows with the most labels, and each column's largest and smallest label; none for class numbers."""
    if labels.ndim == 1 and classes > 1:
        return np.zeros(0, np.int64)
    values = labels.reshape(len(labels), -1)  # (N,) or (N, C) -> (N, C)
    return pd.unique(np.array([values.sum(axis=1).argmax(), *values.argmax(axis=0), *values.argmin(axis=0)]))


def _mixtures(target: Target, first: Array, second: Array, rng: np.random.Generator) -> Array:
    """Return predictions float32 (R, C) between two labels, nearer to the first.

    If the target's predictions sum to one in each row, so do these; otherwise each cell has a weight of its own, so
    that nothing can rely on the sum.
    """
    classes = len(target.classes)
    near, far = _as_predictions(first, classes), _as_predictions(second, classes)
    weights = rng.uniform(0.6, 0.95, (len(near), 1 if _sums_to_one(target) else classes)).astype(np.float32)
    return np.asarray(far + weights * (near - far))


def _as_predictions(labels: Array, classes: int) -> Array:
    if labels.ndim > 1 or classes == 1:
        return labels.reshape(len(labels), -1).astype(np.float32)
    predictions = np.zeros((len(labels), classes), np.float32)  # class numbers (R,) -> one-hot (R, C)
    predictions[np.arange(len(labels)), labels] = 1
    return predictions


def _sums_to_one(target: Target) -> bool:
    predictions = target.activation(torch.linspace(-1, 1, 2 * target.outputs).reshape(2, -1))
    return predictions.shape[1] > 1 and np.allclose(predictions.sum(dim=1), 1, atol=1e-3)


def _joining(config: Config, target: Target) -> str:
    """Return what joins several labels in a cell of the submission, or nothing where a cell has one."""
    options = config.one("submissions").options
    return (options["separator"] or target.separator or " ") if "separator" in options else ""


def _separator_problems(config: Config, target: Target) -> Iterator[str]:
    """Compare both separators here: the check splits cells only if it knows the labels."""
    joined, split = _joining(config, target), config.checks.separator
    if joined and split and joined != split:
        yield f"labels are joined by separator = {joined!r}, but [checks] separator = {split!r}. Set both to the same."
