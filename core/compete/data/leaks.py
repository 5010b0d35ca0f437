"""Rows that must not be on both sides of a split: those of one group, and those that show one image."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compete.text import format_first, plural

if TYPE_CHECKING:
    from compete.types import Array

MOST_LISTED = 3
MEMBER = re.compile(r"(?:fold(\d+)|all)-seed\d+")  # one of all rows validates none
# An image in more rows and a larger share of them says nothing of what the rows show: "no image available".
PLACEHOLDER_ROWS, PLACEHOLDER_SHARE = 4, 0.1


def linked_rows(images: Sequence[object], groups: Array | None = None) -> Array | None:
    """Return a number (N,) that rows share if they share an image or a group, directly or through other rows.

    `images` are each row's path, or list of paths. Return None where no two rows have a common image. Images that are
    in more than a tenth of the rows, such as a placeholder, link nothing.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    lists = [image if isinstance(image, list) else [image] for image in images]
    rows = np.repeat(np.arange(len(lists)), [len(paths) for paths in lists])  # (N,) -> (n,): 2, 1 -> 0, 0, 1
    numbers = pd.factorize(pd.Series([path for paths in lists for path in paths], dtype=object))[0]
    pairs = np.unique(np.stack([rows, numbers], axis=1), axis=0)  # (n, 2), an image twice in one row counts once
    counts = np.bincount(pairs[:, 1], minlength=1)
    shared = (counts > 1) & (counts <= max(PLACEHOLDER_ROWS, PLACEHOLDER_SHARE * len(lists)))
    if not shared.any():
        return None
    pairs = pairs[shared[pairs[:, 1]]]
    members = np.arange(len(lists)) if groups is None else np.unique(groups, return_inverse=True)[1]
    start, size = len(lists), len(lists) + len(counts) + len(members)
    ends = np.concatenate([start + pairs[:, 1], start + len(counts) + members])
    starts = np.concatenate([pairs[:, 0], np.arange(len(lists))])
    graph = coo_matrix((np.ones(len(starts), dtype=bool), (starts, ends)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][: len(lists)]).astype(np.int64)


def placeholders(images: Sequence[object], ids: pd.Series) -> list[str]:
    """Return a note that names images in so many rows that they link none, if there are any."""
    flat = pd.Series(list(images), index=ids.to_numpy(), dtype=object).explode()
    counts = flat.value_counts()
    many = counts[counts > max(PLACEHOLDER_ROWS, PLACEHOLDER_SHARE * len(images))]
    if many.empty:
        return []
    first = [f"{flat.index[(flat == image).to_numpy()][0]} ({count} rows)" for image, count in many.iloc[:3].items()]
    share = f"{int(many.sum()):,} of {plural(len(images), 'training row')} ({many.sum() / len(images):.1%})"
    return [
        f"{share} show one of {plural(len(many), 'image')} that are each in more than a tenth of the rows, and may be "
        f"on both sides of a split: id {format_first(first, MOST_LISTED, len(many))}"
    ]


def same_content(images: Sequence[object], digests: Sequence[str]) -> list[object]:
    """Return each row's images by what is in them; `digests` are those of all images in order, "" is unknown."""
    content = iter([digest or f"unknown {number}" for number, digest in enumerate(digests)])
    return [[next(content) for _ in image] if isinstance(image, list) else next(content) for image in images]


def straddling(linked: Array, folds: Array) -> Array:
    """Return the rows (n,) of linked rows that are in more than one fold."""
    pairs = pd.DataFrame({"linked": linked, "fold": folds})
    return np.flatnonzero((pairs.groupby("linked")["fold"].transform("nunique") > 1).to_numpy())


def image_notes(linked: Array | None, ids: pd.Series, folds: Array, labels: Array) -> list[str]:
    """Return what is to be said of rows that show one image: where they are, and that they disagree."""
    if linked is None:
        return []
    sizes = np.bincount(linked)
    several = np.flatnonzero(sizes[linked] > 1)
    rows, apart = plural(len(several), "training row"), straddling(linked, folds)
    notes = []
    if len(apart):
        notes.append(
            f"[folds]: {rows} show an image that another row shows, and {len(apart):,} of them are in another fold "
            f"than its other row: id {_first(ids, apart, linked)}. A network that has seen an image in training scores "
            'too well on it. [folds] name = "auto" keeps such rows together where every class allows it.'
        )
    else:
        notes.append(
            f"{rows} show an image that another row shows (the same file, or the same bytes); they stay in one fold: "
            f"id {_first(ids, several, linked)}"
        )
    odd = several[_disagree(linked, labels)[several]]
    if len(odd):
        notes.append(
            f"{plural(len(odd), 'training row')} show an image that another row shows with another label: "
            f"id {_first(ids, odd, linked)}"
        )
    return notes


