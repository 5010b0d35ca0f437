"""The difference between two runs of the same folds and seeds, and whether it can be told from chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from compete.types import Array

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """The paired differences of members' scores, `without` minus base, as folds have them.

    `standard_error` and the interval from `low` to `high` hold for the mean; they are None where there is one unit.
    """

    mean: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    units: Mapping[str, float]
    verdict: str


def validated_ratio(folds: Array) -> float:
    """Return the validated rows of a fold over its training rows, a mean over folds (N,)."""
    rows = np.bincount(folds[folds >= 0])
    rows = rows[rows > 0]
    return float(np.mean(rows / np.maximum(1, len(folds) - rows)))


def compare(
    base: Mapping[tuple[int, int], float | None],
    without: Mapping[tuple[int, int], float | None],
    ratio: float,
    higher_is_better: bool,
) -> Difference:
    """Compare members' scores by (fold, seed), paired; `ratio` is that of `validated_ratio`.

    Seeds of a fold are averaged first: they share their rows. Training sets of folds overlap, so that the naive
    standard error is too small: its square is multiplied by 1 + n * ratio (Nadeau and Bengio 2003, Machine Learning
    52). The interval is Student's. With one fold the seeds are the units, and the verdict holds for that fold.
    """
    pairs = {key: (base[key], without[key]) for key in base if key in without}
    missing = [key for key, pair in pairs.items() if None in pair]
    folds = sorted({fold for fold, _ in pairs})
    by_fold = len(folds) > 1
    groups: dict[str, list[float]] = {}
    for (fold, seed), (one, other) in pairs.items():
        if one is not None and other is not None:
            groups.setdefault(f"fold{fold}" if by_fold else f"seed{seed}", []).append(other - one)
    units = {name: float(np.mean(values)) for name, values in groups.items()}
    if missing or not units:
        return Difference(None, None, None, None, units, "cannot be told: a member has no score")
    values = np.array(list(units.values()))
    mean = float(values.mean())
    if len(values) == 1:
        return Difference(mean, None, None, None, units, "cannot be told from one fold and one seed")
    error = float(values.std(ddof=1)) * math.sqrt(1 / len(values) + (ratio if by_fold else 0.0))
    from scipy.stats import t

    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return Difference(mean, error, mean - reach, mean + reach, units, _verdict(mean, reach, higher_is_better))


def _verdict(mean: float, reach: float, higher_is_better: bool) -> str:
    if mean == 0 and reach == 0:
        return "changes no score"
    if abs(mean) <= reach:
        return "cannot be told with this spread"
    return "helps" if (mean < 0) == higher_is_better else "hurts"
