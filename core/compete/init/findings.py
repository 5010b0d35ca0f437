"""What `compete init` found, as data: where the rows are, what is predicted, and the TOML's keys with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Key:
    """One key of a TOML table: its value, and why it was chosen."""

    name: str
    value: Any
    why: str = ""


@dataclass(frozen=True)
class Section:
    """One table of the TOML, which may repeat (`[[tta]]`) or be only offered, in comments, and why it is there."""

    table: str
    keys: tuple[Key, ...]
    why: str = ""
    repeats: bool = False
    offered: bool = False


@dataclass(frozen=True)
class Table:
    """A delimited table, all cells text: the rows that were read, how many there are, and how it is written."""

    name: str
    frame: pd.DataFrame
    rows: int
    separator: str = ","
    encoding: str = "utf-8"

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return [str(name) for name in self.frame.columns]


@dataclass(frozen=True)
class Source:
    """Where the rows come from: the `[dataset]` table, and the training and test rows as text.

    `label` is the label's column where the source itself gives one, and `used` are columns that the TOML needs.
    `images` are some of the training images' paths; where there are none, `pixels` says what they look like.
    """

    dataset: str
    keys: tuple[Key, ...]
    train: pd.DataFrame
    rows: int
    test: pd.DataFrame
    id_column: str
    images: tuple[str, ...] = ()
    pixels: Pixels | None = None
    label: str = ""
    used: tuple[str, ...] = ()
    has_test_columns: bool = False
    todo: tuple[str, ...] = ()


@dataclass(frozen=True)
class Goal:
    """What is predicted: the target's kind, columns and classes with their training rows, and the submission's form.

    `target` and `submission` are the keys of these TOML tables, their name first. `open_set` is the class that, by its
    name, stands for whatever is none of the others.
    """

    kind: str
    columns: tuple[str, ...]
    target: tuple[Key, ...]
    submission: tuple[Key, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    bounds: tuple[float, float] | None = None
    whole: bool = False
    ranked: int = 0
    open_set: str = ""
    separator: str = ""
    todo: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """The submission's form: `label`, `positive`, ..."""
        return str(self.submission[0].value)

    @property
    def imbalance(self) -> float:
        """Rows of the largest class for each row of the smallest."""
        return max(self.counts.values()) / min(self.counts.values()) if self.counts else 1.0


@dataclass(frozen=True)
class Group:
    """The rows that belong together: the `[dataset]` keys that say so, their number, and what was considered.

    `versions` says that they are versions of one image, each in a label's folder.
    """

    keys: tuple[Key, ...] = ()
    count: int = 0
    fewest_of_a_class: int = 0
    considered: tuple[str, ...] = ()
    versions: bool = False


@dataclass(frozen=True)
class Pixels:
    """What a sample of images looks like: sizes as (height, width), channels, and whether they are images.

    `extra` is the extra of this package that reads them. Of sounds, the sizes are their spectrograms', and `samples`
    their lengths.
    """

    sizes: tuple[tuple[int, int], ...]
    channels: int = 3
    images: bool = True
    unreadable: tuple[str, ...] = ()
    samples: tuple[int, ...] = ()
    extra: str = ""
