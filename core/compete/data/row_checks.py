"""Problems and warnings about a competition's rows and labels, found right after they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from compete.data.folds import class_counts, rows_of
from compete.text import did_you_mean, format_first, plural

if TYPE_CHECKING:
    import pandas as pd

    from compete.types import Array, Tables

SHOWN = 5


def table_problems(tables: Tables) -> list[str]:
    """Return the missing columns and rows of the tables, and ids that occur twice."""
    problems = []
    for name, table in (("train", tables.train), ("test", tables.test)):
        lacking = [column for column in ("id", "image") if column not in table]
        if lacking:
            problems.append(f"[dataset]: the {name} table has no column {' and no column '.join(lacking)}")
        elif table.empty and (name == "train" or not tables.sample.empty):
            problems.append(f"[dataset]: the {name} table has no rows")
        elif table["id"].duplicated().any():
            twice = table.loc[table["id"].duplicated(), "id"].tolist()
            problems.append(f"[dataset]: ids occur twice in the {name} table: {format_first(twice)}")
    return problems


def sample_problems(tables: Tables) -> list[str]:
    """Return the ids of the sample submission that have no test row."""
    if "id" not in tables.test:
        return []
    if tables.sample.empty:
        return ["[dataset]: the sample submission has no rows, but there are test rows"] if tables.has_test else []
    known = set(tables.test["id"])
    unknown = [identity for identity in tables.sample.iloc[:, 0] if identity not in known]
    if not unknown:
        return []
    return [
        f"[dataset]: {len(unknown)} of {len(tables.sample)} ids of the sample submission are not in the test table: "
        f"{format_first(unknown)}.{did_you_mean(unknown[0], list(map(str, known))[:10_000])}"
    ]


def sample_warnings(tables: Tables) -> Iterator[str]:
    """Yield the test rows that the sample submission lacks, whose predictions would go unused."""
    ids = tables.test["id"]
    lacking = ids[~ids.isin(tables.sample.iloc[:, 0])]
    if len(lacking):
        yield (
            f"the sample submission has {plural(len(tables.sample), 'row')}, the test table {len(ids):,}: "
            f"{plural(len(lacking), 'test row is', 'test rows are')} not in the submission, the first "
            f"'{lacking.iloc[0]}'"
        )


def label_problems(allowed: Sequence[object], train: pd.DataFrame, labels: Array, classes: Sequence[str]) -> list[str]:
    """Return the trained classes that `[checks] allowed` lacks, with their rows and the nearest label.

    If it lacks all of them, the submission spells classes in its own way, and only its cells can be checked.
    """
    known = dict.fromkeys(map(str, allowed))
    trained = _trained(labels, classes)
    unlisted = {name: number for name, number in trained.items() if name not in known}
    if len(unlisted) == len(trained):
        return []
    problems = []
    for name, number in list(unlisted.items())[:SHOWN]:
        has = np.flatnonzero(rows_of(labels, number, len(classes)))
        rows = plural(len(has), "training row has", "training rows have")
        problems.append(
            f"[checks] allowed: '{name}' is not listed, but {rows} this class, the first "
            f"'{train['id'].iloc[has[0]]}'.{did_you_mean(name, known)}"
        )
    if len(unlisted) > SHOWN:
        more = plural(len(unlisted) - SHOWN, "more class is", "more classes are")
        problems.append(f"[checks] allowed: {more} not listed.")
    return problems


def label_warnings(allowed: Sequence[object], labels: Array, classes: Sequence[str]) -> Iterator[str]:
    """Yield the allowed labels that no training row has, such as a label for the unknown."""
    trained = _trained(labels, classes)
    permitted = [str(label) for label in allowed]
    lacking = [label for label in permitted if label not in trained]
    if lacking and len(lacking) < len(permitted):
        labels_text = format_first([f"'{label}'" for label in lacking])
        yield f"[checks] allowed: no training row has the label {labels_text}: a network cannot learn it"


def _trained(labels: Array, classes: Sequence[str]) -> dict[str, int]:
    """Return `{name: number}` of the classes that training rows have, if there are several classes."""
    counts = class_counts(labels, len(classes)) if len(classes) > 1 else None
    return {} if counts is None else {classes[number]: number for number in np.flatnonzero(counts > 0).tolist()}
