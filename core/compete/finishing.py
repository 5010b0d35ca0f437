"""From member predictions to a checked submission and its scores: ensemble, post-processing, check, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compete.errors import SubmissionError, TrainingError
from compete.foldfile import class_presence, fold_counts
from compete.members import member_predictions
from compete.runs import Run
from compete.submission import check_submission, read_submission, write_submission
from compete.tables import answer_columns, write_predictions

if TYPE_CHECKING:
    from compete.types import Array, MemberResult


@dataclass(frozen=True)
class Blend:
    """The run's predictions: OOF (N, C), NaN where nobody validated, and test (T, C)."""

    oof: Array
    test: Array
    fold_scores: dict[str, float]


def blend(run: Run) -> Blend:
    """Blend the members, write `oof.parquet` and `test.parquet`, and score each member on its fold, TTA included."""
    data, metric = run.ready, run.metric
    member_oof, member_test = member_predictions(run)
    scores = {}
    for member, predictions in zip(run.members, member_oof, strict=True):
        rows = ~np.isnan(predictions).any(axis=1)
        scores[member.name] = float(metric.score(data.answers[rows], predictions[rows]))
    oof, test = run.config.one("ensembles").build(member_oof, data.answers, member_test, metric)
    test = _fill_unreadable(run, test)
    classes, tables = data.target.classes, data.tables
    keys = {"fold": data.folds, **answer_columns(data.answers, classes)}
    write_predictions(run.folder / "oof.parquet", tables.train["id"].tolist(), oof, classes, **keys)
    write_predictions(run.folder / "test.parquet", tables.test["id"].tolist(), test, classes)
    return Blend(oof, test, scores)


def _fill_unreadable(run: Run, test: Array) -> Array:
    """A test row never disappears: one without a readable picture gets the mean prediction, and a warning."""
    lost: Array = np.asarray(np.isnan(test).any(axis=1))
    if not lost.any():
        return test
    if lost.all():
        raise TrainingError("no test picture could be read")
    ids = run.tables.test["id"][lost].head(5).tolist()
    run.warn(f"{lost.sum()} test rows have no readable picture and got the mean prediction: {', '.join(ids)}")
    return np.where(lost[:, None], test[~lost].mean(axis=0), test)


@dataclass(frozen=True)
class Fitted:
    """Post-processing fitted on the whole OOF, and the OOF score it gives when fitted on the other folds only."""

    apply: Callable[[Array], Array]
    nested_score: float | None


def fit_postprocessing(run: Run, oof: Array) -> Fitted:
    """Fit `[[postprocess]]` on OOF. Its gain is measured fold by fold, so that it is not fitted on what it scores."""
    if not run.config.many("postprocessors"):
        return Fitted(lambda predictions: predictions, None)
    answers, folds = run.ready.answers, run.folds
    known = ~np.isnan(oof).any(axis=1)
    nested = np.full_like(oof, np.nan, dtype=np.float64)
    for fold in np.unique(folds[known]):
        inside, outside = known & (folds == fold), known & (folds != fold)
        if outside.any():
            nested[inside] = _fit(run, oof[outside], answers[outside])(oof[inside])
    scored = ~np.isnan(nested).any(axis=1)
    score = float(run.metric.score(answers[scored], nested[scored])) if scored.any() else None
    return Fitted(_fit(run, oof[known], answers[known]), score)


def _fit(run: Run, oof: Array, answers: Array) -> Callable[[Array], Array]:
    steps: list[Callable[[Array], Array]] = []
    for bound in run.config.many("postprocessors"):
        step = bound.build(oof, answers, run.metric)
        oof = step(oof)
        steps.append(step)

    def apply(predictions: Array) -> Array:
        for step in steps:
            predictions = step(predictions)
        return predictions

    return apply


def submit_frame(run: Run, predictions: Array) -> pd.DataFrame:
    """Return the submission, its rows matched to the sample submission by id."""
    tables, target = run.tables, run.target
    by_id = pd.DataFrame(predictions, index=tables.test["id"].tolist(), columns=list(target.classes))
    wanted = by_id if run.config.writes_own_ids else by_id.loc[tables.sample.iloc[:, 0].tolist()]
    frame: pd.DataFrame = run.config.one("submissions").build(tables.sample, wanted, target)
    return frame


