"""Heads: from the features of a backbone, and columns of the tables, to logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from compete import Count, component, hookimpl

from ._fitted import knn, probe

Backbone = Callable[[int], nn.Module]
Rate = Annotated[float, Field(ge=0, le=0.99)]


class Features(nn.Module):
    """Features of an image and of its `[columns]`, in one vector."""

    def __init__(self, image: nn.Module, columns: int, columns_width: int, dropout: float) -> None:
        super().__init__()
        self.image = image
        self.columns = (
            nn.Sequential(nn.Linear(columns, columns_width), nn.ReLU(), nn.Dropout(dropout)) if columns else None
        )

    def forward(self, images: torch.Tensor, columns: torch.Tensor | None = None) -> torch.Tensor:
        """Return (B, width), or (B, width + columns_width)."""
        features: torch.Tensor = self.image(images)
        # (B, width), (B, columns_width) -> (B, width + columns_width)
        return features if self.columns is None else torch.cat([features, self.columns(columns)], dim=1)


class LinearHead(nn.Module):
    """Logits from the features of images and columns together."""

    def __init__(self, features: Features, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.features = features
        self.mix = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs))

    def forward(self, images: torch.Tensor, columns: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, K)."""
        logits: torch.Tensor = self.mix(self.features(images, columns))
        return logits


class MultiSampleDropout(nn.Module):
    """One last layer on features dropped several times; in eval mode nothing is dropped, and once is enough."""

    def __init__(self, features: Features, width: int, outputs: int, dropout: float, samples: int) -> None:
        super().__init__()
        self.features = features
        self.drop = nn.Dropout(dropout)
        self.last = nn.Linear(width, outputs)
        self.samples = samples

    def forward(self, images: torch.Tensor, columns: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, K), in training mode the mean over the samples."""
        features = F.relu(self.features(images, columns))
        samples = self.samples if self.training else 1
        logits: torch.Tensor = torch.stack([self.last(self.drop(features)) for _ in range(samples)]).mean(dim=0)
        return logits


class Norm(nn.BatchNorm1d):
    """Batch norm that uses its running statistics for a batch of one, which has none of its own."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, width)."""
        if len(features) > 1:
            return super().forward(features)
        return F.batch_norm(features, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class CosineHead(nn.Module):
    """Logits as scaled cosines between an image's embedding and a centre for each class."""

    def __init__(self, features: Features, width: int, outputs: int, scale: float) -> None:
        super().__init__()
        self.features = features
        self.norm = Norm(width)
        self.centres = nn.Parameter(nn.init.xavier_uniform_(torch.empty(outputs, width)))
        self.scale = scale

    def forward(self, images: torch.Tensor, columns: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, K) in -scale..scale."""
        embedding = self.norm(self.features(images, columns))
        # (B, width) @ (width, K) of unit vectors -> cosines (B, K)
        return self.scale * F.linear(F.normalize(embedding), F.normalize(self.centres))


def linear(
    backbone: Backbone,
    columns: int,
    outputs: int,
    *,
    width: Count = 128,
    columns_width: Count = 64,
    dropout: Rate = 0.0,
) -> nn.Module:
    """Take the backbone's own last layer; with `[columns]`, add a last layer on the features of both.

    `width` is the number of features of an image, `columns_width` that of the columns, from one layer with a ReLU;
    `dropout` is applied to both. All three apply with `[columns]` only.
    """
    if not columns:
        return backbone(outputs)
    return LinearHead(
        Features(backbone(width), columns, columns_width, dropout), width + columns_width, outputs, dropout
    )


def multi_sample_dropout(
    backbone: Backbone,
    columns: int,
    outputs: int,
    *,
    samples: Annotated[int, Field(ge=1, le=64)] = 5,
    dropout: Rate = 0.5,
    width: Count = 512,
    columns_width: Count = 64,
) -> nn.Module:
    """Average the logits of several dropouts of the same features, which speeds up training (Inoue 2019).

    `samples` is their number, `dropout` the rate of each. `width` is the number of features of an image, from a new
    layer, followed by a ReLU; `columns_width` that of `[columns]`. Predictions drop nothing. The paper averages the
    samples' losses; here, as in most code of competitions, their logits are averaged, which any loss can take. After a
    linear layer that is dropout with less noise, not less dropout.
    """
    total_width = width + (columns_width if columns else 0)
    features = Features(backbone(width), columns, columns_width, dropout=0.0)
    return MultiSampleDropout(features, total_width, outputs, dropout, samples)


@component(gives_cosines=True)
def cosine(
    backbone: Backbone,
    columns: int,
    outputs: int,
    *,
    width: Count = 512,
    scale: Annotated[float, Field(ge=1e-3, le=1e4)] = 30.0,
    columns_width: Count = 64,
    dropout: Rate = 0.0,
) -> nn.Module:
    """Compare an embedding with a centre for each class by their cosine; for many classes with few images each.

    For the loss `arcface` with the same `scale`, or for cross entropy. `width` is the length of an image's embedding,
    followed by a batch norm as in ArcFace (Deng et al. 2019). Logits are cosines times `scale`. `columns_width` is the
    number of features of `[columns]`; `dropout` is applied to them.
    """
    total_width = width + (columns_width if columns else 0)
    return CosineHead(Features(backbone(width), columns, columns_width, dropout), total_width, outputs, scale)


@hookimpl
def register_heads() -> dict[str, Callable[..., nn.Module]]:
    """Offer the bundled heads."""
    return {
        "linear": linear,
        "multi_sample_dropout": multi_sample_dropout,
        "cosine": cosine,
        "probe": probe,
        "knn": knn,
    }
