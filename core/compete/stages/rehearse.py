"""Rehearse a run before it trains: each fold's labels, loss and batches, the ensemble, and the submission.

Predictions are made up: mixtures of training labels, with fractions as a network predicts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from compete.errors import CompeteError, ConfigError, UserError, code_of_others, error_location
from compete.model.finetune import plan_training, set_trainable, set_training_mode
from compete.model.losses import joint_loss, soft_targets
from compete.predict.postprocessing import Step, fit_steps, submission_frame
from compete.submission.check import CheckResult, check_submission
from compete.submission.form import submission_bytes
from compete.submission.sample_cells import compare_cells, joining, separator_problems
from compete.text import format_list, plural
from compete.types import TopK

if TYPE_CHECKING:
    from torch import nn

    from compete.config.load import Config
    from compete.data.dataset import Dataset
    from compete.types import Array, Member, Metric, Tables, Target

MOST_CELLS, MOST_ROWS = 20_000_000, 20_000  # of the rehearsed predictions
MOST_OWN_CELLS = 2_000_000  # if the submission has ids of its own, which needs every test row
MOST_FIT_CELLS, MOST_FIT_ROWS = 1_000_000, 2_000  # what ensemble and post-processing are fitted on
MEMBERS, MOST_ROUNDS, LOSS_ROWS = 2, 20, 64
NO_NUMBERS = ("nan", "inf", "infinity")  # as programs read them


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
    apply = _fitted(config, target, labels, metric, rng)
    found, cells = [*separator_problems(config, target)], CheckResult()
    extremes = _extremes(labels, len(target.classes))
    at_once = max(1, len(some.test) // 2)  # the others are drawn at random
    for start in range(0, max(1, len(extremes)), at_once)[:MOST_ROUNDS]:  # until each class had a row
        pairs = rng.integers(len(labels), size=(2, len(some.test)))
        of_classes = extremes[start : start + at_once]
        pairs[:, : len(of_classes)] = of_classes  # mixed with themselves
        predictions = apply(_mixtures(target, labels[pairs[0]], labels[pairs[1]], rng))
        frame = submission_frame(config, some, predictions, target)
        check = check_submission(frame, some.sample, **config.checks.submission_rules())
        submission_bytes(frame, some.form)  # raises for labels that the sample's encoding lacks
        cells = compare_cells(frame, some.sample, target.classes, joining(config, target))
        found += [*check.problems, *cells.problems]
        if found:
            break
    odd = [name for name in target.classes if name.lower().lstrip("+-") in NO_NUMBERS] if found else []
    if odd:
        found.append(f"the class {format_list(odd)} does not read as a label: list all labels in [checks] allowed.")
    return CheckResult([f"[submission] rehearsed before training: {problem}" for problem in found], cells.warnings)


def _some_rows(config: Config, tables: Tables, classes: int) -> Tables | None:
    """Return the rows to rehearse: the sample's first, or all test rows if the submission has ids of its own."""
    if config.writes_own_ids:
        return tables if len(tables.test) * classes <= MOST_OWN_CELLS else None
    sample = tables.sample.head(max(1, min(MOST_ROWS, MOST_CELLS // classes)))
    return replace(tables, sample=sample, test=tables.test[tables.test["id"].isin(sample.iloc[:, 0])])


def _fitted(config: Config, target: Target, labels: Array, metric: Metric, rng: np.random.Generator) -> Step:
    """Return what makes submitted predictions of members' ones: ensemble and `[[postprocess]]`, fitted on some rows."""
    ensemble = config.one("ensembles")
    if config.inference.keep_top:
        return np.asarray  # an ensemble that works row by row, and nothing after it
    rows = some_rows(labels, len(target.classes), rng)
    known = labels[rows]
    oof = np.stack([_mixtures(target, known, known[rng.permutation(len(rows))], rng) for _ in range(MEMBERS)])

    def blended(test: Array) -> tuple[Array, Array]:
        columns = _made_up_columns(config, len(known), len(test))
        with _suited(f'[ensemble] name = "{ensemble.name}"'):
            joined: tuple[Array, Array] = ensemble.build(oof, known, np.stack([test] * MEMBERS), metric, *columns)
        for made, given in zip(joined, (oof[0], test), strict=True):
            if np.shape(made) != given.shape or not np.isfinite(made).all():
                raise ConfigError(
                    f'[ensemble] name = "{ensemble.name}": gives {np.shape(made)} for predictions {given.shape}, or '
                    "numbers that are not finite. It does not suit this target."
                )
        return joined

    with _suited("[[postprocess]]"):
        steps = fit_steps(config, blended(oof[0])[0], known, metric, target)
    _score(metric, known, steps(blended(oof[0])[0]), "after [[postprocess]], the predictions")
    return lambda predictions: steps(blended(predictions)[1])


def _made_up_columns(config: Config, *rows: int) -> list[tuple[Array, ...] | None]:
    """Return what an ensemble takes beside predictions: features of so many training and test rows, if it takes any."""
    if not config.one("ensembles").component.traits.takes_columns:
        return []
    if not (config.columns.numeric or config.columns.categorical):
        return [None]
    return [tuple(np.linspace(0, 1, count, dtype=np.float32)[:, None] for count in rows)]


def some_rows(labels: Array, classes: int, rng: np.random.Generator) -> Array:
    """Return some rows of labels, with at least one of each class, as metrics need."""
    most = max(2, min(MOST_FIT_ROWS, MOST_FIT_CELLS // classes))
    return pd.unique(np.concatenate([_extremes(labels, classes), rng.permutation(len(labels))]))[:most]


@contextmanager
def _suited(where: str) -> Iterator[None]:
    """Raise `ConfigError` that names the place for whatever a component raises."""
    try:
        with code_of_others(partial(_unsuited, where)):
            yield
    except UserError:
        raise
    except CompeteError as error:
        raise ConfigError(f"{where}: does not suit this target or metric: {error}") from error


def _unsuited(where: str, error: BaseException) -> ConfigError:
    return ConfigError(f"{where}: does not suit this target: it raised {error!r} at {error_location(error)}")


def _score(metric: Metric, labels: Array, predictions: Array | TopK, what: str) -> None:
    """Score predictions; raise `ConfigError` that names them if that is not possible."""
    try:
        with code_of_others(partial(_unsuited, "[metric]")):
            score = float(metric.score(labels, predictions))
    except CompeteError as error:
        problem = str(error).removeprefix("[metric] ")
        raise ConfigError(f"[metric]: {what} cannot be scored: {problem}") from error
    if not np.isfinite(score):
        raise ConfigError(f"[metric]: {what} score {score}: the metric does not suit these labels")


def rehearse_scores(
    config: Config, target: Target, labels: Array, folds: Array, metric: Metric, members: Sequence[Member]
) -> None:
    """Score made-up predictions of every fold's own labels. Raise `ConfigError` that names the fold, and what helps."""
    rng, classes = np.random.default_rng(0), len(target.classes)
    for fold in sorted({member.fold for member in members}):
        own = labels[folds == fold]
        own = own[some_rows(own, classes, rng)]
        if config.inference.keep_top:
            made: Array | TopK = TopK(own[:, None], np.ones((len(own), 1), np.float32), classes)  # (R,) -> (R, 1)
        else:
            made = _mixtures(target, own, own[rng.permutation(len(own))], rng)
        try:
            _score(metric, own, made, f"the {plural(len(labels[folds == fold]), 'label')} of fold {fold}")
        except ConfigError as error:
            raise ConfigError(
                f"{error} Every fold needs labels that the metric can score: set fewer folds ([folds] n), "
                "stratified ones, or a metric that can score them."
            ) from error
    if not config.inference.keep_top:
        _rehearse_gaps(config, target, labels, folds, metric, members)


def _rehearse_gaps(
    config: Config, target: Target, labels: Array, folds: Array, metric: Metric, members: Sequence[Member]
) -> None:
    """Join predictions that each fold has of its own rows only. Raise `ConfigError` where the ensemble needs more."""
    chosen = sorted({member.fold for member in members})[:MEMBERS]
    ensemble, rng = config.one("ensembles"), np.random.default_rng(0)
    own = [some[some_rows(some, len(target.classes), rng)] for some in (labels[folds == fold] for fold in chosen)]
    known = np.concatenate(own)
    made = _mixtures(target, known, known[rng.permutation(len(known))], rng)
    owner = np.repeat(chosen, [len(some) for some in own])[:, None]  # (R, 1)
    oof = np.stack([np.where(owner == fold, made, np.nan) for fold in chosen])
    columns = _made_up_columns(config, len(known), 1)
    with _suited(f'[ensemble] name = "{ensemble.name}"'):
        ensemble.build(oof, known, np.stack([made[:1]] * len(own)), metric, *columns)


def rehearse_training(
    config: Config, target: Target, targets: Array, labels: Array, folds: Array, members: Sequence[Member]
) -> None:
    """Draw an epoch and compute the loss for each fold's training rows. Raise `ConfigError` for what cannot train."""
    for fold in sorted({member.fold for member in members}):
        rows = np.flatnonzero(folds != fold)
        if not len(rows):
            raise ConfigError(f"[folds]: fold {fold} validates every row, so none is left to train on")
        if not len(drawn(config, labels[rows])):
            raise ConfigError(f'[sampler] name = "{config.one("samplers").name}": draws no row of the {len(rows):,}')
        _try_loss(config, target, targets[rows])


def drawn(config: Config, labels: Array) -> list[int]:
    """Return the rows of an epoch, as the sampler draws them among those with these labels."""
    sampler = config.one("samplers")
    with _suited(f'[sampler] name = "{sampler.name}"'):
        return [int(row) for row in sampler.build(labels, torch.Generator().manual_seed(0))]


def _try_loss(config: Config, target: Target, targets: Array) -> None:
    """Compute the loss of some logits, and its gradients."""
    bound, some = config.one("losses"), torch.from_numpy(targets[:LOSS_ROWS])
    logits = torch.linspace(-1, 1, len(some) * target.outputs).reshape(len(some), -1).requires_grad_()
    with _suited(f'[loss] name = "{bound.name}"'):
        loss = joint_loss(bound, target, targets)
        value = loss(logits, soft_targets(some, target) if config.many("batch_transforms") else some)
        (gradient,) = torch.autograd.grad(value, logits)
    if value.ndim or not bool(torch.isfinite(value)) or not bool(gradient.isfinite().all()):
        raise ConfigError(f'[loss] name = "{bound.name}": its value or gradients are not finite for these labels')


def rehearse_single(config: Config, dataset: Dataset, members: Sequence[Member], network: nn.Module) -> None:
    """Raise `ConfigError` if some batch has one image and the network cannot train on it, as with batch norm."""
    settings = config.training
    for fold in sorted({member.fold for member in members}):
        draws = len(drawn(config, dataset.labels[dataset.folds != fold]))
        last = draws % settings.batch_size or settings.batch_size
        if last != 1 or (settings.drop_last and draws > 1 and settings.batch_size > 1):
            continue
        problem = _training_problem(config, dataset, network)
        if problem:
            raise ConfigError(
                f"[training] batch_size = {settings.batch_size}: the last batch of fold {fold} ({draws:,} rows drawn) "
                f"has one image, and the network cannot train on one: {problem}. Set another batch_size"
                + (", or drop_last = true." if not settings.drop_last and settings.batch_size > 1 else ".")
            )
        return


def _training_problem(config: Config, dataset: Dataset, network: nn.Module) -> str:
    """Return why a copy of the network cannot train on one noise image, or an empty string."""
    copy = deepcopy(network)
    set_trainable(copy, plan_training(copy, config, dataset.target.outputs), config.training.epochs)
    set_training_mode(copy)
    inputs = [torch.randn(1, config.images.channels, *config.images.size)]
    if dataset.columns is not None:
        inputs.append(torch.randn(1, dataset.column_count))
    try:
        with torch.no_grad():
            copy(*inputs)
    except ValueError as error:
        return str(error)
    return ""


def _extremes(labels: Array, classes: int) -> Array:
    """Return the first row of each class or, of other labels, that with most and each column's largest and smallest."""
    if labels.ndim == 1 and classes > 1:
        return np.unique(labels, return_index=True)[1]
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
