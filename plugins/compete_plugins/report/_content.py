"""What the page shows, computed from the run's files: one function for each of its tables."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ._confusion import confusion
from ._files import RunFiles
from ._findings import findings
from ._plots import learning_curve, scatter

if TYPE_CHECKING:
    from compete import MemberScores, Scores

T = TypeVar("T")
SCATTERED = 6
SHEETS = 5  # of Grad-CAM: some hundred kB each
LISTED = 200  # classes; no browser would open a page of 65,000


def content(files: RunFiles) -> dict[str, Any]:
    """Return the names that the template uses."""
    found = confusion(files)
    shares = _largest(list(share_rows(files)), lambda row: row.train or 0.0)
    cv = files.scores.cv
    return {
        "scores": files.scores,
        "oof_gain": difference(cv.oof_postprocessed, cv.oof),
        "findings": findings(files.scores, found),
        "members": list(member_rows(files.scores)),
        "curves": list(_curves(files.scores)),
        "per_class": sorted(files.scores.per_class, key=lambda row: row.f1)[:LISTED],
        "confusion": found,
        "scatters": list(_scatters(files)),
        "grad_cams": [(name, b64encode(png).decode()) for name, png in list(files.grad_cams.items())[:SHEETS]],
        "grad_cam_members": len(files.grad_cams),
        "folds": list(fold_rows(files)),
        "fold_counts": _largest(list(fold_counts(files)), lambda row: sum(row[1])),
        "shares": shares,
        "highest_share": max((share for row in shares for share in row.known), default=0.0) or 1.0,
        "environment": list(flat(files.environment)),
        "config": files.config,
    }


def _largest(rows: list[T], size: Callable[[T], float]) -> list[T]:
    """Return the rows of the largest classes, in their order, where there are too many for a page."""
    if len(rows) <= LISTED:
        return rows
    least = sorted(map(size, rows))[-LISTED]
    return [row for row in rows if size(row) >= least][:LISTED]


@dataclass(frozen=True)
class MemberRow:
    """A member's score, and where it lies between the lowest and the highest (0 to 100)."""

    name: str
    score: float | None
    difference: float | None
    place: float
    training: MemberScores | None


def member_rows(scores: Scores) -> Iterator[MemberRow]:
    """Yield every member of the CV in its order."""
    cv = scores.cv
    known = [score for score in cv.folds.values() if score is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    for name, score in cv.folds.items():
        member = scores.members.get(name)
        place = 50.0 if score is None or high == low else 100 * (score - low) / (high - low)
        yield MemberRow(name, score, difference(score, cv.mean), place, member)


def difference(value: float | None, other: float | None) -> float | None:
    """Subtract; None where either is missing."""
    return None if value is None or other is None else value - other


@dataclass(frozen=True)
class Curve:
    """The drawing of a member's epochs."""

    name: str
    best_epoch: int
    svg: str


def _curves(scores: Scores) -> Iterator[Curve]:
    for place, (name, member) in enumerate(scores.members.items()):
        if member.epochs:
            yield Curve(name, member.best_epoch, learning_curve(member.epochs, member.best_epoch, f"curve{place}"))


def _scatters(files: RunFiles) -> Iterator[tuple[str, str]]:
    """Yield name and drawing of the first predicted columns, where the labels are values."""
    if files.kind != "values":
        return
    labels, predictions = files.labels.reshape(len(files.oof), -1), files.predictions
    for column, name in enumerate(files.classes[:SCATTERED]):
        known = ~np.isnan(predictions[:, column])
        yield name, scatter(labels[known, column], predictions[known, column], f"scatter{column}")


def fold_rows(files: RunFiles) -> Iterator[tuple[str, int]]:
    """Yield each fold and its number of validated rows; rows that only train come last."""
    sizes = Counter(files.folds["fold"].tolist())
    training_only = sizes.pop(-1, 0)
    yield from ((f"fold {fold}", size) for fold, size in sorted(sizes.items()))
    if training_only:
        yield "training only", training_only


def fold_counts(files: RunFiles) -> Iterator[tuple[str, list[int]]]:
    """Yield each class with its rows in every fold."""
    counts = files.scores.folds.counts
    yield from zip(files.classes, map(list, zip(*counts, strict=True)), strict=False)


@dataclass(frozen=True)
class ShareRow:
    """A class's share of the training rows, of the rows that the sampler drew and of the submission."""

    name: str
    train: float | None
    drawn: float | None
    predicted: float | None

    @property
    def known(self) -> list[float]:
        """The shares that are known."""
        return [share for share in (self.train, self.drawn, self.predicted) if share is not None]


def share_rows(files: RunFiles) -> Iterator[ShareRow]:
    """Yield the shares of every class, then of labels that are not the title of a class."""
    submission = files.scores.submission
    train, predicted = files.scores.train_shares, submission.label_shares if submission else {}
    if not train:
        return
    # Where a row has any number of labels, the draws of each are not known.
    drawn = drawn_shares(files.scores) if files.kind == "classes" else {}
    for name in dict.fromkeys([*train, *predicted]):
        # A class that the submission never names was predicted for no row, unless labels are spelled otherwise.
        absent = 0.0 if predicted and predicted.keys() <= train.keys() else None
        yield ShareRow(name, train.get(name), drawn.get(name), predicted.get(name, absent))


def drawn_shares(scores: Scores) -> dict[str, float]:
    """Return each class's share of all rows that the samplers drew."""
    total: dict[str, int] = {}
    for member in scores.members.values():
        for name, count in member.class_draws.items():
            total[name] = total.get(name, 0) + count
    rows = sum(total.values())
    return {name: count / rows for name, count in total.items()} if rows else {}


def flat(data: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested JSON as dotted names with values."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, " ".join(map(str, data)) if isinstance(data, list) else str(data)
