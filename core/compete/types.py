"""The frozen dataclasses that travel between the stages. The shape legend is in `hookspecs`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import torch
    from torch import nn

    Image = np.ndarray[Any, np.dtype[np.uint8]]  # (H, W, C) uint8
    Array = np.ndarray[Any, Any]
    Predictions: TypeAlias = "Array | TopK"  # (R, C), or the best classes of each row


@dataclass(frozen=True)
class TopK:
    """The k best of `classes` columns in each of R rows, best first; all others count as 0.

    `labels` are column numbers int32 (R, k) and `values` their predictions float32 (R, k), NaN in a row that has
    none.
    """

    labels: Array
    values: Array
    classes: int

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C), as of the array that it stands for."""
        return len(self.values), self.classes

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Array | slice) -> TopK:
        """Return some of the rows."""
        return TopK(self.labels[rows], self.values[rows], self.classes)

    def dense(self) -> Array:
        """Return float32 (R, C): for a few rows at a time."""
        import numpy as np

        array = np.zeros(self.shape, np.float32)
        np.put_along_axis(array, self.labels.astype(np.int64), self.values, axis=1)
        array[np.isnan(self.values).any(axis=1)] = np.nan
        return array


@dataclass(frozen=True)
class Tables:
    """A competition's rows.

    `train` and `test` have the columns `id` (text, unique) and `image` (one path below the root, or a list of
    them); `train` also has the raw labels and, where people, patients or places repeat, a column `group`.
    `sample` is the sample submission as read, ids as text in its first column: its rows, columns and order are
    what the platform expects. `note` is shown with every result, for example that the images are drawn;
    `warnings` are shown with the run's own, for example that rows were lost.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    note: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """What a network learns and how its logits become the competition's labels.

    `encode(table)` gives what the loss sees: int64 (N,) for one head, int64 (N, heads) for several, or
    float32 (N, K). `labels(table)` gives what metrics, folds and samplers see: int64 class numbers (N,), or
    float32 (N, C). `activation` maps logits (B, K) to predictions (B, C). `decode` maps predictions (T, C) to
    labels (T,) in the competition's own spelling.
    """

    classes: tuple[str, ...]
    encode: Callable[[pd.DataFrame], Array]
    labels: Callable[[pd.DataFrame], Array]
    activation: Callable[[torch.Tensor], torch.Tensor]
    decode: Callable[[Array], Sequence[Any]]
    heads: tuple[int, ...] = ()
    head_names: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """K, the number of logits."""
        return sum(self.heads)


@dataclass(frozen=True)
class Transform:
    """An image pipeline in two parts, each (H, W, C) uint8 -> the same.

    `fixed` is the same for every image of train, valid and test, so its result can be cached. `random`
    gets a seed as well, runs in training only, and gives the same image for the same seed.
    """

    fixed: Callable[[Image], Image] | None = None
    random: Callable[[Image, int], Image] | None = None


@dataclass(frozen=True)
class Metric:
    """A competition metric over whole arrays: `score(labels, predictions)`, and which direction is better.

    `top` is how many of the best classes of a row it looks at, by `top_labels`; such a metric also takes a `TopK` in
    place of (N, C). 0: it needs every probability. `named(classes)` is there where options name classes: it returns
    the metric for a target with these.
    """

    score: Callable[[Array, Any], float]
    higher_is_better: bool = True
    top: int = 0
    named: Callable[[Sequence[str]], Metric] | None = None

    def better(self, score: float, than: float | None) -> bool:
        """Return whether `score` beats `than`; anything finite beats None."""
        if score != score:  # NaN never wins
            return False
        return than is None or (score > than if self.higher_is_better else score < than)


@dataclass(frozen=True)
class Member:
    """One network of the ensemble: the fold it is validated on, and its seed."""

    fold: int
    seed: int

    @property
    def name(self) -> str:
        """The member's folder name."""
        return f"fold{self.fold}-seed{self.seed}"


@dataclass(frozen=True)
class Epoch:
    """What one epoch of one member gave."""

    number: int
    train_loss: float
    valid_loss: float
    score: float
    lr: float
    seconds: float


@dataclass(frozen=True)
class MemberResult:
    """A finished member: its score on its own fold, its epochs and which of them was kept."""

    member: Member
    score: float
    best_epoch: int
    epochs: tuple[Epoch, ...] = ()
    class_draws: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class NetworkAttributes(Protocol):
    """Attributes that a `[model]`'s network may have. Each is optional; the core reads no others.

    `head_name` names the head's modules, `mean` and `std` (one value or one per channel, of pixels in 0..1) are those
    that the weights were trained with, and `notes` are lines about where the weights came from, shown with the network.
    """

    head_name: str | Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    notes: Sequence[str]


class RunView(Protocol):
    """What a plugin may read of a run, from its first event on, and the three things that it may do with it."""

    @property
    def folder(self) -> Path:
        """The run's folder, `submissions/<competition>/<run>`."""

    @property
    def title(self) -> str:
        """The competition's title or, where the TOML gives none, its name."""

    @property
    def competition(self) -> str:
        """The competition's name, as in the TOML."""

    @property
    def metric_name(self) -> str:
        """The metric's name, as in the TOML."""

    @property
    def device(self) -> str:
        """The device's name, such as "cuda:0"."""

    @property
    def precision(self) -> str:
        """The numbers' precision, such as "bf16-mixed"."""

    @property
    def interactive(self) -> bool:
        """Whether a person watches, in a terminal."""

    @property
    def warnings(self) -> Sequence[str]:
        """What was warned of so far."""

    def warn(self, message: str) -> None:
        """Add a warning, which the run shows at its end."""

    def register(self, plugin: object) -> None:
        """Register an object with event hooks for the rest of this run."""

    def progress(self, what: str) -> Callable[[int, int], None]:
        """Return a function `(done, total)` that reports how far something long has come."""


class TrainerView(Protocol):
    """What a plugin may read of a member in training, and `mark_best`, with which it chooses the final weights."""

    @property
    def members(self) -> Sequence[Member]:
        """Every member of the run, in the order of training."""

    @property
    def member(self) -> Member:
        """The member: its fold and its seed."""

    @property
    def network(self) -> nn.Module:
        """The network that is trained, on its device."""

    @property
    def metric(self) -> Metric:
        """The competition's metric."""

    @property
    def metric_name(self) -> str:
        """The metric's name, as in the TOML."""

    @property
    def epochs(self) -> int:
        """How many epochs the member is to train."""

    @property
    def steps_per_epoch(self) -> int:
        """How many optimizer steps an epoch has."""

    @property
    def epoch(self) -> int:
        """How many epochs are finished."""

    @property
    def step(self) -> int:
        """How many steps of the current epoch are made."""

    @property
    def samples_seen(self) -> int:
        """How many images of the current epoch are trained on."""

    @property
    def history(self) -> Sequence[Epoch]:
        """The finished epochs."""

    def mark_best(self) -> None:
        """Mark the current weights of the evaluation network as those that the member ends with."""
