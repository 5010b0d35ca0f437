"""What a dataset plugin proposes for a folder: its `[dataset]` table, with reasons, and the first rows it gives."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from compete.text import name_words, plain_name

if TYPE_CHECKING:
    import pandas as pd


# What columns with labels are called, the surest first; and words in such names.
LABEL_NAMES = ("label", "labels", "target", "class", "category", "categoryid", "classid", "species", "breed", "y")
LABEL_WORDS = {"label", "labels", "class", "category", "species", "breed", "target", "diagnosis"}
FEWEST_ROWS_OF_A_LABEL = 2  # on average


class Basis(IntEnum):
    """What a proposal rests on, the surest last."""

    NAMES = 1  # of folders or files
    TABLE = 2  # or annotations, that name the images
    LAYOUT = 3  # of one competition and no other


@dataclass(frozen=True)
class Choice:
    """One key of a TOML table: its value, and why it was chosen."""

    name: str
    value: Any
    why: str = ""


@dataclass(frozen=True)
class Excerpt:
    """The first rows as text, with the columns that a dataset would give: `train`, `test`, and the sample submission's.

    `id` is the column of `train` with the ids, `label` the one with the labels where the dataset knows, and `used` are
    columns that the network has no use for. `images` are some paths of training images, or `shape` is (height, width,
    channels) where they cannot be opened yet.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    id: str = "id"
    label: str = ""
    used: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    shape: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Proposal:
    """How a dataset would read a folder, for `compete init`; a plugin returns it from `propose_dataset`.

    `dataset` is its name, `why` it fits, and `options` are the other keys of `[dataset]`; `compete init` adds `group`,
    `group_pattern`, `drop` and `join_labels` where the dataset has these options and the proposal leaves them open. Of
    several proposals that with the surest `basis` is chosen, and of equally sure ones that with most `rows`, the
    training rows with an image. Without an `excerpt`, `compete init` builds the dataset and takes its tables. `todo`
    says what the user has to decide.
    """

    dataset: str
    options: tuple[Choice, ...] = ()
    why: str = ""
    basis: Basis = Basis.TABLE
    rows: int = 0
    excerpt: Excerpt | None = None
    todo: tuple[str, ...] = ()


def columns_called_label(table: pd.DataFrame, passed_over: Container[str] = ()) -> list[str]:
    """Return the columns that are labels by their name and hold several values, the likeliest first.

    Of columns that say the same, such as the number and the name of a class, only the one with words is returned.
    """
    names = [str(name) for name in table.columns if name not in passed_over and table[name].nunique() > 1]
    called = [name for name in names if plain_name(name) in LABEL_NAMES or name_words(name) & LABEL_WORDS]
    called.sort(key=lambda name: (_is_numeric(table, name), *_place(name)))
    different: list[str] = []
    for name in called:
        if not any(_say_the_same(table[name], table[other]) for other in different):
            different.append(name)
    return sorted(different, key=_place)


def columns_that_repeat(table: pd.DataFrame, passed_over: Container[str] = ()) -> list[str]:
    """Return the columns whose values repeat as labels do, words before numbers and the fewest values first."""
    counts = {str(name): table[name].nunique() for name in table.columns if name not in passed_over}
    some = [name for name, count in counts.items() if 1 < count <= len(table) / FEWEST_ROWS_OF_A_LABEL]
    return sorted(some, key=lambda name: (_is_numeric(table, name), counts[name]))


def columns_of_numbers(table: pd.DataFrame, passed_over: Container[str] = ()) -> list[str]:
    """Return the columns of several numbers, but for integers of which each row has its own."""
    names = [str(name) for name in table.columns if name not in passed_over and table[name].nunique() > 1]
    counted = [name for name in names if table[name].is_unique and table[name].str.fullmatch(r"\s*\d+\s*").all()]
    return [name for name in names if _is_numeric(table, name) and name not in counted]


def _place(name: str) -> tuple[bool, int]:
    known = plain_name(name) in LABEL_NAMES
    return not known, LABEL_NAMES.index(plain_name(name)) if known else 0


def _is_numeric(table: pd.DataFrame, name: str) -> bool:
    return bool(table[name].str.fullmatch(r"\s*[+-]?\d*\.?\d*\s*").all())


def _say_the_same(one: pd.Series[str], other: pd.Series[str]) -> bool:
    """Return whether each value of one column goes with one value of the other, both ways."""
    return one.nunique() == other.nunique() == len(set(zip(one, other, strict=True)))