def _first(ids: pd.Series, rows: Array, linked: Array) -> str:
    """Name the ids of the first linked rows: "a and b, c and d and 5 more"."""
    sets = pd.Series(ids.to_numpy()[rows]).groupby(linked[rows], sort=False).agg(list)
    first = [" and ".join(map(str, names[:MOST_LISTED])) for names in sets.iloc[:MOST_LISTED]]
    return format_first(first, MOST_LISTED, len(sets))


def _disagree(linked: Array, labels: Array) -> Array:
    """Return whether each row is linked with one that has other labels, bool (N,)."""
    values = np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)  # (N,) or (N, C) -> (N,)
    counts = pd.DataFrame({"linked": linked, "value": values}).groupby("linked")["value"]
    return np.asarray(counts.transform("nunique") > 1)


def group_leaks(train: pd.DataFrame, folds: Array) -> list[str]:
    """Return a problem that names the first groups with rows in more than one fold, if there are any."""
    if "group" not in train:
        return []
    seen = pd.DataFrame({"group": train["group"].to_numpy(), "fold": folds}).drop_duplicates()
    straddling = seen[seen.duplicated("group", keep=False)].groupby("group")["fold"].agg(sorted)
    if straddling.empty:
        return []
    groups = seen["group"].nunique()
    first = [f"{group} in {'/'.join(map(str, f))}" for group, f in straddling.iloc[:MOST_LISTED].items()]
    return [
        f"[folds]: {len(straddling)} of {plural(groups, 'group')} are in more than one fold "
        f"({format_first(first, MOST_LISTED, len(straddling))}). A network that has seen a person, patient or place in "
        'training scores too well on its other images. Set [folds] name = "stratified_group" or "group".'
    ]


def weights_leaks(file: Path, runs: Path, ids: pd.Series, folds: Array, validated: Sequence[int]) -> str:
    """Return why members that start from a weights file would score too well: it has seen rows that they validate.

    The file is a member's of some run, or a copy of one of those in `runs`, the competition's folder; any other file
    says nothing of its rows. Return "" where no row is known to be on both sides.
    """
    member = next((each for each in _members_like(file, runs) if _trained_ids(each)), None)
    if member is None:
        return ""
    trained = ids.isin(_trained_ids(member)).to_numpy()
    seen = {fold: int((trained & (folds == fold)).sum()) for fold in validated}
    if not any(seen.values()):
        return ""
    rows = format_first([f"{n} of {int((folds == fold).sum())} of fold {fold}" for fold, n in seen.items() if n])
    free = [fold for fold in sorted(set(folds[folds >= 0].tolist())) if not (trained & (folds == fold)).any()]
    cure = f"Set [training] only_folds = {free}, or take" if free else "Take"
    return (
        f"these are the weights of member {member.name} of {member.parents[1].name}, which was trained on rows that "
        f"are now validated ({rows}): scores, and all that is fitted on OOF, would be too good. {cure} weights that "
        "have seen none of these rows."
    )


def _members_like(file: Path, runs: Path) -> Iterator[Path]:
    """Yield the member's folder that a weights file is in, or those whose weights have the same bytes."""
    place = file.resolve()
    if MEMBER.fullmatch(place.parent.name):
        yield place.parent
    size = place.stat().st_size
    for other in sorted(runs.glob("*/members/*/*.safetensors")):
        if other.stat().st_size == size and filecmp.cmp(place, other, shallow=False):
            yield other.parent


def _trained_ids(member: Path) -> set[str]:
    """Return the ids that a member was trained on: those of its run's folds file that it does not validate."""
    fold = MEMBER.fullmatch(member.name)
    try:
        table = pd.read_csv(member.parents[1] / "folds.csv", dtype=str, keep_default_na=False)
        return set(table.loc[table["fold"] != fold[1], "id"]) if fold else set()
    except (OSError, ValueError, KeyError):
        return set()
