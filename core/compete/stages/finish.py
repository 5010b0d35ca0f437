"""From member predictions to a checked submission and its scores: ensemble, post-processing, check, write."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from compete.data.folds import class_totals, fold_counts
from compete.data.stored_tables import write_tables
from compete.errors import CompeteError, SubmissionError
from compete.identity import digest_file
from compete.predict.postprocessing import Step, fit_steps
from compete.predict.top_k import known_rows, top_labels
from compete.scores import (
    FORMAT,
    ClassScores,
    CvScores,
    EpochScores,
    FoldFacts,
    MemberScores,
    Scores,
    SubmissionFacts,
    read_scores,
)
from compete.session import Run, RunRows
from compete.stages.blend import Blend
from compete.submission.check import check_submission
from compete.submission.csv_file import read_submission, write_submission
from compete.toml.overrides import override_keys
from compete.types import TopK

if TYPE_CHECKING:
    from pathlib import Path

    from compete.config.load import Config
    from compete.data.dataset import Dataset
    from compete.types import Array, MemberResult, Metric, Predictions

T = TypeVar("T")
PARTS = 5


@dataclass(frozen=True)
class FittedPostprocessing:
    """Post-processing fitted on the whole OOF, and the OOF score it gives when fitted on the other folds only."""

    apply: Callable[[Any], Any]
    nested_score: float | None


def fit_postprocessing(run: RunRows, oof: Predictions) -> FittedPostprocessing:
    """Fit `[[postprocess]]` on OOF. Its gain is measured part by part, so that it is not fitted on what it scores."""
    if not run.config.many("postprocessors") or isinstance(oof, TopK):
        return FittedPostprocessing(lambda predictions: predictions, None)
    labels, known = run.dataset.labels, known_rows(oof)
    parts = nested_parts(run.dataset, known, run.config.training.seed)

    def fit(oof: Array, labels: Array) -> Step:
        return fit_steps(run.config, oof, labels, run.metric, run.target)

    nested = np.full_like(oof, np.nan, dtype=np.float64)
    for part in np.unique(parts[known]):
        inside, outside = known & (parts == part), known & (parts != part)
        nested[inside] = fit(oof[outside], labels[outside])(oof[inside])
    score = float(run.metric.score(labels[known], nested[known]))
    return FittedPostprocessing(fit(oof[known], labels[known]), score)


def nested_parts(dataset: Dataset, known: Array, seed: int) -> Array:
    """Return the parts to fit on by turns: the folds or, where one fold was validated, five parts that keep groups."""
    if len(np.unique(dataset.folds[known])) > 1:
        return dataset.folds
    train = dataset.tables.train
    units = pd.factorize(train["group"] if "group" in train else train["id"])[0]
    shuffled = np.random.default_rng(seed).permutation(units.max() + 1)
    return np.asarray(shuffled[units] % PARTS)


def write_checked(run: RunRows, frame: pd.DataFrame) -> SubmissionFacts:
    """Check the submission, write it, read it back as the platform will, and check that too."""
    data = run.dataset
    shares = train_shares(data.target.classes, data.labels)
    rules = run.config.checks.submission_rules()
    before = check_submission(frame, data.tables.sample, train_shares=shares, **rules)
    if before.problems:
        raise SubmissionError(before.problems)
    path = run.folder / "submission.csv"
    _keep_edited(run, path)
    digest = write_submission(frame, path, data.tables.form)
    after = check_submission(read_submission(path, data.tables.form), data.tables.sample, train_shares=shares, **rules)
    if after.problems:
        raise SubmissionError(after.problems)
    for warning in after.warnings:
        run.session.warn(f"submission: {warning}")
    return SubmissionFacts(
        path=str(path),
        rows=len(frame),
        sha256=digest,
        warnings=tuple(after.warnings),
        label_shares=label_shares(frame, len(data.target.classes)),
    )


def _keep_edited(run: RunRows, path: Path) -> None:
    """Keep a submission that was edited after this run wrote it, under another name."""
    try:
        written = read_scores(run.folder).submission
        digest = digest_file(path)
    except (CompeteError, OSError):  # the first time, or one of the two was removed
        return
    if written is None or digest != written.sha256:
        kept = path.with_name(f"submission.edited-{digest[:8]}.csv")
        path.replace(kept)
        run.session.warn(f"{path} was edited after the run wrote it; it is kept as {kept.name} and written again")


def store_tables(run: RunRows) -> None:
    """Store the rows, so that the run can predict other images without the competition's files."""
    if reason := write_tables(run.folder, run.tables):
        run.session.warn(f"its rows cannot be stored ({reason}): to predict new images, it reads them again")


def label_shares(frame: pd.DataFrame, classes: int) -> dict[str, float]:
    """Return each label's share of a submission's rows; nothing where a row has more than one label, or a number."""
    column = frame.iloc[:, -1]
    if frame.shape[1] != 2 or column.nunique() > classes:
        return {}
    return {str(label): float(share) for label, share in column.astype(str).value_counts(normalize=True).items()}


