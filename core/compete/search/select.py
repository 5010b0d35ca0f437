"""The winner of a search, and how much of its score is luck: chosen on all folds but one, scored on that one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compete.study.differences import Difference, compare

FoldScores = Mapping[tuple[int, int], float]
BASE = -1


@dataclass(frozen=True)
class Candidate:
    """The TOML as it is (number `BASE`), or a trial: its end, values, run and scores by (fold, seed).

    `steps` are the means after each fold, also of one that was pruned.
    """

    number: int
    state: str
    values: Mapping[str, Any]
    run: str
    scores: FoldScores
    steps: Mapping[int, float]
    why: str = ""

    @property
    def mean(self) -> float | None:
        """The CV, as the run reports it: the mean of its members' scores."""
        return float(np.mean(list(self.scores.values()))) if self.scores else None

    @property
    def label(self) -> str:
        """Its name in tables."""
        return "base" if self.number == BASE else f"trial {self.number + 1}"


@dataclass(frozen=True)
class Selection:
    """The choice among candidates with a score, the best first, and what it is worth on folds that it did not see.

    `nested` is the mean over folds of the score of what the other folds chose, `picks` who was chosen without each
    fold; both are None and empty with a single fold. `gain` compares that with the base.
    """

    ranked: tuple[Candidate, ...]
    nested: float | None
    picks: Mapping[int, Candidate]
    gain: Difference | None

    @property
    def winner(self) -> Candidate:
        """The candidate with the best CV; of equals the earliest."""
        return self.ranked[0]


def select(candidates: Sequence[Candidate], higher_is_better: bool, ratio: float) -> Selection:
    """Rank the candidates and judge the choice; `ratio` is that of `validated_ratio`."""
    sign = 1.0 if higher_is_better else -1.0
    finished = [candidate for candidate in candidates if candidate.scores]
    ranked = tuple(sorted(finished, key=lambda each: (-sign * (each.mean or 0.0), each.number)))
    folds = sorted({fold for fold, _ in ranked[0].scores})
    if len(folds) < 2:
        return Selection(ranked, None, {}, None)
    by_fold = [_by_fold(candidate.scores) for candidate in ranked]  # in this order, of equals the first is chosen
    picks: dict[int, int] = {}
    for fold in folds:
        others = [sign * np.mean([scores[other] for other in folds if other != fold]) for scores in by_fold]
        picks[fold] = int(np.argmax(others))
    chosen = {fold: by_fold[pick][fold] for fold, pick in picks.items()}
    base = next((scores for each, scores in zip(ranked, by_fold, strict=True) if each.number == BASE), None)
    gain = None
    if base is not None:
        before, after = ({(fold, 0): score for fold, score in scores.items()} for scores in (base, chosen))
        gain = compare(before, after, ratio, higher_is_better)
    nested = float(np.mean(list(chosen.values())))
    return Selection(ranked, nested, {fold: ranked[pick] for fold, pick in picks.items()}, gain)


def _by_fold(scores: FoldScores) -> dict[int, float]:
    """Return the mean of each fold over its seeds."""
    folds: dict[int, list[float]] = {}
    for (fold, _), score in scores.items():
        folds.setdefault(fold, []).append(score)
    return {fold: float(np.mean(values)) for fold, values in folds.items()}
