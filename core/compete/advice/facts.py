"""What advice rests on, and what it consists of: tables of a TOML with a reason for each choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from compete.files.proposals import Choice

HOLDOUT = 10  # a single split validates one row in so many
CLASS_KINDS = ("label", "one_hot", "binary")  # targets of one class a row


@dataclass(frozen=True)
class Section:
    """One table of the TOML, which may repeat (`[[tta]]`) or be only suggested, in comments, and why it is there."""

    table: str
    keys: tuple[Choice, ...]
    why: str = ""
    repeats: bool = False
    suggested: bool = False


@dataclass(frozen=True)
class Weights:
    """Where a backbone's weights are: "cache", "hub" or the path of a local file. `at` is empty: nowhere now."""

    backbone: str
    at: str = ""
    mb: int = 0

    @property
    def is_file(self) -> bool:
        """Whether they come from a local file."""
        return self.at not in ("", "cache", "hub")

    @property
    def said(self) -> str:
        """Say where they come from."""
        known = {"cache": "already in the hub's cache", "hub": f"can be downloaded now ({self.mb} MB)"}
        return known.get(self.at, f"from the file {self.at}" if self.at else "can NOT be had now")


@dataclass(frozen=True)
class Facts:
    """All that the recipe depends on.

    `counts` are the training rows of each class, `side` the greater side of a typical image in pixels. `images` is
    false for measured data, `versions` true where pixels tell versions of one image apart. `sided` says why left and
    right matter, "" if they do not. `words` are names of the competition and what belongs to it. `similar` is the
    user's word whether the images are like ImageNet's photographs.
    """

    rows: int
    kind: str
    metric: str
    side: int
    counts: Mapping[str, int] = field(default_factory=dict)
    channels: int = 3
    images: bool = True
    versions: bool = False
    square: bool = True
    sided: str = ""
    words: frozenset[str] = frozenset()
    device: str = "cpu"
    cores: int = 1
    folds: int = 5
    similar: bool | None = None

    @property
    def per_class(self) -> float:
        """Images of a class, on average; all of them where there are no classes."""
        return self.rows / max(1, len(self.counts))

    @property
    def imbalance(self) -> float:
        """Rows of the largest class for each row of the smallest."""
        return max(self.counts.values()) / max(1, min(self.counts.values())) if self.counts else 1.0

    @property
    def trained_rows(self) -> int:
        """Rows that one member trains on."""
        return max(1, self.rows - self.rows // (self.folds if self.folds > 1 else HOLDOUT))


def section(table: str, *keys: Choice, why: str = "", repeats: bool = False) -> Section:
    """Return a table from its keys."""
    return Section(table, keys, why, repeats)


def values(sections: Iterable[Section], table: str) -> dict[str, object]:
    """Return the keys and values of the first table of this name."""
    return next(({key.name: key.value for key in s.keys} for s in sections if s.table == table and not s.suggested), {})


def with_key(sections: Iterable[Section], table: str, key: Choice) -> list[Section]:
    """Return the tables with a key more in those of this name."""
    return [replace(s, keys=(*s.keys, key)) if s.table == table else s for s in sections]
