"""The frozen dataclasses that travel between the stages. The shape legend is in `hookspecs`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

    from compete.predict.top_k import TopK

    Image = np.ndarray[Any, np.dtype[np.uint8]]  # (H, W, C) uint8
    Array = np.ndarray[Any, Any]
    Predictions: TypeAlias = Array | TopK  # (R, C), or the best classes of each row


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
