"""From logits to predictions and from predictions to labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, Any]


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Return class probabilities (B, C), in float32 also for half-precision logits."""
    return logits.float().softmax(dim=1)


def sigmoid(logits: torch.Tensor) -> torch.Tensor:
    """Return one probability for each output (B, K), in float32 also for half-precision logits."""
    return logits.float().sigmoid()


def joint_softmax(logits: torch.Tensor, *, sizes: tuple[int, ...]) -> torch.Tensor:
    """Return the product of the heads' probabilities (B, C), the first head's class varying slowest."""
    first, *others = (softmax(head) for head in logits.split_with_sizes(sizes, dim=1))
    for head in others:
        # (B, C, 1) * (B, 1, next head) -> (B, C * next head)
        first = (first[:, :, None] * head[:, None, :]).flatten(1)
    return first


def scaled_sigmoid(logits: torch.Tensor, *, low: float, high: float) -> torch.Tensor:
    """Return values between `low` and `high`, (B, 1)."""
    return low + (high - low) * sigmoid(logits)


def steps_climbed(logits: torch.Tensor, *, levels: Array) -> torch.Tensor:
    """Return the expected level (B, 1): each step between two levels times the probability of exceeding the lower."""
    steps = torch.tensor(np.diff(levels), dtype=torch.float32, device=logits.device)  # (k - 1,)
    return float(levels[0]) + (sigmoid(logits) * steps).sum(dim=1, keepdim=True)


def best_label(predictions: Array, *, labels: Sequence[Any]) -> list[Any]:
    """Return the label of each row's most probable class (T,)."""
    return [labels[number] for number in _finite(predictions).argmax(axis=1)]


def either_label(predictions: Array, *, negative: Any, positive: Any) -> list[Any]:  # noqa: ANN401
    """Return `positive` where its probability is at least one half, else `negative` (T,)."""
    return [positive if probability >= 0.5 else negative for probability in _finite(predictions)[:, 0]]


def joined_labels(predictions: Array, *, labels: tuple[str, ...], separator: str) -> list[str]:
    """Return the labels with a probability of at least one half, joined (T,)."""
    rows, columns = np.nonzero(_finite(predictions) >= 0.5)
    ends = np.searchsorted(rows, np.arange(len(predictions) + 1))  # where the labels of each row end
    return [separator.join(labels[c] for c in columns[start:end]) for start, end in pairwise(ends)]


def level_numbers(values: Array, *, levels: Array) -> Array:
    """Return the place of the nearest level of (N,) or (N, 1), 0 to k - 1, float64 (N,); what is not finite is NaN."""
    flat = values.reshape(-1)
    places = np.searchsorted((levels[1:] + levels[:-1]) / 2, flat, side="right")  # a tie goes to the higher level
    return np.where(np.isfinite(flat), places, np.nan)


def nearest_level(predictions: Array, *, levels: Array, spelled: Sequence[Any]) -> list[Any]:
    """Return the nearest level as the competition spells it (T,)."""
    return [spelled[int(place)] for place in level_numbers(_finite(predictions), levels=levels)]


def plain_values(predictions: Array) -> list[float]:
    """Return the predicted values unchanged (T,)."""
    return [float(value) for value in _finite(predictions)[:, 0]]


def _finite(predictions: Array) -> Array:
    bad = ~np.isfinite(predictions).all(axis=1)
    if bad.any():  # argmax would call NaN the most probable class
        raise ValueError(f"cannot decode: row {int(bad.argmax())} of the predictions is not finite")
    return predictions
