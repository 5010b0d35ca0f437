"""What tables become before their rows are used: columns of other tables, a choice of rows, several rows made one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from compete import DataError, did_you_mean, format_first, format_list, plural

from ._common import need_column

Where = Mapping[str, str | list[str]]


@dataclass(frozen=True)
class Unmatched:
    """The rows of a table that another table, which should add columns to them, has no row for."""

    other: str
    added: tuple[str, ...]  # the other table's columns, which are empty in these rows
    key: str
    keys: pd.Series[str]  # of these rows, which are its index

    def describe(self, rows: pd.Index[Any]) -> str:
        """Name some of the rows by their keys."""
        return f"{self.other} has no row with {self.key} = {format_first(self.keys.loc[rows].tolist())}"


class Chosen(NamedTuple):
    """The rows chosen of a table; which were lost, and which have empty cells, because another table lacks them."""

    table: pd.DataFrame
    lost: list[str]
    empty: list[str]


def with_columns_of(table: pd.DataFrame, where: str, other: pd.DataFrame, name: str) -> tuple[pd.DataFrame, Unmatched]:
    """Add the columns of another table, matched by the columns that both have; rows without a match get empty cells."""
    shared = [str(column) for column in table.columns if column in other.columns]
    if not shared:
        raise DataError(
            f"more: {name} and {where} have no column in common: {format_list(map(str, other.columns))} "
            f"against {format_list(map(str, table.columns))}."
        )
    repeated = other.duplicated(subset=shared)
    if repeated.any():
        first = ", ".join(other.loc[repeated, shared].iloc[0])
        raise DataError(f"more: {name} has several rows for {format_list(shared)} = {first}.")
    merged = table.merge(other, on=shared, how="left", indicator="\0merge")
    alone = merged.pop("\0merge") == "left_only"
    keys = merged.loc[alone, shared].agg(" / ".join, axis=1) if alone.any() else pd.Series(dtype=str)
    added = tuple(str(column) for column in other.columns if column not in shared)
    return merged.fillna(""), Unmatched(name, added, " / ".join(shared), keys)


def rows_where(table: pd.DataFrame, wanted: Where, option: str, where: str) -> pd.DataFrame:
    """Return the rows whose cells are among the wanted ones, column by column; they keep their index."""
    for column, values in wanted.items():
        need_column(table, column, where, option)
        known = _listed(values)
        cells = table[column]
        table = table[cells.isin(known)]
        if table.empty:
            there = [str(cell) for cell in cells.unique()]
            raise DataError(
                f"{option}: no row of {where} has {column} = {format_list(known)}.{did_you_mean(known[0], there)} "
                f"It holds {format_list(there)}."
            )
    return table


def choose(table: pd.DataFrame, path: str, others: Mapping[str, pd.DataFrame], option: str, wanted: Where) -> Chosen:
    """Add the columns of other tables, choose rows, and report those that another table lacks."""
    unmatched = []
    for name, other in others.items():
        table, alone = with_columns_of(table, path, other, name)
        unmatched.append(alone)
    chosen = rows_where(table, wanted, option, path)
    lost = list(_lost(table, wanted, option, path, unmatched))
    return Chosen(chosen.reset_index(drop=True), lost, list(_empty(chosen, path, unmatched)))


def _lost(table: pd.DataFrame, wanted: Where, option: str, where: str, of: list[Unmatched]) -> Iterator[str]:
    """Yield which rows a choice loses only because their cell of another table is empty."""
    for unmatched in of:
        if not any(column in unmatched.added and "" not in _listed(values) for column, values in wanted.items()):
            continue
        rows = table.loc[unmatched.keys.index]
        for column, values in wanted.items():
            if column not in unmatched.added:
                rows = rows[rows[column].isin(_listed(values))]
        if len(rows):
            yield f"{option} leaves out {plural(len(rows), 'row')} of {where}, as {unmatched.describe(rows.index)}."


def _empty(chosen: pd.DataFrame, where: str, of: list[Unmatched]) -> Iterator[str]:
    for unmatched in of:
        rows = chosen.index.intersection(unmatched.keys.index)
        if len(rows):
            empty = f"{format_list(unmatched.added)}: empty in {plural(len(rows), 'row')} of {where}"
            yield f"{empty}, as {unmatched.describe(rows)}."


def _listed(values: str | list[str]) -> list[str]:
    return [values] if isinstance(values, str) else values


def check_where(option: str, wanted: Where) -> Iterator[str]:
    """Yield what is wrong with a choice of rows."""
    for column, values in wanted.items():
        if values == []:
            yield f"{option}.{column} names no value."


def joined(
    table: pd.DataFrame, images: pd.Series[Any], key: str, labels: tuple[str, ...], where: str
) -> tuple[pd.DataFrame, pd.Series[Any], str]:
    """Make the rows with one `key` a single row with a list of images.

    Labels must agree; other columns that differ within a key are left out, which the note returned says.
    """
    groups = table.groupby(key, sort=False)
    varied = [str(column) for column in table.columns if column != key and (groups[column].nunique() > 1).any()]
    for label in labels:
        if label in varied:
            differ = groups[label].nunique()
            keys = [str(name) for name in differ.index[differ > 1]]
            raise DataError(f"join_labels: the rows of one {key} differ in '{label}' in {where}: {format_first(keys)}.")
    first = ~table[key].duplicated()
    kept = table[first].drop(columns=varied)
    flat = images.explode()
    lists = flat.groupby(table[key].reindex(flat.index), sort=False).agg(list)
    left_out = f", without {format_list(varied)}, which differ." if varied else "."
    note = f"{len(table)} rows of {where} were joined into {len(kept)}{left_out}"
    return kept, lists.set_axis(kept.index), note
