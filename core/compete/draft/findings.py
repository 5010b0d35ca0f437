"""What `compete init` found: where the rows are, what is predicted, and the TOML's tables with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compete.advice.facts import Section
from compete.files.proposals import Choice, Excerpt

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Goal", "Group", "Pixels", "Section", "Source"]


@dataclass(frozen=True, kw_only=True)
class Source(Excerpt):
    """Where the rows come from: the proposal that was chosen, with its first rows.

    `free` are the dataset's options that nobody has set, and `group` is the group of each training row, where the
    dataset gives it by itself. Without a sample submission, `sampled` is false, and labels are to be written. `named`
    says that the labels are names of folders or files.
    """

    dataset: str = ""
    options: tuple[Choice, ...] = ()
    why: str = ""
    rows: int = 0
    sample_name: str = "the sample submission"
    sampled: bool = True
    named: bool = False
    free: frozenset[str] = frozenset()
    group: pd.Series[str] | None = None
    todo: tuple[str, ...] = ()


@dataclass(frozen=True)
class Goal:
    """What is predicted: the target's kind, columns and classes with their training rows, and the submission's form.

    `target` and `submission` are the keys of these TOML tables, their name first. `open_set` is the class that, by its
    name, stands for whatever is none of the others.
    """

    kind: str
    columns: tuple[str, ...]
    target: tuple[Choice, ...]
    submission: tuple[Choice, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    bounds: tuple[float, float] | None = None
    whole: bool = False
    ranked: int = 0
    open_set: str = ""
    separator: str = ""
    todo: tuple[str, ...] = ()
    unless_said: str = ""  # what to decide where no description says the metric

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

    keys: tuple[Choice, ...] = ()
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
