"""From member predictions to a checked submission and its scores: ensemble, post-processing, check, write."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compete.config.toml import override_keys
from compete.data.folds import class_counts, fold_counts
from compete.errors import SubmissionError
from compete.predict.postprocessing import Step, fit_steps
from compete.predict.top_k import known_rows, top_labels
from compete.run import Run
from compete.stages.blend import Blend
from compete.submission.check import check_submission
from compete.submission.csv_file import read_submission, write_submission
from compete.types import TopK

if TYPE_CHECKING:
    from compete.types import Array, MemberResult, Predictions


PARTS = 5


@dataclass(frozen=True)
class FittedPostprocessing:
    """Post-processing fitted on the whole OOF, and the OOF score it gives when fitted on the other folds only."""

    apply: Callable[[Any], Any]
    nested_score: float | None


def fit_postprocessing(run: Run, oof: Predictions) -> FittedPostprocessing:
    """Fit `[[postprocess]]` on OOF. Its gain is measured part by part, so that it is not fitted on what it scores."""
    if not run.config.many("postprocessors") or isinstance(oof, TopK):
        return FittedPostprocessing(lambda predictions: predictions, None)
    labels, known = run.dataset.labels, known_rows(oof)
    parts = _nested_parts(run, known)

    def fit(oof: Array, labels: Array) -> Step:
        return fit_steps(run.config, oof, labels, run.metric, run.target)

    nested = np.full_like(oof, np.nan, dtype=np.float64)
    for part in np.unique(parts[known]):
        inside, outside = known & (parts == part), known & (parts != part)
        nested[inside] = fit(oof[outside], labels[outside])(oof[inside])
    score = float(run.metric.score(labels[known], nested[known]))
    return FittedPostprocessing(fit(oof[known], labels[known]), score)


def _nested_parts(run: Run, known: Array) -> Array:
    """Return the parts to fit on by turns: the folds or, where one fold was validated, five parts that keep groups."""
    if len(np.unique(run.dataset.folds[known])) > 1:
        return run.dataset.folds
    train = run.tables.train
    units = pd.factorize(train["group"] if "group" in train else train["id"])[0]
    shuffled = np.random.default_rng(run.config.training.seed).permutation(units.max() + 1)
    return np.asarray(shuffled[units] % PARTS)


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
        run.session.warn(f"submission: {warning}")
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
    labels = run.dataset.labels
    counts = class_counts(labels, len(run.target.classes))
    if counts is None:
        return {}
    return dict(zip(run.target.classes, (counts / len(labels)).tolist(), strict=True))


def per_class(run: Run, oof: Predictions) -> list[dict[str, Any]]:
    """Return precision, recall, F1 and support of each class on OOF; nothing where labels are no classes."""
    labels = run.dataset.labels
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or oof.shape[1] < 2:
        return []
    from sklearn.metrics import precision_recall_fscore_support

    known = known_rows(oof)
    numbers = np.arange(len(run.target.classes))
    columns = precision_recall_fscore_support(
        labels[known], top_labels(oof[known], 1)[:, 0], labels=numbers, zero_division=0
    )
    return [
        {"class": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for name, p, r, f, s in zip(run.target.classes, *columns, strict=True)
    ]


def score_run(
    run: Run, blended: Blend, fitted: FittedPostprocessing, results: Sequence[MemberResult], submission: dict[str, Any]
) -> dict[str, Any]:
    """Return what `scores.json` holds."""
    config, data, folds = run.config, run.dataset, list(blended.fold_scores.values())
    known = known_rows(blended.oof)
    resolved = config.resolved()

    def titled(name: str) -> str:
        return config.competition.titles.get(name, name)

    return {
        "competition": config.competition.name,
        "title": config.competition.title or config.competition.name,
        "run": run.folder.name,
        "note": data.tables.note,
        "metric": run.session.metric_name,
        "higher_is_better": run.metric.higher_is_better,
        "classes": list(data.target.classes),
        "titles": [titled(name) for name in data.target.classes],
        "cv": {
            "mean": float(np.mean(folds)),
            "std": float(np.std(folds, ddof=1)) if len(folds) > 1 else None,
            "folds": blended.fold_scores,
            "oof": float(run.metric.score(data.labels[known], blended.oof[known])),
            "oof_postprocessed": fitted.nested_score,
        },
        "per_class": [{**row, "class": titled(row["class"])} for row in per_class(run, blended.oof)],
        "members": {result.member.name: _member_scores(result, titled) for result in results},
        "submission": {**submission, "label_shares": _titled_keys(submission["label_shares"], titled)},
        "train_shares": _titled_keys(train_shares(run), titled),
        "folds": {
            "name": config.one("folds").name,
            "fingerprint": data.folds_key,
            "counts": fold_counts(data.folds, data.labels, len(data.target.classes)),
        },
        "model": " ".join([config.one("models").name, str(resolved["model"].get("backbone", ""))]).strip(),
        "tta": [bound.name for bound in config.many("tta")],
        "ensemble": config.one("ensembles").name,
        "device": run.session.device,
        "precision": run.session.precision,
        "seconds": float(sum(result.seconds for result in results)),
        "warnings": run.session.warnings,
        "next": next_steps(run),
    }


def _titled_keys(values: dict[str, Any], titled: Callable[[str], str]) -> dict[str, Any]:
    return {titled(name): value for name, value in values.items()}


def _member_scores(result: MemberResult, titled: Callable[[str], str]) -> dict[str, Any]:
    return {
        "score": result.score,
        "best_epoch": result.best_epoch,
        "seconds": result.seconds,
        "epochs": [vars(epoch) for epoch in result.epochs],
        "class_draws": _titled_keys(result.class_draws, titled),
    }


def next_steps(run: Run) -> list[str]:
    """Return what a user may type next: the same command, overrides included, trained for twice as long."""
    config = run.config
    longer = f"training.epochs={config.training.epochs * 2}"
    kept = [override for override in config.overrides if override_keys(override) != ("training", "epochs")]
    sets = " ".join(f"--set {shlex.quote(override)}" for override in (*kept, longer))
    steps = [f"open {run.folder / 'report.html'}", f"compete run {shlex.quote(str(config.path))} {sets}"]
    if config.components["uploads"]:
        steps.insert(1, f"compete submit {run.folder}")
    return steps
