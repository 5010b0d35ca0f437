"""`scores.json`: what a finished run scored and wrote. One typed model, for all who write or read it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from statistics import stdev
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from compete.errors import CompeteError
from compete.store import write_json
from compete.text import plural

SCORES_FILE = "scores.json"
FORMAT: Literal[1] = 1  # raise it when a key changes its name or meaning


def _finite(value: object) -> object:
    """NaN and infinity become None, on disk and in memory alike: JSON has neither."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Score = Annotated[float | None, BeforeValidator(_finite)]


class Facts(BaseModel):
    """A part of the scores: frozen, and no key is unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CvScores(Facts):
    """The score of each member on its own fold with TTA, their mean and sample deviation, and that of the whole OOF.

    `std` is None for one member. `oof_postprocessed` is measured on folds that post-processing was not fitted on, and
    None where there is none.
    """

    mean: Score
    std: Score
    folds: Mapping[str, Score]
    oof: Score
    oof_postprocessed: Score = None


class ClassScores(Facts):
    """Precision, recall and F1 of a class on OOF, and its validated rows."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


class EpochScores(Facts):
    """An epoch of a member, as `compete.Epoch`; the score is that on its own fold, without TTA."""

    number: int
    train_loss: Score
    valid_loss: Score
    score: Score
    lr: Score
    seconds: float
    train_score: Score = None
    trained: int | None = None


class MemberScores(Facts):
    """A member's training; `class_draws` counts the rows of each class that its sampler drew.

    One that was refitted on all rows has no score.
    """

    score: Score
    best_epoch: int
    seconds: float
    epochs: tuple[EpochScores, ...] = ()
    class_draws: dict[str, int] = {}


class SubmissionFacts(Facts):
    """The submission file; `label_shares` is each label's share of its rows, where a row has one label."""

    path: str
    rows: int
    sha256: str
    warnings: tuple[str, ...] = ()
    label_shares: dict[str, float] = {}


class FoldFacts(Facts):
    """How the rows were split; `counts` are the rows of each class (C,) in each fold's validation part."""

    name: str
    key: str
    counts: tuple[tuple[int, ...], ...] = ()


class MethodFacts(Facts):
    """A way to blend: its score on folds that it was not fitted on, and its gain over the mean with standard error.

    Gains are positive where the blend is better, whatever the metric's direction. `problem` says why it has no score.
    """

    name: str
    score: Score = None
    gain: Score = None
    error: Score = None
    problem: str = ""


class InputFacts(Facts):
    """An input of a blend: its own OOF score, the blend's without it, and what the blend gains from it."""

    name: str
    model: str = ""
    score: Score = None
    without: Score = None
    gain: Score = None
    error: Score = None


class BlendFacts(Facts):
    """How a blend was made; every score is of folds that the blend was not fitted on.

    `rows` are the rows that every input validated. The matrices (M, M) are the correlation of the inputs' predictions,
    and the share of decisions in which they differ.
    """

    inputs: tuple[InputFacts, ...]
    methods: tuple[MethodFacts, ...] = ()
    rows: int
    correlation: tuple[tuple[Score, ...], ...] = ()
    disagreement: tuple[tuple[Score, ...], ...] = ()


class Scores(Facts):
    """A finished run. `titles` are what people call the `classes`, in the same order; the other tables use them.

    `refit` are members trained on all rows, which predict the test rows in place of the others.
    `blend` is None unless the run is a blend, whose `cv.folds` are the folds that it was judged on.
    `submission` is None for a run without a test set, `train_shares` is each class's share of the training rows,
    `seconds` the training time of all members, and `next` lists commands that may follow.
    """

    format: Literal[1]
    competition: str
    title: str
    run: str
    note: str = ""
    metric: str
    higher_is_better: bool
    classes: tuple[str, ...]
    titles: tuple[str, ...]
    cv: CvScores
    per_class: tuple[ClassScores, ...] = ()
    members: dict[str, MemberScores]
    refit: dict[str, MemberScores] = {}
    submission: SubmissionFacts | None
    train_shares: dict[str, float] = {}
    folds: FoldFacts
    model: str
    tta: tuple[str, ...] = ()
    ensemble: str
    device: str
    precision: str
    seconds: float
    warnings: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    blend: BlendFacts | None = None


