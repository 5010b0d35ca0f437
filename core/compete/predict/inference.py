"""Predictions of many networks and views in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from compete.errors import TrainingError
from compete.model.memory import BatchSplitter
from compete.model.network import input_scale

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from compete.config.load import Config
    from compete.data.loaders import Batch
    from compete.types import Array

Views = Callable[[torch.Tensor], list[torch.Tensor]]
Scale = Callable[[torch.Tensor], torch.Tensor]  # pixels to a network's input; stored features stay as they are
MOST_DEVICE_BYTES = 2 << 30


@dataclass(frozen=True)
class Scaler:
    """Turns a batch of pixels into a network's input: float32 (B, C, H, W), scaled by mean and std (1, C, 1, 1)."""

    mean: torch.Tensor
    std: torch.Tensor
    channels_last: bool

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return (B, C, H, W) float32 from (B, H, W, C), on the images' device."""
        images = images.permute(0, 3, 1, 2)  # (B, H, W, C) -> (B, C, H, W), which already is channels_last in memory
        if not self.channels_last:
            images = images.contiguous()
        unit = 255.0 if images.dtype == torch.uint8 else 1.0
        return (images.float() / unit - self.mean) / self.std

    def to(self, device: torch.device) -> Scaler:
        """Return the same scaler with its constants on a device."""
        return Scaler(self.mean.to(device), self.std.to(device), self.channels_last)


def scaler_for(network: nn.Module, config: Config) -> Scaler:
    """Return a network's scaler, with its constants on the CPU."""
    return Scaler(*input_scale(network, config.images), config.training.channels_last)


def as_they_are(features: torch.Tensor) -> torch.Tensor:
    """Return stored features unchanged, where pixels would be scaled."""
    return features


def views_of(components: Sequence[Callable[[torch.Tensor], Sequence[torch.Tensor]]]) -> Views:
    """Join TTA components: the unchanged images first, then the extra views of each."""

    def views(images: torch.Tensor) -> list[torch.Tensor]:
        return [images, *(view for component in components for view in component(images))]

    return views


@dataclass(frozen=True)
class Pooling:
    """How the predictions of a row's images become one, and how many of the best classes are kept (0: all)."""

    how: Literal["mean", "max"] = "mean"
    top: int = 0

    def __call__(self, predictions: torch.Tensor, owner: torch.Tensor | None, rows: int) -> list[torch.Tensor]:
        """Return values (rows, W) from predictions (B, C) and, with `top`, the labels int32 (rows, W) of the best W.

        `owner` (B,) is the row of each image, None if each image has its own.
        """
        if owner is not None:
            predictions = self._pooled(predictions, owner, rows)
        if not self.top:
            return [predictions]
        values, labels = predictions.topk(min(self.top, predictions.shape[1]), dim=1)  # (rows, C) -> 2 x (rows, W)
        return [values, labels.int()]

    def _pooled(self, predictions: torch.Tensor, owner: torch.Tensor, rows: int) -> torch.Tensor:
        # (B, C) -> (rows, C): image b is added, or compared, to row owner[b].
        empty = predictions.new_full((rows, predictions.shape[1]), -torch.inf if self.how == "max" else 0.0)
        if self.how == "max":
            return empty.scatter_reduce_(0, owner[:, None].expand_as(predictions), predictions, "amax")
        counts = torch.zeros(rows, device=owner.device).index_add_(0, owner, torch.ones_like(owner, dtype=torch.float))
        return empty.index_add_(0, owner, predictions) / counts[:, None]


@dataclass
class PartialPredictions:
    """An unfinished prediction: the parts (M, R, W) that `Pooling` returns, after so many `batches` and `rows`."""

    splitter: BatchSplitter
    parts: list[torch.Tensor] = field(default_factory=list)
    rows: int = 0
    batches: int = 0

    def add(self, number: int, of: int, total: int, parts: list[torch.Tensor]) -> None:
        """Write the parts (B, W) of network `number` of `of` for the next rows, of `total` in all."""
        if not self.parts:
            self.parts = [_empty(of, total, part) for part in parts]
        for whole, part in zip(self.parts, parts, strict=True):
            whole[number, self.rows : self.rows + len(part)] = part.to(whole.device)  # (B, W) into (M, R, W)


