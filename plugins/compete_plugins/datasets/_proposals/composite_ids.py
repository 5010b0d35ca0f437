"""Ids that the sample submission makes of two columns, as of a patient and a side: several rows show one thing."""

from __future__ import annotations

import re
from itertools import product

import pandas as pd

from compete import Choice, path_template, plural

SEPARATORS = ("_", "-", " ")


def composite_template(train: pd.DataFrame, test: pd.DataFrame, ids: pd.Series[str]) -> str:
    """Return the template over two columns of both tables that makes the sample's ids of the test rows, or nothing."""
    columns = [str(name) for name in train.columns if name in test.columns and not re.search(r"[\[\]{}]", str(name))]
    wanted = set(ids)
    for sign in SEPARATORS:
        cuts = [(cell[: cut.start()], cell[cut.end() :]) for cell in wanted for cut in re.finditer(sign, cell)]
        ends = [{cut[side] for cut in cuts} for side in (0, 1)]
        starts, finishes = ([name for name in columns if test[name].isin(cells).any()] for cells in ends)
        for first, second in product(starts, finishes):
            if wanted <= set(test[first] + sign + test[second]):
                return f"{{{first}}}{sign}{{{second}}}"
    return ""


def with_composite_ids(table: pd.DataFrame, template: str, name: str) -> pd.DataFrame:
    """Return the table with the ids that the template makes in column `name`."""
    return table.assign(**{name: path_template(template).fill(table)})


def differing(table: pd.DataFrame, name: str) -> list[str]:
    """Return the columns in which rows of one id differ: a run leaves them out."""
    counts = table.groupby(name).nunique().max()
    return [str(column) for column in counts.index[counts > 1]]


def join_choice(table: pd.DataFrame, template: str, name: str) -> Choice:
    """Return the option that joins the rows, with what it makes of them."""
    rows = f"{plural(len(table), 'row')} become {table[name].nunique()} with several images each"
    pool = 'whose predictions are averaged; [inference] pool = "max" would trust the highest'
    why = f"the sample's '{name}' is made of these columns: {rows}, {pool}"
    return Choice("join_on", template, why)
