"""Targets of independent binary outputs: one label, several columns, or a set of labels in one column."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from compete import DataError, Target, component, did_you_mean, format_list

from ._cells import (
    Array,
    class_numbers,
    classes_in,
    refuse_rows,
    repeated,
    row_problem,
    spelled,
    text,
    zeros_and_ones,
)
from ._names import Classes, check_classes, given_classes
from ._outputs import either_label, joined_labels, sigmoid


def binary(train: pd.DataFrame, *, column: str = "label", positive: str | int = "1") -> Target:
    """Two classes: the probability of one of them.

    `column` holds two different labels; `positive` is the one whose probability is predicted, and the name of the only
    prediction column. Encoded targets are float32 (N, 1), labels int64 (N,) with 1 for the positive class.
    """
    name = str(positive)
    found = classes_in(text(train, column), column)
    if name not in found:
        raise DataError(
            f"train table: column '{column}' never holds the positive label '{name}'."
            f"{did_you_mean(name, found)} Labels: {format_list(found)}."
        )
    others = [other for other in found if other != name]
    if len(others) != 1:
        raise DataError(f"train table: column '{column}' must hold two labels; it holds {format_list(found)}.")
    pair = (others[0], name)
    labels = partial(class_numbers, column=column, classes=pair)
    negative, positive = spelled(pair)
    decode = partial(either_label, negative=negative, positive=positive)
    return Target((name,), partial(_one_column, column=column, classes=pair), labels, sigmoid, decode, (1,))


def check_columns(*, columns: list[str]) -> Iterator[str]:
    """Yield what is wrong with `columns`."""
    if not columns:
        yield "columns needs at least one name."
    for name in repeated(columns):
        yield f"columns names '{name}' twice."


@component(check=check_columns)
def columns(train: pd.DataFrame, *, columns: list[str]) -> Target:
    """Several independent labels, each in a column of 0 and 1.

    `columns` are the labels in order. Encoded targets and labels are float32 (N, C). Decoding joins the names of the
    labels with a probability of at least one half by ", ".
    """
    encode = partial(zeros_and_ones, columns=columns)
    encode(train)
    names = tuple(columns)
    decode = partial(joined_labels, labels=names, separator=", ")
    return Target(names, encode, encode, sigmoid, decode, (len(names),))


OTHER_SEPARATORS = ";,|"
SEPARATED_SHARE = 0.05  # of the rows; a single label may well hold a comma


def check_tokens(*, separator: str, classes: Classes, **_: object) -> Iterator[str]:
    """Yield what is wrong with the separator or the classes."""
    if not separator:
        yield "separator is empty."
    yield from check_classes("classes", classes, at_least=0)


@component(check=check_tokens)
def tokens(
    train: pd.DataFrame,
    *,
    column: str = "labels",
    separator: str = " ",
    classes: Classes = None,
    allow_empty: bool = False,
) -> Target:
    """A set of labels per row, written in one column.

    `column` holds the labels joined by `separator`. `classes` lists the labels in order, or names a file (as for
    `label`); by default they are the column's own in natural order. `allow_empty` takes an empty cell as a row without
    labels; otherwise it is an error. Encoded targets and labels are float32 (N, C). Decoding joins the labels with a
    probability of at least one half.
    """
    whole = text(train, column, allow_empty)
    cells = _split(whole, separator)
    given = given_classes(classes)
    if given is None:
        _refuse_other_separator(whole, column, separator)
        _refuse_punctuation(cells, column, separator)
    else:
        _refuse_separator_inside(given, separator)
    names = classes_in(cells, column) if given is None else given
    if not names:
        raise DataError(f"train table: column '{column}' has no labels.")
    encode = partial(_label_sets, column=column, separator=separator, classes=tuple(names), allow_empty=allow_empty)
    encode(train)
    decode = partial(joined_labels, labels=tuple(names), separator=separator)
    return Target(tuple(names), encode, encode, sigmoid, decode, (len(names),), separator=separator)


def _one_column(table: pd.DataFrame, *, column: str, classes: tuple[str, str]) -> Array:
    return class_numbers(table, column=column, classes=classes).astype(np.float32)[:, None]


def _split(cells: pd.Series[str], separator: str) -> pd.Series[str]:
    """Return one stripped label per entry, indexed by row number, without empty ones."""
    parts = cells.reset_index(drop=True).str.split(separator, regex=False).explode().str.strip()
    return parts[parts != ""]


def _refuse_other_separator(cells: pd.Series[str], column: str, separator: str) -> None:
    """Raise `DataError` if only another separator splits the cells: their joined labels would become classes."""
    if cells.str.strip().str.contains(separator, regex=False).any():
        return
    for other in OTHER_SEPARATORS:
        rows = int(cells.str.contains(other, regex=False).sum())
        if rows > SEPARATED_SHARE * len(cells):
            raise DataError(
                f"train table: no cell of column '{column}' holds the separator '{separator}', but {rows:,} of "
                f"{len(cells):,} hold '{other}', the first '{cells[cells.str.contains(other, regex=False)].iloc[0]}'. "
                f"Set [target] separator = '{other}', or list the classes."
            )


def _refuse_punctuation(labels: pd.Series[str], column: str, separator: str) -> None:
    """Raise `DataError` for labels that another sign would split into labels: `rust,` of `scab, rust`, or `a,b`."""
    names = set(labels.unique())
    for name in sorted(names):
        for sign in OTHER_SEPARATORS:
            parts = [part.strip() for part in name.split(sign) if part.strip()]
            if sign in name and name not in parts and names.issuperset(parts):
                other = f"{sign}{separator}" if name.endswith(sign) else sign
                raise DataError(
                    f"train table: column '{column}', split at '{separator}', holds both '{name}' and "
                    f"{format_list(map(repr, parts))}. Set [target] separator = '{other}', or list the classes."
                )


def _refuse_separator_inside(classes: list[str], separator: str) -> None:
    """Raise `DataError` for classes that no cell can hold, since it would be split inside them."""
    inside = [name for name in classes if separator in name.strip()]
    if inside:
        raise DataError(
            f"[target] classes: '{inside[0]}' holds the separator '{separator}', at which cells are split"
            f"{f', and so do {len(inside) - 1} more' if len(inside) > 1 else ''}. "
            'Set another separator; if a cell is one label, set name = "label".'
        )


def _label_sets(
    table: pd.DataFrame, *, column: str, separator: str, classes: tuple[str, ...], allow_empty: bool
) -> Array:
    parts = _split(text(table, column, allow_empty), separator)
    places = pd.Index(classes).get_indexer(pd.Index(parts))
    unknown = parts[places == -1]
    if len(unknown):
        raise DataError(
            row_problem(
                table,
                np.isin(np.arange(len(table)), unknown.index[unknown == name]),
                f"column '{column}' holds '{name}', which is not a class",
            )
            + did_you_mean(name, classes)
            for name in unknown.unique()
        )
    sets = np.zeros((len(table), len(classes)), dtype=np.float32)
    sets[parts.index.to_numpy(), places] = 1.0  # one entry for each label of each row -> (N, C)
    if not allow_empty:
        refuse_rows(table, sets.sum(axis=1) == 0, f"column '{column}' holds no labels")
    return sets
