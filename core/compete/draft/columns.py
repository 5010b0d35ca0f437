"""Which rows belong together, and which columns give the label away."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING

from compete.draft.findings import Goal, Group, Source
from compete.errors import DataError
from compete.files.extensions import SOUNDS, extension_of
from compete.files.proposals import Choice
from compete.files.scan import spread
from compete.text import name_words

if TYPE_CHECKING:
    import pandas as pd

    from compete.files.root import Files

# What columns are called in which people, places and moments repeat; the surest first.
GROUP_WORDS = (
    "patient", "person", "subject", "individual", "user", "location", "slide", "station", "camera", "scene", "session",
    "video", "sequence", "seq", "group", "burst",
)  # fmt: skip
FEWEST_GROUPS, LARGEST_SHARE, MOST_ALONE = 5, 0.5, 0.9
ROWS_TO_BE_SURE = 3
# Versions of an image differ by a few levels; other images by many times that.
MOST_COMPARED, MOST_VERSIONS, MOST_DIFFERENT, SMALL = 12, 4, 12, 32
HOUR = r"(\d{8}[_T-]\d{2})\d{2}"


@dataclass(frozen=True)
class _Candidate:
    """A column whose rows may belong together."""

    column: str
    word: str
    count: int
    apart: bool
    alone: bool = False  # nearly every row is a group of its own

    @property
    def rank(self) -> tuple[bool, bool, bool, int, int]:
        """Sort the best first: called like a group, repeats often, never in both parts, its name, the coarsest."""
        place = GROUP_WORDS.index(self.word) if self.word else len(GROUP_WORDS)
        return not self.word, self.alone, not self.apart, place, self.count


def find_group(source: Source, goal: Goal, files: Files | None = None) -> Group:
    """Return the rows that must stay in one fold, and what speaks for and against each column considered."""
    if source.group is not None:
        return _group(source, goal, (), source.group, [])
    if "group" not in source.free:
        by_path = "group_pattern" in source.free and "image" in source.train
        return (_versions(source, files) or _hours(source, goal) or Group()) if by_path else Group()
    notes: list[str] = []
    found = sorted(_candidates(source, goal, notes), key=lambda candidate: candidate.rank)
    if found:
        best = found[0]
        others = "".join(f"; '{other.column}' ({other.count} values) would be another" for other in found[1:3])
        why = f"{_why(best, len(source.train))}{others}"
        return _group(source, goal, (Choice("group", best.column, why),), source.train[best.column], notes)
    repeated = source.train[source.id]
    if repeated.duplicated().any():
        why = f"{int(repeated.duplicated().sum())} rows repeat an id, so several rows show one thing"
        return _group(source, goal, (Choice("group", source.id, why),), repeated, notes)
    return Group(considered=tuple(notes))


def find_leaks(source: Source, goal: Goal, group: Group) -> list[str]:
    """Return columns of the training rows alone whose value gives the label away: a diagnosis beside its yes or no."""
    if "drop" not in source.free or source.test.empty or len(goal.columns) != 1 or goal.kind == "regression":
        return []
    target = source.train[goal.columns[0]]
    kept = {*goal.columns, *source.used, *(key.value for key in group.keys)}
    only_here = [str(name) for name in source.train.columns if name not in kept and name not in source.test]
    return [name for name in only_here if _gives_away(source.train[name], target)]


def _candidates(source: Source, goal: Goal, notes: list[str]) -> Iterator[_Candidate]:
    for name in map(str, source.train.columns):
        if name in (*goal.columns, source.id):
            continue
        word = next((w for w in GROUP_WORDS if w in name_words(name)), "")
        cells = source.train[name]
        apart = splits_test_off(source, name)
        if not word and not apart:
            continue
        fault = _fault(cells)
        if not fault:
            count = cells.nunique()
            yield _Candidate(name, word, count, apart, count > MOST_ALONE * len(cells))
        elif word:
            notes.append(f"'{name}' {fault}")


def splits_test_off(source: Source, name: str) -> bool:
    """Return whether a column names things of which none is in both training and test rows."""
    cells = source.train[name]
    return name in source.test and _looks_like_names(cells) and not set(cells) & set(source.test[name])


def _looks_like_names(cells: pd.Series[str]) -> bool:
    """Return whether cells are names rather than measured numbers or file names: strings or integers that repeat."""
    return cells.nunique() <= len(cells) / 2 and bool(cells.str.fullmatch(r"[^.]+").all())


def _fault(cells: pd.Series[str]) -> str:
    """Return why a column is of no use as a group, or nothing."""
    counts = cells.value_counts()
    if len(counts) == len(cells):
        return f"is unique ({len(counts)} values in {len(cells)} rows)"
    if len(counts) < FEWEST_GROUPS:
        return f"has only {len(counts)} different values"
    if counts.iloc[0] > LARGEST_SHARE * len(cells):
        return f"is '{counts.index[0]}' in {counts.iloc[0] / len(cells):.0%} of the rows"
    return ""


def _why(best: _Candidate, rows: int) -> str:
    apart = "no value is in both training and test rows, so the test is split by it; " if best.apart else ""
    return f"{apart}{best.count} values in {rows} rows: what repeats must not be on both sides of a split"


def _group(source: Source, goal: Goal, keys: tuple[Choice, ...], groups: pd.Series[str], notes: list[str]) -> Group:
    fewest = 0
    if goal.kind in ("label", "binary", "ordinal"):
        fewest = int(groups.groupby(source.train[goal.columns[0]]).nunique().min())
    return Group(keys, groups.nunique(), fewest, tuple(notes))


def _versions(source: Source, files: Files | None) -> Group | None:
    """Return the group where every label folder holds the same file names and images: versions of one image."""
    parts = source.train["image"].str.rpartition("/")
    names, folders = parts[2], parts[0].nunique()
    if folders < 2 or not (names.value_counts() == folders).all():
        return None
    if files is not None and not _look_the_same(source.train["image"].groupby(names).agg(list).tolist(), files):
        seen = "folders number their files alike, but what they show differs: classes, not versions of one image"
        return Group(considered=(seen,))
    why = f"each of {names.nunique()} file names is in all {folders} folders: versions of one image stay together"
    return Group((Choice("group_pattern", r"[^/]+$", why),), names.nunique(), names.nunique(), versions=True)


def _look_the_same(images: list[list[str]], files: Files) -> bool:
    """Return whether, of most names that can be read, two images differ little; `images` are those of each name."""
    found = [_difference(paths[:MOST_VERSIONS], files) for paths in spread(images, MOST_COMPARED)]
    differences = [difference for difference in found if difference is not None]
    return not differences or median(differences) <= MOST_DIFFERENT


def _difference(paths: list[str], files: Files) -> float | None:
    """Return the least mean difference of two of these images, in levels of 256, or None if one cannot be read."""
    import numpy as np
    from PIL import Image

    small = []
    for path in paths:
        try:
            with Image.open(io.BytesIO(files.read(path))) as image:
                small.append(np.asarray(image.convert("RGB").resize((SMALL, SMALL)), dtype=np.float32))
        except (OSError, ValueError, DataError, Image.DecompressionBombError):
            return None
    return min(float(np.abs(one - other).mean()) for one, other in combinations(small, 2))


def _hours(source: Source, goal: Goal) -> Group | None:
    """Return the group of sounds whose file names say when they were recorded."""
    paths = source.train["image"]
    hours = paths.str.extract(HOUR)[0]
    if hours.isna().any() or not set(paths.map(extension_of)) <= {*SOUNDS} or _fault(hours):
        return None
    why = f"{hours.nunique()} hours, by the dates in file names: what was recorded in one hour sounds alike"
    return _group(source, goal, (Choice("group_pattern", HOUR, why),), hours, [])


def _gives_away(cells: pd.Series[str], target: pd.Series[str]) -> bool:
    """Return whether each value of a column, seen often enough, goes with one label only."""
    values = cells.nunique()
    if values < 2 or len(cells) < ROWS_TO_BE_SURE * values:
        return False
    return bool((target.groupby(cells).nunique() == 1).all())
