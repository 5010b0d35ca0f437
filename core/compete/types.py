"""The frozen dataclasses that travel between the stages. The shape legend is in `hookspecs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from torch import Tensor, nn

    Image = np.ndarray[Any, np.dtype[np.uint8]]  # (H, W, C) uint8
    Array = np.ndarray[Any, Any]
    Predictions: TypeAlias = "Array | TopK"  # (R, C), or the best classes of each row


@dataclass(frozen=True)
class TopK:
    """The k best of C `classes` in each of R rows, best first; all others count as 0.

    `labels` are class numbers int32 (R, k), and `values` their predictions float32 (R, k), NaN in rows without any.
    """

    labels: Array
    values: Array
    classes: int

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C)."""
        return len(self.values), self.classes

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Array | slice) -> TopK:
        return TopK(self.labels[rows], self.values[rows], self.classes)

    def dense(self) -> Array:
        """Return float32 (R, C); use it for a few rows at a time."""
        import numpy as np

        array = np.zeros(self.shape, np.float32)
        np.put_along_axis(array, self.labels.astype(np.int64), self.values, axis=1)  # (R, k) into (R, C)
        array[np.isnan(self.values).any(axis=1)] = np.nan
        return array


@dataclass(frozen=True)
class SampleForm:
    """How a sample submission is written, which the submission follows.

    `mark`: after a byte order mark. `ends`: a line end last. `gaps`: empty lines. `index`: the cells of an unnamed
    first column that counts rows; tables leave it out. `quoted`, `unnamed`: columns, by number in the file.
    """

    separator: str = ","
    encoding: str = "utf-8"
    mark: bool = False
    line_end: str = "\n"
    ends: bool = True
    gaps: bool = False
    index: tuple[str, ...] = ()
    quoted_header: bool = False
    quoted: frozenset[int] = frozenset()
    unnamed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Tables:
    """A competition's rows.

    `train` and `test` have the columns `id` (unique strings) and `image` (a path below the root, or a list of them);
    `train` also has the raw labels and, if people, patients or places repeat, a column `group`. `sample` is the sample
    submission as read, with ids as strings in its first column: the platform expects its rows, columns and order, and
    `form` is how it is written. Without a test set `test` and `sample` have no rows. `note` is shown with every result,
    for example that the images are drawn; `warnings` are added to the run's, for example that rows were dropped.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    note: str = ""
    warnings: tuple[str, ...] = ()
    form: SampleForm = SampleForm()

    @property
    def has_test(self) -> bool:
        """Whether there are test rows."""
        return len(self.test) > 0


@dataclass(frozen=True)
class Target:
    """What a network learns, and how its logits become the competition's labels.

    `encode(table)` returns the targets of the loss: int64 (N,) for one head, int64 (N, heads) for several, or float32
    (N, K). `labels(table)` returns the labels for metrics, folds and samplers: int64 class numbers (N,), or float32
    (N, C). `activation` maps logits (B, K) to predictions (B, C), and `decode` predictions (T, C) to labels (T,) in the
    competition's spelling. `heads` are the sizes of the heads, which sum to K; `separator` joins the labels of a set.
    If labels are levels on a scale, `ranks` maps labels (N,) and predictions (N, 1) to the nearest level's place (N,).
    """

    classes: tuple[str, ...]
    encode: Callable[[pd.DataFrame], Array]
    labels: Callable[[pd.DataFrame], Array]
    activation: Callable[[Tensor], Tensor]
    decode: Callable[[Array], Sequence[Any]]
    heads: tuple[int, ...] = ()
    head_names: tuple[str, ...] = ()
    ranks: Callable[[Array], Array] | None = None
    separator: str = ""

    @property
    def outputs(self) -> int:
        """K, the number of logits."""
        return sum(self.heads)


@dataclass(frozen=True)
class Transform:
    """An image pipeline in two parts, each from (H, W, C) to (H, W, C).

    `fixed` is applied to every image, so its result can be cached. `random` is applied in training only; it also gets
    a seed, and returns the same image for the same seed.
    """

    fixed: Callable[[Image], Image] | None = None
    random: Callable[[Image, int], Image] | None = None


@dataclass(frozen=True)
class Metric:
    """A competition metric over whole arrays: `score(labels, predictions)`, and which direction is better.

    `top` is the number of best classes per row that it uses, by `top_labels`: such a metric also takes a `TopK` in
    place of (N, C). 0 means that it needs every probability. If options name classes, `named(classes)` returns the
    metric for a target with these classes.
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
    """One network of the ensemble: the fold that validates it, and its seed."""

    fold: int
    seed: int

    @property
    def name(self) -> str:
        """The member's folder name."""
        return f"fold{self.fold}-seed{self.seed}"


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch of a member."""

    number: int
    train_loss: float
    valid_loss: float
    score: float
    lr: float
    seconds: float


@dataclass(frozen=True)
class MemberResult:
    """A finished member: its score on its own fold, its epochs, and the number of the best, whose weights it has."""

    member: Member
    score: float
    best_epoch: int
    epochs: tuple[Epoch, ...] = ()
    class_draws: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class TrainerView(Protocol):
    """What a plugin may read of a member in training, and the methods that choose its final weights."""

    @property
    def members(self) -> Sequence[Member]:
        """Every member of the run, in the order of training."""

    @property
    def member(self) -> Member:
        """The member: its fold and its seed."""

    @property
    def network(self) -> nn.Module:
        """The network in training, on its device."""

    @property
    def metric(self) -> Metric:
        """The competition's metric."""

    @property
    def metric_name(self) -> str:
        """The metric's name, as in the TOML."""

    @property
    def epochs(self) -> int:
        """The number of epochs to train."""

    @property
    def evaluation_network(self) -> nn.Module:
        """The network that validates and predicts: a callback's (EMA), else the trained one."""

    @property
    def folder(self) -> Path:
        """The member's folder."""

    @property
    def target(self) -> Target:
        """The target to predict."""

    @property
    def validation(self) -> tuple[Array, Array]:
        """The numbers (V,) of the training rows that validate the member, and their labels, (V,) or (V, C)."""

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimizer steps in an epoch."""

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""

    @property
    def step(self) -> int:
        """The number of steps made in the current epoch."""

    @property
    def samples_seen(self) -> int:
        """The number of images trained on in the current epoch."""

    @property
    def history(self) -> Sequence[Epoch]:
        """The finished epochs."""

    def mark_best(self) -> None:
        """Make the evaluation network's current weights the member's final ones."""

    def choose(self, network: nn.Module, epoch: int, score: float | None = None) -> None:
        """Make a network's weights the member's final ones: those of an epoch, or made from it and scored by itself."""

    def final_network(self) -> nn.Module:
        """Return a copy of the network with the member's final weights, in eval mode, once some are chosen."""

    def evaluate(self, network: nn.Module) -> tuple[float, float]:
        """Return a network's loss and score over all of the fold's validation rows, without augmentation or TTA."""

    def training_inputs(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield the network's inputs in each batch of the current epoch, augmented; not while an epoch is trained."""

    def decode(self, rows: Array) -> tuple[Array, tuple[Tensor, ...]]:
        """Return the first image (B, H, W, C) of each training row, unaugmented, and the network's inputs from them."""
