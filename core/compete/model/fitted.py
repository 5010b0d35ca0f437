"""Heads that are fitted on features at once, and never stepped: what they get, and what they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from compete.types import Array, Target


@dataclass(frozen=True)
class HeadData:
    """What a head is fitted on: samples, each an image as often as the sampler drew its row.

    `features` float32 (n, ...) are those of all images, on disk; `images` (S,) is the number of each sample's image.
    `targets` (S, ...) are those of the loss, `soft_targets` (S, K) the same as one number for each output, both on the
    device. `folds` (S,) are the run's folds, which inner cross-validation may leave out. `loss(logits (S, K), targets)`
    is the TOML's.
    """

    features: Array
    images: Array
    targets: Tensor
    soft_targets: Tensor
    folds: Array
    loss: Callable[[Tensor, Tensor], Tensor]
    target: Target


@dataclass(frozen=True)
class Fitted:
    """The loss of a fitted head on its samples, NaN if that says nothing, and a note on what was chosen."""

    loss: float
    note: str = ""


class FittedHead(Protocol):
    """A head that is fitted on features at once, as logistic regression is, and not by an optimizer's steps."""

    def fit(self, head: nn.Module, data: HeadData) -> Fitted:
        """Set the weights and buffers of the head's module."""
