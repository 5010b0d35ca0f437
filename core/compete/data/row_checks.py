"""What is wrong, or only odd, about a competition's rows and labels: found when they have been read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from compete.data.folds import class_counts, rows_of
from compete.text import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from compete.types import Array, Tables

SHOWN = 5


def table_problems(tables: Tables) -> list[str]:
    """Return which columns and rows the tables lack, and ids that occur twice."""
    problems = []
    for name, table in (("train", tables.train), ("test", tables.test)):
        lacking = [column for column in ("id", "image") if column not in table]
        if lacking:
            problems.append(f"[dataset]: the {name} table has no column {' and no column '.join(lacking)}")
        elif table.empty:
            problems.append(f"[dataset]: the {name} table has no rows")
        elif table["id"].duplicated().any():
            twice = table.loc[table["id"].duplicated(), "id"].head(SHOWN).tolist()
            problems.append(f"[dataset]: ids occur twice in the {name} table: {', '.join(map(str, twice))}")
    return problems


def sample_problems(tables: Tables) -> list[str]:
    """Return which ids of the sample submission have no test row: found before training, not after."""
    if "id" not in tables.test:
        return []
    known = set(tables.test["id"])
    unknown = [identity for identity in tables.sample.iloc[:, 0] if identity not in known]
    if not unknown:
        return []
    return [
        f"[dataset]: {len(unknown)} of {len(tables.sample)} ids of the sample submission are not in the test table: "
        f"{', '.join(map(str, unknown[:SHOWN]))}.{did_you_mean(unknown[0], list(map(str, known))[:10_000])}"
    ]


def sample_warnings(tables: Tables) -> Iterator[str]:
    """Yield which test rows the sample submission lacks: they would be predicted for nobody."""
    ids = tables.test["id"]
    lacking = ids[~ids.isin(tables.sample.iloc[:, 0])]
    if len(lacking):
        rows = "1 test row is" if len(lacking) == 1 else f"{len(lacking)} test rows are"
        yield (
            f"the sample submission has {len(tables.sample)} rows, the test table {len(ids)}: {rows} in no row of "
            f"the submission, the first '{lacking.iloc[0]}'"
        )


def label_problems(allowed: Sequence[object], train: pd.DataFrame, labels: Array, classes: Sequence[str]) -> list[str]:
    """Return the classes of training rows that `[checks] allowed` lacks, each with its rows and the nearest label.

    Where it has none of the classes, the submission spells them in its own way, and only its cells can be compared.
    """
    known = {str(label) for label in allowed}
    trained = _trained(labels, classes)
    strange = {name: number for name, number in trained.items() if name not in known}
    if len(strange) == len(trained):
        return []
    problems = []
    for name, number in list(strange.items())[:SHOWN]:
        has = np.flatnonzero(rows_of(labels, number, len(classes)))
        rows = "1 training row has" if len(has) == 1 else f"{len(has)} training rows have"
        problems.append(
            f"[checks] allowed: '{name}' is no label of it, but {rows} this class, the first "
            f"'{train['id'].iloc[has[0]]}'.{did_you_mean(name, known)}"
        )
    if len(strange) > SHOWN:
        problems.append(f"[checks] allowed: {len(strange) - SHOWN} more classes are no labels of it.")
    return problems


def label_warnings(allowed: Sequence[object], labels: Array, classes: Sequence[str]) -> Iterator[str]:
    """Yield which allowed labels no training row has, such as one for what is unknown."""
    trained = _trained(labels, classes)
    permitted = [str(label) for label in allowed]
    lacking = [label for label in permitted if label not in trained]
    if lacking and len(lacking) < len(permitted):
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        shown = ", ".join(f"'{label}'" for label in lacking[:SHOWN])
        yield f"[checks] allowed: no training row has the label {shown}{more}: a network cannot learn it"


def _trained(labels: Array, classes: Sequence[str]) -> dict[str, int]:
    """Return the number of each class that training rows have, if there are several classes."""
    counts = class_counts(labels, len(classes)) if len(classes) > 1 else None
    return {} if counts is None else {classes[number]: number for number in np.flatnonzero(counts > 0).tolist()}
