"""Samplers: which rows an epoch draws, in which order, as row numbers drawn from the generator alone.

Samplers by class take class numbers (N,), or several columns (N, C). With several columns, a row's labels are its
largest cells: the ones of a label set, or the class with most votes. A row counts as its rarest label, and rows without
labels form a class of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from compete import ConfigError, hookimpl

Array = np.ndarray[Any, Any]
Rows = Annotated[int, Field(ge=1, le=100_000_000)]

NO_CLASSES = '[sampler] draws by class, but the target is a number, without classes. Use name = "shuffle".'


def shuffle(labels: Array, generator: torch.Generator) -> list[int]:
    """Draw every row once, in random order."""
    return _order(len(labels), generator).tolist()


def sequential(labels: Array, _generator: torch.Generator) -> list[int]:
    """Draw every row once, in the table's order."""
    return list(range(len(labels)))


def weighted(
    labels: Array,
    generator: torch.Generator,
    *,
    power: Annotated[float, Field(ge=0, le=10)] = 1.0,
    rows: Rows | None = None,
) -> list[int]:
    """Draw rows with replacement, rare classes more often.

    A row's weight is (rows of its class) ** -`power`: 1 draws all classes equally often, 0 draws all rows equally
    often, 0.5 lies between. `rows` is how many an epoch draws, by default as many as there are. With several label
    columns the class of a row is its rarest label.
    """
    counts, classes = _classes(labels)
    return _drawn((counts**-power)[classes], rows, generator)


def effective_number(
    labels: Array,
    generator: torch.Generator,
    *,
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.999,
    rows: Rows | None = None,
) -> list[int]:
    """Draw rows with replacement, by 1 / effective number of rows of their class (Cui et al. 2019).

    `beta` sets how soon more rows of a class stop adding to its effective number (1 - beta^rows) / (1 - beta): 0 draws
    all rows equally often, and towards 1 all classes. `rows` is how many an epoch draws, by default as many as there
    are. With several label columns the class of a row is its rarest label.
    """
    counts, classes = _classes(labels)
    return _drawn(((1 - beta) / (1 - beta**counts))[classes], rows, generator)


def class_balanced(labels: Array, generator: torch.Generator, *, rows: Rows | None = None) -> list[int]:
    """Draw a class, all equally likely, then a row of it; no row repeats before its class is used up.

    `rows` is how many an epoch draws, by default as many as there are. With several label columns the class of a row is
    its rarest label.
    """
    members = _members(labels)
    classes = torch.randint(len(members), (rows or len(labels),), generator=generator).numpy()
    places = _split(classes, len(members))
    order = np.empty(len(classes), dtype=np.int64)
    for own, at in zip(members, places, strict=True):
        order[at] = _taken(own, len(at), generator)
    drawn: list[int] = order.tolist()
    return drawn


def oversample(labels: Array, generator: torch.Generator, *, most: Rows | None = None) -> list[int]:
    """Draw every row, and rows of smaller classes again until they match the largest class, in random order.

    `most` limits how often a row may appear; without it the row of a one-row class appears as often as the largest
    class has rows. With several label columns the class of a row is its rarest label.
    """
    members = _members(labels)
    largest = max(len(own) for own in members)
    counts = [largest if most is None else min(largest, most * len(own)) for own in members]
    taken = [_taken(own, count, generator) for own, count in zip(members, counts, strict=True)]
    rows = np.concatenate(taken)
    drawn: list[int] = rows[_order(len(rows), generator).numpy()].tolist()
    return drawn


def capped(labels: Array, generator: torch.Generator, *, most: Rows) -> list[int]:
    """Draw at most `most` rows of each class, different ones in every epoch, in random order.

    Small classes keep all their rows. This thins out a huge majority (`empty` at a camera trap, healthy breasts) and
    shortens epochs of millions of rows. With several label columns the class of a row is its rarest label.
    """
    rows = np.concatenate([_taken(own, min(most, len(own)), generator) for own in _members(labels)])
    drawn: list[int] = rows[_order(len(rows), generator).numpy()].tolist()
    return drawn


@hookimpl
def register_samplers() -> dict[str, Callable[..., list[int]]]:
    """Offer the bundled samplers."""
    return {
        "shuffle": shuffle,
        "sequential": sequential,
        "weighted": weighted,
        "class_balanced": class_balanced,
        "oversample": oversample,
        "capped": capped,
        "effective_number": effective_number,
    }


def _order(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randperm(count, generator=generator)


def _drawn(weights: Array, rows: int | None, generator: torch.Generator) -> list[int]:
    # Not torch.multinomial, which is limited to 2**24 rows.
    edges = np.cumsum(weights)
    points = torch.rand(rows or len(weights), dtype=torch.float64, generator=generator).numpy() * edges[-1]
    drawn: list[int] = np.searchsorted(edges, points, side="right").clip(max=len(weights) - 1).tolist()
    return drawn


def _taken(own: Array, count: int, generator: torch.Generator) -> Array:
    """Return `count` of the rows; how often they are used differs by one at most."""
    rounds = -(-count // len(own))
    orders = [_order(len(own), generator).numpy() for _ in range(rounds)]
    return own[np.concatenate(orders)[:count]] if orders else own[:0]


def _members(labels: Array) -> list[Array]:
    """Return the row numbers of each class that occurs."""
    counts, classes = _classes(labels)
    return _split(classes, len(counts))


def _split(classes: Array, count: int) -> list[Array]:
    """Return the positions of each class number below `count`: (N,) -> one array for each class."""
    sizes = np.bincount(classes, minlength=count)
    return np.split(np.argsort(classes, kind="stable"), np.cumsum(sizes)[:-1])


def _classes(labels: Array) -> tuple[Array, Array]:
    """Return the number of rows of each class that occurs, float64 (classes,), and each row's class among them (N,)."""
    labels = labels if labels.ndim == 1 else _rarest_label(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ConfigError(NO_CLASSES)
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return counts.astype(np.float64), classes


def _rarest_label(labels: Array) -> Array:
    """Return each row's rarest label by rank (N,), 0 the rarest of all; C where a row has none."""
    if labels.shape[1] == 1 and not np.isin(labels, (0, 1)).all():
        raise ConfigError(NO_CLASSES)
    held = (labels == labels.max(axis=1, keepdims=True)) & (labels > 0)
    rarest_first = np.argsort(held.sum(axis=0), kind="stable")
    best = np.full(len(labels), labels.shape[1])
    rows, ranks = np.nonzero(held[:, rarest_first])  # (N, C) -> one entry for each label that a row has
    np.minimum.at(best, rows, ranks)
    return best
