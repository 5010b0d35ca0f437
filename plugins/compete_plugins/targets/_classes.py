"""Targets with one class per row, learnt by one softmax or several."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from compete import DataError, Target, component, format_list

from ._cells import (
    Array,
    class_names,
    class_numbers,
    numbers,
    refuse_rows,
    repeated,
    require,
    spelled,
    text,
    zeros_and_ones,
)
from ._names import Classes, check_classes, given_classes
from ._outputs import best_label, joint_softmax, softmax


def check_label(*, classes: Classes, **_: object) -> Iterator[str]:
    """Yield what is wrong with `classes`."""
    yield from check_classes("classes", classes, at_least=2)


@component(check=check_label)
def label(train: pd.DataFrame, *, column: str = "label", classes: Classes = None) -> Target:
    """One class per row, in one column.

    `column` holds the label. `classes` lists the classes in order, or names a file with one on each line, or a column
    of a table, such as `"data/labels.csv#attribute_id"`; its path starts where `compete` runs, like `root`. By default
    they are the column's own, in natural order (2 before 10). Labels are decoded in the competition's spelling:
    integers as ints, anything else as strings.
    """
    names = class_names(text(train, column), given_classes(classes), column)
    encode = partial(class_numbers, column=column, classes=names)
    encode(train)
    decode = partial(best_label, labels=spelled(names))
    return Target(names, encode, encode, softmax, decode, heads=(len(names),))


def check_one_hot(*, columns: list[str]) -> Iterator[str]:
    """Yield what is wrong with `columns`."""
    yield from check_classes("columns", [*columns], at_least=2)


@component(check=check_one_hot)
def one_hot(train: pd.DataFrame, *, columns: list[str]) -> Target:
    """One class per row, in one column per class, of which one holds a 1.

    `columns` are the classes in order; a label is decoded as the name of its column.
    """
    encode = partial(_hot_column, columns=columns)
    encode(train)
    names = tuple(columns)
    return Target(names, encode, encode, softmax, partial(best_label, labels=names), heads=(len(names),))


@component(check=check_one_hot)
def votes(train: pd.DataFrame, *, columns: list[str]) -> Target:
    """Shares of votes: several people judged each row, and the network learns the distribution of their votes.

    `columns` hold the number of votes for each class. Encoded targets and labels are soft, float32 (N, C); a label is
    decoded as the class with the largest share.
    """
    encode = partial(_vote_shares, columns=columns)
    encode(train)
    names = tuple(columns)
    return Target(names, encode, encode, softmax, partial(best_label, labels=names), heads=(len(names),))


def check_heads(
    *,
    columns: list[str],
    sizes: list[int] | None,
    classes: dict[str, list[str | int]] | None,
    **_: object,
) -> Iterator[str]:
    """Yield what is wrong with the heads' columns, sizes and classes."""
    yield from check_classes("columns", [*columns], at_least=2)
    if sizes is not None and classes is not None:
        yield "set either 'sizes' or 'classes', not both."
    if sizes is not None and (len(sizes) != len(columns) or min(sizes, default=0) < 2):
        yield f"sizes = {sizes} must hold one number of classes, 2 or more, for each of {format_list(columns)}."
    for name, given in (classes or {}).items():
        if name not in columns:
            yield f"classes.{name}: not one of the columns {format_list(columns)}."
        yield from check_classes(f"classes.{name}", given, at_least=2)


@component(check=check_heads, alternatives=(("sizes", "classes"),))
def heads(
    train: pd.DataFrame,
    *,
    columns: list[str],
    sizes: list[Annotated[int, Field(ge=2, le=100_000)]] | None = None,
    classes: dict[str, list[str | int]] | None = None,
    labels: Literal["index", "names"] = "index",
    separator: str = " ",
) -> Target:
    """One class per row that is a combination of several columns, each learnt by a softmax head of its own.

    A combination's probability is the product of the heads' probabilities. Combinations are numbered with the first
    column varying slowest, so columns of 3, 2 and 3 classes give 18 with `number = first * 6 + second * 3 + third`.
    `columns` are the heads in that order. With `sizes` the columns hold 0 to size - 1; `classes` lists a column's
    classes in order; without either they are the column's own in natural order. `labels` decodes to the combination's
    number (`index`) or to the columns' classes joined by `separator` (`names`). Encoded targets are int64 (N, heads),
    labels int64 (N,).
    """
    require(train, columns)
    names = _head_classes(train, columns, sizes, classes or {})
    encode = partial(_head_numbers, columns=columns, classes=names)
    encode(train)
    counts = tuple(len(head) for head in names)
    joined = [separator.join(parts) for parts in product(*names)]
    if labels == "names" and (twice := repeated(joined)):
        raise DataError(
            f"[target] separator = '{separator}': '{twice[0]}' is more than one combination. Set another separator."
        )
    joint = joined if labels == "names" else [str(number) for number in range(len(joined))]
    return Target(
        classes=tuple(joint),
        encode=encode,
        labels=partial(_joint_numbers, columns=columns, classes=names),
        activation=partial(joint_softmax, sizes=counts),
        decode=partial(best_label, labels=spelled(joint)),
        heads=counts,
        head_names=tuple(columns),
    )


def _head_classes(
    train: pd.DataFrame, columns: list[str], sizes: list[int] | None, classes: dict[str, list[str | int]]
) -> list[tuple[str, ...]]:
    if sizes is not None:
        return [tuple(str(number) for number in range(size)) for size in sizes]
    return [class_names(text(train, name), classes.get(name), name) for name in columns]


def _head_numbers(table: pd.DataFrame, *, columns: list[str], classes: list[tuple[str, ...]]) -> Array:
    """Return class numbers, int64 (N, heads). Raise `DataError` with the problems of all columns."""
    found, problems = [], []
    for column, names in zip(columns, classes, strict=True):
        try:
            found.append(class_numbers(table, column=column, classes=names))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return np.stack(found, axis=1)


def _joint_numbers(table: pd.DataFrame, *, columns: list[str], classes: list[tuple[str, ...]]) -> Array:
    encoded = _head_numbers(table, columns=columns, classes=classes)  # (N, heads) -> (N,)
    sizes = [len(names) for names in classes]
    joint: Array = np.ravel_multi_index(tuple(encoded.T), sizes).astype(np.int64)
    return joint


def _hot_column(table: pd.DataFrame, *, columns: list[str]) -> Array:
    hot = zeros_and_ones(table, columns)
    refuse_rows(table, hot.sum(axis=1) != 1, f"exactly one of {format_list(columns)} must hold a 1")
    found: Array = hot.argmax(axis=1).astype(np.int64)  # (N, C) -> (N,)
    return found


def _vote_shares(table: pd.DataFrame, *, columns: list[str]) -> Array:
    require(table, columns)
    counts: Array = np.stack([numbers(table, name) for name in columns], axis=1)
    refuse_rows(table, (counts < 0).any(axis=1), "negative number of votes")
    refuse_rows(table, counts.sum(axis=1) == 0, "no votes")
    shares: Array = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