def train_shares(classes: Sequence[str], labels: Array) -> dict[str, float]:
    """Return each class's share of the training rows, from labels (N,) or (N, C); nothing for values."""
    counts = class_totals(labels, len(classes))
    if counts is None:
        return {}
    return dict(zip(classes, (counts / len(labels)).tolist(), strict=True))


def class_scores(classes: Sequence[str], labels: Array, oof: Predictions) -> tuple[ClassScores, ...]:
    """Return precision, recall, F1 and support of each class on OOF (N, C); nothing where rows have no single class."""
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or oof.shape[1] < 2:
        return ()
    from sklearn.metrics import precision_recall_fscore_support

    known = known_rows(oof)
    predicted = top_labels(oof[known], 1)[:, 0]
    columns = precision_recall_fscore_support(labels[known], predicted, labels=np.arange(len(classes)), zero_division=0)
    return tuple(
        ClassScores(name=name, precision=precision, recall=recall, f1=f1, support=support)
        for name, precision, recall, f1, support in zip(classes, *(c.tolist() for c in columns), strict=True)
    )


def cv_scores(metric: Metric, labels: Array, blended: Blend, postprocessed: float | None) -> CvScores:
    """Score the blended OOF, and sum up what each member scored on its fold."""
    scores, known = list(blended.fold_scores.values()), known_rows(blended.oof)
    return CvScores(
        mean=float(np.mean(scores)),
        std=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        folds=blended.fold_scores,
        oof=float(metric.score(labels[known], blended.oof[known])),
        oof_postprocessed=postprocessed,
    )


def score_run(
    run: Run,
    blended: Blend,
    fitted: FittedPostprocessing,
    results: Sequence[MemberResult],
    refitted: Sequence[MemberResult],
    submission: SubmissionFacts | None,
) -> Scores:
    """Gather what `scores.json` holds."""
    config, titles = run.config, class_titles(run)
    model = config.one("models")
    return Scores(
        **common_scores(run, blended.oof, submission),
        cv=cv_scores(run.metric, run.dataset.labels, blended, fitted.nested_score),
        members={result.member.name: _member_scores(result, titles) for result in results},
        refit={result.member.name: _member_scores(result, titles) for result in refitted},
        model=f"{model.name} {model.options.get('backbone', '')}".strip(),
        tta=tuple(bound.name for bound in config.many("tta")),
        seconds=float(sum(result.seconds for result in [*results, *refitted])),
        next=next_commands(config, run.folder, submitted=submission is not None),
    )


def class_titles(run: RunRows) -> dict[str, str]:
    """Return what people call each class."""
    return {name: run.config.competition.titles.get(name, name) for name in run.target.classes}


def common_scores(run: RunRows, oof: Predictions, submission: SubmissionFacts | None) -> dict[str, Any]:
    """Return the part of `Scores` that any OOF has, whatever its origin. Classes get their titles, also as keys."""
    session, data, classes, titles = run.session, run.dataset, run.target.classes, class_titles(run)
    return {
        "format": FORMAT,
        "competition": session.competition,
        "title": session.title,
        "run": run.folder.name,
        "note": data.tables.note,
        "metric": session.metric_name,
        "higher_is_better": run.metric.higher_is_better,
        "classes": classes,
        "titles": tuple(titles.values()),
        "per_class": class_scores(tuple(titles.values()), data.labels, oof),
        "submission": submission
        and submission.model_copy(update={"label_shares": _titled(submission.label_shares, titles)}),
        "train_shares": _titled(train_shares(classes, data.labels), titles),
        "folds": FoldFacts(
            name=run.config.one("folds").name,
            key=data.folds_key,
            counts=tuple(map(tuple, fold_counts(data.folds, data.labels, len(classes)))),
        ),
        "ensemble": run.config.one("ensembles").name,
        "device": session.device,
        "precision": session.precision,
        "warnings": tuple(session.warnings),
    }


def _titled(values: dict[str, T], titles: Mapping[str, str]) -> dict[str, T]:
    return {titles.get(name, name): value for name, value in values.items()}


def _member_scores(result: MemberResult, titles: Mapping[str, str]) -> MemberScores:
    return MemberScores(
        score=result.score,
        best_epoch=result.best_epoch,
        seconds=result.seconds,
        epochs=tuple(EpochScores(**vars(epoch)) for epoch in result.epochs),
        class_draws=_titled(result.class_draws, titles),
    )


def next_commands(config: Config, folder: Path, submitted: bool) -> tuple[str, ...]:
    """Return commands that may follow: submit, and the same run, overrides included, trained for twice as long."""
    longer = f"training.epochs={config.training.epochs * 2}"
    kept = [override for override in config.overrides if override_keys(override) != ("training", "epochs")]
    sets = " ".join(f"--set {shlex.quote(override)}" for override in (*kept, longer))
    submit = (f"compete submit {folder}",) if submitted and config.components["uploads"] else ()
    toml = config.path if config.path.name else folder / "config.toml"
    return (*submit, f"compete run {shlex.quote(str(toml))} {sets}")
