"""Predictions of many networks and views in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from compete.errors import TrainingError

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


@torch.inference_mode()
def predict(
    fabric: Fabric,
    networks: Sequence[nn.Module],
    scalers: Sequence[Scaler],
    batches: Iterable[Batch],
    views: Views,
    activation: Callable[[torch.Tensor], torch.Tensor],
    rows: int,
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
) -> Array:
    """Return predictions (M, rows, C) float32: the mean over views, and over the pictures of a row.

    Each batch is read once for all M networks and views. Rows that no batch names are NaN. `watch` gets the rows
    and untouched-view logits of the first network, for a validation loss. Raise `TrainingError` on NaN.
    """
    for network in networks:
        network.eval()
    sums: torch.Tensor | None = None
    counts = torch.zeros(rows, device=fabric.device)
    for batch in batches:
        images = batch.images.to(fabric.device, non_blocking=True)
        index = batch.rows.to(fabric.device, non_blocking=True)
        counts.index_add_(0, index, torch.ones(len(index), device=fabric.device))
        for number, (network, scaler) in enumerate(zip(networks, scalers, strict=True)):
            hear = watch if number == 0 else None
            mean = _mean_over_views(fabric, network, views(scaler(images)), activation, index, hear)
            if sums is None:
                sums = _accumulator(len(networks), rows, mean)
            sums[number].index_add_(0, index.to(sums.device), mean.to(sums.device))
    if sums is None:
        raise TrainingError("there is nothing to predict: no picture was given")
    return _means(sums, counts.to(sums.device))


def _mean_over_views(
    fabric: Fabric,
    network: nn.Module,
    views: list[torch.Tensor],
    activation: Callable[[torch.Tensor], torch.Tensor],
    index: torch.Tensor,
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None,
) -> torch.Tensor:
    total: torch.Tensor | None = None
    for view in views:
        with fabric.autocast():
            logits = network(view)
        logits = logits.float()  # probabilities of half-precision logits would not sum to one
        if watch is not None and total is None:
            watch(index, logits)
        predictions = activation(logits)
        total = predictions if total is None else total + predictions
    assert total is not None  # views() always holds the untouched picture
    return total / len(views)


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
