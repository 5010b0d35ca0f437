"""Predictions of many networks and views in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from compete.errors import TrainingError
from compete.memory import Pieces

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from compete.loaders import Batch
    from compete.types import Array

Views = Callable[[torch.Tensor], list[torch.Tensor]]
MOST_DEVICE_BYTES = 2 << 30


@dataclass(frozen=True)
class Scaler:
    """Turns a batch of pixels into what a network sees: floats (B, C, H, W), scaled by mean and std."""

    mean: torch.Tensor
    std: torch.Tensor
    channels_last: bool

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return (B, C, H, W) float32 from (B, H, W, C), on the images' device."""
        # A permuted (B, H, W, C) batch already is channels_last in memory.
        images = images.permute(0, 3, 1, 2)
        if not self.channels_last:
            images = images.contiguous()
        unit = 255.0 if images.dtype == torch.uint8 else 1.0
        return (images.float() / unit - self.mean) / self.std

    def to(self, device: torch.device) -> Scaler:
        """Return the same scaler with its constants on a device."""
        return Scaler(self.mean.to(device), self.std.to(device), self.channels_last)


def views_of(components: Sequence[Callable[[torch.Tensor], Sequence[torch.Tensor]]]) -> Views:
    """Join TTA components: the untouched picture first, then every extra view of each."""

    def views(images: torch.Tensor) -> list[torch.Tensor]:
        return [images, *(view for component in components for view in component(images))]

    return views


@dataclass
class Sums:
    """A prediction under way: sums (M, rows, C) and pictures of each row (rows,) after so many `batches`."""

    counts: torch.Tensor
    pieces: Pieces
    sums: torch.Tensor | None = None
    batches: int = 0

    def add(self, number: int, of: int, rows: torch.Tensor, predictions: torch.Tensor) -> None:
        """Add the predictions (B, C) of network `number` of `of` for these rows."""
        if self.sums is None:
            self.sums = _accumulator(of, len(self.counts), predictions)
        self.sums[number].index_add_(0, rows.to(self.sums.device), predictions.to(self.sums.device))


@torch.inference_mode()
def predict(
    fabric: Fabric,
    networks: Sequence[nn.Module],
    scalers: Sequence[Scaler],
    batches: Iterable[Batch],
    views: Views,
    activation: Callable[[torch.Tensor], torch.Tensor],
    done: Sums,
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
) -> Array:
    """Return predictions (M, rows, C) float32: the mean over views, and over the pictures of a row.

    Each batch is read once for all M networks and views, and added to `done`. Rows that no batch names are NaN.
    `watch` gets the rows and untouched-view logits of the first network, for a validation loss. Raise `TrainingError`
    on NaN.
    """

    def predictor(network: nn.Module, scaler: Scaler) -> Callable[[torch.Tensor], _Both]:
        return lambda images: _mean_over_views(fabric, network.eval(), views(scaler(images)), activation)

    predictors = [predictor(*one) for one in zip(networks, scalers, strict=True)]
    for batch in batches:
        images = batch.images.to(fabric.device, non_blocking=True)
        rows = batch.rows.to(fabric.device, non_blocking=True)
        done.counts.index_add_(0, rows, torch.ones(len(rows), device=fabric.device))
        for number, predict_one in enumerate(predictors):
            mean, logits = _in_pieces(predict_one, images, done.pieces)
            if watch is not None and number == 0:
                watch(rows, logits)
            done.add(number, len(networks), rows, mean)
        done.batches += 1
    if done.sums is None:
        raise TrainingError("there is nothing to predict: no picture was given")
    return _means(done.sums, done.counts.to(done.sums.device))


_Both = tuple[torch.Tensor, torch.Tensor]


def _in_pieces(predict_one: Callable[[torch.Tensor], _Both], images: torch.Tensor, pieces: Pieces) -> _Both:
    """Return both results for a whole batch, made from as many pieces as memory asks for."""

    def work(count: int) -> _Both:
        means, logits = zip(*(predict_one(piece) for piece in images.chunk(count)), strict=True)
        return torch.cat(means), torch.cat(logits)

    return pieces.fit(work, len(images))


def _mean_over_views(
    fabric: Fabric,
    network: nn.Module,
    views: list[torch.Tensor],
    activation: Callable[[torch.Tensor], torch.Tensor],
) -> _Both:
    """Return predictions (B, C) over all views, and the logits (B, K) of the first, the untouched picture."""

    def logits(view: torch.Tensor) -> torch.Tensor:
        with fabric.autocast():
            half: torch.Tensor = network(view)
        return half.float()  # probabilities of half-precision logits would not sum to one

    first = logits(views[0])
    total = activation(first)
    for view in views[1:]:
        total = total + activation(logits(view))
    return total / len(views), first


def _accumulator(members: int, rows: int, like: torch.Tensor) -> torch.Tensor:
    """Return zeros (M, rows, C) on the device, or in main memory where they would crowd the device."""
    size = members * rows * like.shape[1] * like.element_size()
    device = like.device if size <= MOST_DEVICE_BYTES else torch.device("cpu")
    return torch.zeros(members, rows, like.shape[1], device=device)


def _means(sums: torch.Tensor, counts: torch.Tensor) -> Array:
    if not torch.isfinite(sums).all():
        raise TrainingError("a network predicts NaN or infinity: its training has diverged. Lower the learning rate.")
    means = torch.where(counts[:, None] > 0, sums / counts[:, None], torch.nan)
    array: Array = means.cpu().numpy()
    return array
