"""What tables become before their rows are used: columns of other tables, a choice of rows, several rows made one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from compete import DataError, choices, did_you_mean

from ._common import need_column, shown

Where = Mapping[str, str | list[str]]


def with_columns_of(table: pd.DataFrame, where: str, other: pd.DataFrame, name: str) -> pd.DataFrame:
    """Add the columns of another table, matched by the columns that both have; rows without a match get empty cells."""
    shared = [str(column) for column in table.columns if column in other.columns]
    if not shared:
        raise DataError(
            f"more: {name} and {where} have no column in common: {choices(map(str, other.columns))} "
            f"against {choices(map(str, table.columns))}."
        )
    repeated = other.duplicated(subset=shared)
    if repeated.any():
        first = ", ".join(other.loc[repeated, shared].iloc[0])
        raise DataError(f"more: {name} has several rows for {choices(shared)} = {first}.")
    return table.merge(other, on=shared, how="left").fillna("")


def rows_where(table: pd.DataFrame, wanted: Where, option: str, where: str) -> pd.DataFrame:
    """Return the rows whose cells are among those wanted, column by column."""
    for column, values in wanted.items():
        need_column(table, column, where, option)
        known = [values] if isinstance(values, str) else values
        cells = table[column]
        table = table[cells.isin(known)]
        if table.empty:
            there = [str(cell) for cell in cells.unique()]
            raise DataError(
                f"{option}: no row of {where} has {column} = {choices(known)}.{did_you_mean(known[0], there)} "
                f"It holds {choices(there)}."
            )
    return table.reset_index(drop=True)


def check_where(option: str, wanted: Where) -> Iterator[str]:
    """Yield what is wrong with a choice of rows."""
    for column, values in wanted.items():
        if values == []:
            yield f"{option}.{column} names no value."


def joined(
    table: pd.DataFrame, images: pd.Series[Any], key: str, labels: tuple[str, ...], where: str
) -> tuple[pd.DataFrame, pd.Series[Any], str]:
    """Make the rows with one `key` a single row with a list of pictures.

    Labels must agree; other columns that differ within a key are left out, which the note returned says.
    """
    groups = table.groupby(key, sort=False)
    varied = [str(column) for column in table.columns if column != key and (groups[column].nunique() > 1).any()]
    for label in labels:
        if label in varied:
            differ = groups[label].nunique()
            keys = [str(name) for name in differ.index[differ > 1]]
            raise DataError(f"join_labels: the rows of one {key} differ in '{label}' in {where}: {shown(keys)}.")
    first = ~table[key].duplicated()
    kept = table[first].drop(columns=varied)
    flat = images.explode()
    lists = flat.groupby(table[key].reindex(flat.index), sort=False).agg(list)
    left_out = f", without {choices(varied)}, which differ." if varied else "."
    note = f"{len(table)} rows of {where} were joined into {len(kept)}{left_out}"
    return kept, lists.set_axis(kept.index), note
