"""What a dataset plugin proposes for a folder: its `[dataset]` table, with reasons, and the first rows it gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


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