@dataclass(frozen=True)
class Ensemble:
    """The networks that predict, their scalers and views, and the activation of their logits."""

    networks: Sequence[nn.Module]
    scalers: Sequence[Scale]
    views: Views
    activation: Callable[[torch.Tensor], torch.Tensor]


@torch.inference_mode()
def predict(
    fabric: Fabric,
    ensemble: Ensemble,
    batches: Iterable[Batch],
    total: int,
    done: PartialPredictions,
    pooling: Pooling,
    columns: torch.Tensor | None = None,
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
) -> list[Array]:
    """Return the parts (M, total, W) of the predictions: the mean over views, pooled over the images of a row.

    Each batch holds whole rows, is read once for all M networks and views, and added to `done`. `columns` (N, F) are
    the features beside the images. `watch` gets the rows (B,) and the first network's logits (B, K) of the unchanged
    images, for a validation loss. Raise `TrainingError` for NaN.
    """
    for network in ensemble.networks:
        network.eval()
    for batch in batches:
        images = batch.images.to(fabric.device, non_blocking=True)
        rows = batch.rows.to(fabric.device, non_blocking=True)
        beside = [] if columns is None else [columns[rows]]
        # On the CPU, where the rows came from: asking the device would wait for it. (B,) -> (rows,), (B,)
        owners, owner = torch.unique_consecutive(batch.rows, return_inverse=True)
        several = owner.to(fabric.device, non_blocking=True) if len(owners) < len(owner) else None
        for number, (network, scaler) in enumerate(zip(ensemble.networks, ensemble.scalers, strict=True)):
            predict_one = _predictor(fabric, network, scaler, ensemble)
            mean, logits = _split(predict_one, [images, *beside], done.splitter)
            if watch is not None and number == 0:
                watch(rows, logits)
            done.add(number, len(ensemble.networks), total, pooling(mean, several, len(owners)))
        done.rows += len(owners)
        done.batches += 1
    if not done.parts:
        raise TrainingError("nothing to predict: no row has a readable image")
    if not torch.isfinite(done.parts[0][:, : done.rows]).all():
        raise TrainingError("a network predicts NaN or infinity: its training has diverged. Lower [optimizer] lr.")
    return [part.cpu().numpy() for part in done.parts]


def _predictor(fabric: Fabric, network: nn.Module, scaler: Scale, ensemble: Ensemble) -> Callable[..., _Both]:
    def predict_one(images: torch.Tensor, *beside: torch.Tensor) -> _Both:
        """Return predictions (B, C) over all views, and the logits (B, K) of the first, the unchanged images."""

        def logits(view: torch.Tensor) -> torch.Tensor:
            with fabric.autocast():
                half: torch.Tensor = network(view, *beside)
            return half.float()  # probabilities from half-precision logits would not sum to one

        views = ensemble.views(scaler(images))
        first = logits(views[0])
        total = ensemble.activation(first)
        for view in views[1:]:
            total = total + ensemble.activation(logits(view))
        return total / len(views), first

    return predict_one


_Both = tuple[torch.Tensor, torch.Tensor]


def _split(predict_one: Callable[..., _Both], inputs: Sequence[torch.Tensor], splitter: BatchSplitter) -> _Both:
    """Return both results for a whole batch, split into as many micro-batches as memory requires."""

    def work(count: int) -> _Both:
        micro_batches = zip(*(part.chunk(count) for part in inputs), strict=True)
        means, logits = zip(*(predict_one(*micro_batch) for micro_batch in micro_batches), strict=True)
        return torch.cat(means), torch.cat(logits)

    return splitter.fit(work, len(inputs[0]))


def _empty(members: int, rows: int, like: torch.Tensor) -> torch.Tensor:
    """Return zeros (M, rows, W), on the device unless they would take too much of its memory."""
    size = members * rows * like.shape[1] * like.element_size()
    device = like.device if size <= MOST_DEVICE_BYTES else torch.device("cpu")
    return torch.zeros(members, rows, like.shape[1], dtype=like.dtype, device=device)