def write_checked(run: Run, frame: pd.DataFrame) -> dict[str, Any]:
    """Check the submission, write it, read it back as the platform will, and check that too."""
    shares = train_shares(run)
    rules = run.config.checks.submission_rules()
    before = check_submission(frame, run.tables.sample, train_shares=shares, **rules)
    if before.problems:
        raise SubmissionError(before.problems)
    path = run.folder / "submission.csv"
    digest = write_submission(frame, path)
    after = check_submission(read_submission(path), run.tables.sample, train_shares=shares, **rules)
    if after.problems:
        raise SubmissionError(after.problems)
    for warning in after.warnings:
        run.warn(f"submission: {warning}")
    column = frame.columns[-1]
    single = frame.shape[1] == 2 and frame[column].nunique() <= len(run.target.classes)
    counts = frame[column].astype(str).value_counts(normalize=True) if single else pd.Series(dtype=float)
    return {
        "path": str(path),
        "rows": len(frame),
        "sha256": digest,
        "warnings": list(after.warnings),
        "label_shares": {str(label): float(share) for label, share in counts.items()},
    }


def train_shares(run: Run) -> dict[str, float]:
    """Return the share of training rows that have each class."""
    present = class_presence(run.ready.answers, len(run.target.classes))
    if present is None:
        return {}
    return dict(zip(run.target.classes, present.mean(axis=0).tolist(), strict=True))


def per_class(run: Run, oof: Array) -> list[dict[str, Any]]:
    """Return precision, recall, F1 and support of each class on OOF; nothing where answers are no classes."""
    answers = run.ready.answers
    if answers.ndim != 1 or not np.issubdtype(answers.dtype, np.integer) or oof.shape[1] < 2:
        return []
    from sklearn.metrics import precision_recall_fscore_support

    known = ~np.isnan(oof).any(axis=1)
    labels = np.arange(len(run.target.classes))
    columns = precision_recall_fscore_support(answers[known], oof[known].argmax(axis=1), labels=labels, zero_division=0)
    return [
        {"class": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for name, p, r, f, s in zip(run.target.classes, *columns, strict=True)
    ]


def score_run(
    run: Run, blended: Blend, fitted: Fitted, results: Sequence[MemberResult], submission: dict[str, Any]
) -> dict[str, Any]:
    """Return what `scores.json` holds."""
    config, data, folds = run.config, run.ready, list(blended.fold_scores.values())
    known = ~np.isnan(blended.oof).any(axis=1)
    resolved = config.resolved()
    return {
        "competition": config.competition.name,
        "title": config.competition.title or config.competition.name,
        "run": run.folder.name,
        "note": data.tables.note,
        "metric": run.metric_name,
        "higher_is_better": run.metric.higher_is_better,
        "classes": list(data.target.classes),
        "cv": {
            "mean": float(np.mean(folds)),
            "std": float(np.std(folds, ddof=1)) if len(folds) > 1 else 0.0,
            "folds": blended.fold_scores,
            "oof": float(run.metric.score(data.answers[known], blended.oof[known])),
            "oof_postprocessed": fitted.nested_score,
        },
        "per_class": per_class(run, blended.oof),
        "members": {result.member.name: _member_scores(result) for result in results},
        "submission": submission,
        "train_shares": train_shares(run),
        "folds": {
            "name": config.one("folds").name,
            "fingerprint": data.folds_fingerprint,
            "counts": fold_counts(data.folds, data.answers, len(data.target.classes)),
        },
        "model": " ".join([config.one("models").name, str(resolved["model"].get("backbone", ""))]).strip(),
        "tta": [bound.name for bound in config.many("tta")],
        "ensemble": config.one("ensembles").name,
        "device": run.device,
        "precision": run.precision,
        "seconds": float(sum(result.seconds for result in results)),
        "warnings": run.warnings,
        "next": next_steps(run),
    }


def _member_scores(result: MemberResult) -> dict[str, Any]:
    return {
        "score": result.score,
        "kept_epoch": result.kept_epoch,
        "seconds": result.seconds,
        "epochs": [vars(epoch) for epoch in result.epochs],
        "drawn": result.drawn,
    }


def next_steps(run: Run) -> list[str]:
    """Return what a user may type next."""
    steps = [
        f"open {run.folder / 'report.html'}",
        f"compete run {run.config.path} --set training.epochs={run.config.training.epochs * 2}",
    ]
    if run.config.components["uploads"]:
        steps.insert(1, f"compete submit {run.folder}")
    return steps