def write_scores(folder: Path, scores: Scores) -> None:
    """Write `scores.json` into a run's folder, atomically."""
    write_json(folder / SCORES_FILE, scores.model_dump())


def read_scores(folder: Path) -> Scores:
    """Read a run's `scores.json`. Raise `CompeteError` when it is missing, damaged or of another format."""
    path = folder / SCORES_FILE
    try:
        return Scores.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, (error.strerror or str(error)).lower()) from error
    except ValidationError as error:
        raise _unreadable(path, _what_is_wrong(error)) from error


def _what_is_wrong(error: ValidationError) -> str:
    problems = {".".join(map(str, problem["loc"])): problem for problem in error.errors()}
    if "format" in problems:
        problem = problems["format"]
        found = "no format" if problem["type"] == "missing" else f"format {problem['input']}"
        return f"it has {found}, and this version of compete reads format {FORMAT}"
    where, problem = next(iter(problems.items()))
    return f"it is damaged: {where + ': ' if where else ''}{problem['msg']}"


def _unreadable(path: Path, reason: str) -> CompeteError:
    return CompeteError(
        f"cannot read {path}: {reason}. To write it again from the finished members, type: "
        f"compete run {shlex.quote(str(path.parent / 'config.toml'))}"
    )


CLEAR_GAP, NO_GAP = 0.1, 0.05  # between training and validation score, as a share of the larger one
STILL_FALLING = 0.97  # the training loss of the last epoch as a share of that before


def fit_verdict(scores: Scores) -> str:
    """Say whether the members overfit or underfit, by how much and what to try; nothing where it is not clear.

    Training and validation score are compared at each member's best epoch, both on unaugmented images.
    """
    pairs = [pair for member in scores.members.values() if (pair := _scores_of(member, member.best_epoch))]
    if not pairs or len(pairs) < len(scores.members):
        return ""
    train, valid = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    gaps = [(t - v) * (1 if scores.higher_is_better else -1) for t, v in pairs]
    gap, error = sum(gaps) / len(gaps), stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    certain = 2 + 4 / max(1, len(gaps) - 1)  # about the 97.5 % quantile of Student's t
    share = gap / (max(abs(train), abs(valid)) or 1)
    both = f"{scores.metric} {train:.4f} on training images, {valid:.4f} on validation images"
    if share > (CLEAR_GAP if len(gaps) > 1 else 3 * CLEAR_GAP) and gap > certain * error:
        return (
            f"overfits: {both}, a gap of {gap:.4f}{f' ± {error:.4f}' if error else ''}. Try more augmentation, weight "
            "decay or dropout, a smaller network, or [finetune] freeze."
        )
    rising = sum(_still_learns(member) for member in scores.members.values())
    if abs(share) < NO_GAP and 2 * rising > len(pairs):
        return (
            f"underfits: {both}, and {rising} of {plural(len(pairs), 'member')} still learnt in the last epoch. "
            "Try more epochs, a higher learning rate, a larger network, or [finetune] with more to train."
        )
    return ""


def _scores_of(member: MemberScores, number: int) -> tuple[float, float] | None:
    found = [epoch for epoch in member.epochs if epoch.number == number]
    if not found or found[0].train_score is None or found[0].score is None:
        return None
    return found[0].train_score, found[0].score


def _still_learns(member: MemberScores) -> bool:
    """Return whether the last epoch was the best one, by score and by both losses, and not yet on a plateau."""
    train = [epoch.train_loss for epoch in member.epochs if epoch.train_loss is not None]
    valid = [epoch.valid_loss for epoch in member.epochs if epoch.valid_loss is not None]
    if len(train) < 3 or len(valid) < 3 or member.best_epoch != len(member.epochs):
        return False
    return valid[-1] == min(valid) and 0 < train[-1] < STILL_FALLING * train[-2]
