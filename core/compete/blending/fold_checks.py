"""Folds of the blended runs against one another: other splits, and groups or images that a run had on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compete.blending.sources import Source
from compete.data.leaks import linked_rows, straddling
from compete.data.stored_tables import read_stored_tables
from compete.text import format_list, plural

if TYPE_CHECKING:
    from compete.data.dataset import Dataset
    from compete.types import Array


def fold_notes(runs: Sequence[str], sources: Sequence[Source], dataset: Dataset) -> Iterator[str]:
    """Yield what the folds of the runs say against trusting their OOF side by side."""
    first = sources[0]
    for source in sources:
        if source.folds is None:
            yield (
                f"{source.name}: its folds are not known. If it was trained on rows that it predicts here, its OOF "
                "is too good, and a fitted blend trusts it too much"
            )
        elif first.folds is not None and source is not first:
            yield from _other_split(first, source)
    for run, groups in _groups(runs, dataset.tables.train["id"]):
        for source in sources:
            yield from _split_groups(source, run, groups)
    linked = linked_rows(dataset.tables.train["image"].tolist())
    if linked is not None:
        for source in sources:
            yield from _split_images(source, linked)


def _other_split(first: Source, source: Source) -> Iterator[str]:
    """Compare two splits as partitions: what the folds are called does not matter."""
    assert first.folds is not None and source.folds is not None
    both = (first.folds >= 0) & (source.folds >= 0)
    pairs = pd.DataFrame({"one": first.folds[both], "two": source.folds[both]})
    largest = pairs.groupby("one")["two"].agg(lambda folds: folds.value_counts().iloc[0]).sum()
    one_to_one = len(pairs.drop_duplicates()) == pairs["one"].nunique() == pairs["two"].nunique()
    if not one_to_one:
        share = 1 - largest / max(1, len(pairs))
        yield (
            f"{source.name} has other folds than {first.name} ({share:.0%} of the rows moved): it has seen rows in "
            "training that the other validates, so weights and stacking that are fitted on both see a little of "
            "the labels they are judged by. Equal [folds] and [training] seed avoid it"
        )


def _groups(runs: Sequence[str], ids: pd.Series[str]) -> Iterator[tuple[str, Array]]:
    """Yield each run's groups, as strings of the rows (N,); "" where a run does not have the row."""
    seen: list[Array] = []
    for run in runs:
        tables = read_stored_tables(Path(run))
        if tables is None or "group" not in tables.train:
            continue
        groups = tables.train.set_index("id")["group"].astype(str).reindex(ids, fill_value="").to_numpy()
        if not any(np.array_equal(groups, other) for other in seen):
            seen.append(groups)
            yield Path(run).name, groups


def _split_groups(source: Source, run: str, groups: Array) -> Iterator[str]:
    if source.folds is None:
        return
    rows = np.flatnonzero((source.folds >= 0) & (groups != ""))
    table = pd.DataFrame({"group": groups[rows], "fold": source.folds[rows]}).drop_duplicates()
    split = table["group"][table["group"].duplicated()].unique()
    if len(split):
        whose = "its own" if run == source.name else f"{run}'s"
        yield (
            f"{source.name}: {plural(len(split), 'group')} of {whose} {table['group'].nunique():,} are in more than "
            f"one of its folds ({format_list(split.tolist(), 3)}): a leak, its OOF is too good, and a fitted blend "
            "trusts it too much"
        )


def _split_images(source: Source, linked: Array) -> Iterator[str]:
    if source.folds is None:
        return
    rows = np.flatnonzero(source.folds >= 0)
    apart = straddling(linked[rows], source.folds[rows])
    if len(apart):
        yield f"{source.name}: {plural(len(apart), 'row')} show an image that is in another of its folds too: a leak"
