"""Heads that are fitted on features at once: logistic regression or ridge, and nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, cast

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from compete import ConfigError, Fitted, HeadData, TrainingError, find_head

Backbone = Callable[[int], nn.Module]
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)  # of C, from strong to weak regularisation
MOST_STEPS, FEW_STEPS, TOLERANCE = 500, 40, 1e-7
MOST_DOUBLES = 1 << 25  # features up to this many are held in double precision; of more, a part at a time is
PART = 4096  # rows
IDENTITY, LOG, LOGIT = range(3)


class Samples:
    """Standardised features (S, F) and the loss of a linear layer's logits on them."""

    def __init__(self, data: HeadData, mean: torch.Tensor, std: torch.Tensor, rows: np.ndarray[Any, Any]) -> None:
        self.data, self.mean, self.std, self.rows = data, mean, std, rows
        self.targets = data.targets.cpu()[torch.from_numpy(rows)]
        small = len(rows) * len(mean) <= MOST_DOUBLES
        self.held = torch.cat([self._part(start) for start in self.starts]) if small else None

    @property
    def starts(self) -> range:
        return range(0, len(self.rows), PART)

    def _part(self, start: int) -> torch.Tensor:
        if getattr(self, "held", None) is not None:
            return self.held[start : start + PART]  # type: ignore[index]
        part = self.data.features[self.data.images[self.rows[start : start + PART]]]
        return (torch.from_numpy(part).double() - self.mean) / self.std

    def logits(self, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Return (S, K)."""
        return torch.cat([self._part(start) @ weight.T + bias for start in self.starts])

    def loss(self, weight: torch.Tensor, bias: torch.Tensor) -> float:
        return float(self.data.loss(self.logits(weight, bias), self.targets))

    def gradients(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the loss and its gradients by the weight (K, F) and the bias (K,)."""
        logits = self.logits(weight, bias).requires_grad_()
        with torch.enable_grad():
            loss = self.data.loss(logits, self.targets)
            (slope,) = torch.autograd.grad(loss, logits)  # (S, K)
        by_weight = sum(slope[start : start + PART].T @ self._part(start) for start in self.starts)
        return loss.detach(), torch.as_tensor(by_weight), slope.sum(dim=0)


def minimise(
    samples: Samples, strength: float, weight: torch.Tensor, bias: torch.Tensor, exact: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight and bias at the least mean loss + |weight|^2 / (2 C S), by L-BFGS from where they are.

    `strength` is C; what is not `exact` is near enough to compare strengths.
    """
    weight, bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MOST_STEPS if exact else FEW_STEPS,
        tolerance_grad=TOLERANCE if exact else 1e-4,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )
    penalty = 1 / (strength * len(samples.rows))

    def closure() -> torch.Tensor:
        loss, slope, bias.grad = samples.gradients(weight.detach(), bias.detach())
        weight.grad = slope + penalty * weight.detach()
        return loss + penalty / 2 * (weight.detach() ** 2).sum()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    found, steepest = (weight.detach().clone(), bias.detach().clone()), _steepest(closure, weight, bias)
    if steepest == float("inf"):
        raise TrainingError("the head's fit became NaN or infinite. Set a smaller [head] C, or another [loss].")
    if not exact or steepest <= TOLERANCE:
        return found
    # Losses are float32: near the minimum only their slopes tell where it goes down, so the last steps go by them.
    optimizer.param_groups[0] |= {"line_search_fn": None, "max_iter": FEW_STEPS, "tolerance_change": 0.0}
    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return (weight.detach(), bias.detach()) if _steepest(closure, weight, bias) < steepest else found


def _steepest(closure: Callable[[], torch.Tensor], weight: nn.Parameter, bias: nn.Parameter) -> float:
    """Return the largest slope at a point, infinity where there is none."""
    closure()
    slopes = torch.cat([part.grad.flatten() for part in (weight, bias) if part.grad is not None]).abs()
    return float(slopes.max()) if bool(torch.isfinite(slopes).all()) else float("inf")


@dataclass(frozen=True)
class Probe:
    """A linear head that minimises the TOML's loss with a penalty."""

    C: float | None

    def fit(self, head: nn.Module, data: HeadData) -> Fitted:
        """Fit on standardised features, and fold the standardisation into the layer."""
        assert isinstance(head, nn.Linear)
        mean, std = _moments(data)
        everything = np.arange(len(data.images))
        start = torch.zeros(head.weight.shape, dtype=torch.float64), torch.zeros(len(head.weight), dtype=torch.float64)
        strength, note = (self.C, "") if self.C is not None else _choose(data, mean, std, start)
        samples = Samples(data, mean, std, everything)
        weight, bias = minimise(samples, strength, *start)
        loss = samples.loss(weight, bias)
        # w (x - m) / s + b = (w / s) x + (b - (w / s) m)
        head.weight.data.copy_(weight / std)
        head.bias.data.copy_(bias - weight / std @ mean)
        return Fitted(loss, note)


def _moments(data: HeadData) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation (F,) of the samples' features; constant ones have 1."""
    mean = torch.stack([part.sum(dim=0) for part in _feature_parts(data)]).sum(dim=0) / len(data.images)
    squares = torch.stack([((part - mean) ** 2).sum(dim=0) for part in _feature_parts(data)]).sum(dim=0)
    std = (squares / len(data.images)).sqrt()
    return mean, torch.where(std > 1e-9 * (1 + mean.abs()), std, 1.0)


def _feature_parts(data: HeadData) -> Iterator[torch.Tensor]:
    for start in range(0, len(data.images), PART):
        yield torch.from_numpy(data.features[data.images[start : start + PART]]).double()


def _choose(
    data: HeadData, mean: torch.Tensor, std: torch.Tensor, start: tuple[torch.Tensor, torch.Tensor]
) -> tuple[float, str]:
    """Return the C of the least mean loss on inner folds, which are the other folds of the run.

    From strong to weak penalties, until two are worse than the best: the weak ones take longest.
    """
    folds = data.folds if len(np.unique(data.folds)) > 1 else np.arange(len(data.folds)) % 3
    masks = [folds == fold for fold in np.unique(folds)]
    pairs = [[Samples(data, mean, std, np.flatnonzero(part)) for part in (~mask, mask)] for mask in masks]
    found, losses = [start] * len(pairs), []
    for strength in STRENGTHS:
        found = [minimise(train, strength, *last, exact=False) for (train, _), last in zip(pairs, found, strict=True)]
        losses.append(np.mean([valid.loss(*last) for (_, valid), last in zip(pairs, found, strict=True)]))
        if len(losses) - 1 - int(np.argmin(losses)) >= 2:
            break
    best = float(STRENGTHS[int(np.argmin(losses))])
    return best, f"C = {best:g} by inner cross-validation over {len(pairs)} folds"


class Neighbours(nn.Module):
    """Logits from the targets of the stored samples that are nearest by cosine."""

    memory: torch.Tensor
    votes: torch.Tensor
    link: torch.Tensor

    def __init__(self, outputs: int, features: int, k: int, temperature: float | None) -> None:
        super().__init__()
        self.k, self.temperature = k, temperature
        self.register_buffer("memory", torch.zeros(1, features))  # (S, F), of length 1
        self.register_buffer("votes", torch.zeros(1, outputs))  # (S, K)
        self.register_buffer("link", torch.tensor(IDENTITY))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (B, K) whose activation is the neighbours' weighted mean."""
        with torch.autocast(features.device.type, enabled=False):
            cosines = F.normalize(features.float()) @ self.memory.T  # (B, S)
            nearest, numbers = cosines.topk(min(self.k, len(self.memory)), dim=1)  # 2 x (B, k)
            if self.temperature is None:
                weights = torch.full_like(nearest, 1 / nearest.shape[1])
            else:
                weights = (nearest / self.temperature).softmax(dim=1)
            mean = torch.einsum("bk,bkc->bc", weights, self.votes[numbers])  # (B, k) of (B, k, K) -> (B, K)
            return linked(mean, int(self.link))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *others: Any) -> None:  # noqa: ANN401 - torch's
        """Take the size of what is loaded: each fold has other samples."""
        for name in ("memory", "votes"):
            if f"{prefix}{name}" in state:
                setattr(self, name, torch.empty_like(state[f"{prefix}{name}"], device=self.memory.device))
        super()._load_from_state_dict(state, prefix, *others)


def linked(mean: torch.Tensor, link: int) -> torch.Tensor:
    """Return the logits of means, by the inverse of their activation; log and logit end at 1e-7."""
    if link == IDENTITY:
        return mean
    low = mean.clamp(1e-7, 1 - 1e-7)
    return low.log() if link == LOG else low.logit()


@dataclass(frozen=True)
class Memory:
    """Stores the samples' features and targets."""

    def fit(self, head: nn.Module, data: HeadData) -> Fitted:
        """Store the features, at length 1, and the targets."""
        assert isinstance(head, Neighbours)
        device = head.memory.device
        parts = [F.normalize(part.float()) for part in _feature_parts(data)]
        head.memory, head.votes = torch.cat(parts).to(device), data.soft_targets.float().to(device)
        head.link = torch.tensor(_link_of(data), device=device)
        return Fitted(float("nan"), f"{len(head.memory):,} samples stored")


def _link_of(data: HeadData) -> int:
    """Return the link after which the activation of a mean is the mean of activations, as for probabilities."""
    soft, activation = data.soft_targets.float().cpu(), data.target.activation
    several = not data.targets.is_floating_point() and soft.shape[1] > 1
    if several:  # a softmax for each head
        return LOG
    inside = float(soft.min()) >= 0 and float(soft.max()) <= 1
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(8, soft.shape[1], generator=generator) + 0.1 for _ in range(2))
    first, second = (part / (part.sum(dim=1, keepdim=True) + 0.1) for part in (first, second))
    for link in (LOGIT, LOG, IDENTITY) if inside else (IDENTITY,):
        if link == LOG:
            first, second = (part / part.sum(dim=1, keepdim=True) for part in (first, second))
        one, other, middle = (activation(linked(part, link)) for part in (first, second, (first + second) / 2))
        if torch.allclose(middle, (one + other) / 2, atol=1e-4):
            return link
    raise ConfigError('[head] name = "knn": no mean of targets is a prediction of this [target]. Use the head "probe".')


def probe(
    backbone: Backbone,
    columns: int,
    outputs: int,
    *,
    C: Annotated[float, Field(gt=0, le=1e9)] | None = None,  # noqa: N803 - as everybody calls it
) -> nn.Module:
    """Fit a linear layer on the features of the frozen backbone at once: logistic regression, or ridge.

    What is minimised is the TOML's `[loss]` over the rows as the `[sampler]` draws them, plus |w|^2 / (2 C N) of the
    weights on standardised features, as scikit-learn's LogisticRegression does with cross entropy. Without `C` it is
    chosen from 0.0001 to 100 by inner cross-validation over the run's other folds. `[optimizer]`, `[scheduler]` and
    epochs have no effect.
    """
    network = _without_columns("probe", backbone, columns, outputs)
    name, layer = _last_layer(network, outputs, "probe")
    if layer.bias is None:
        _replace(network, name, nn.Linear(layer.in_features, outputs))
    network.fitted_head = Probe(C)
    return cast("nn.Module", network)


def knn(
    backbone: Backbone,
    columns: int,
    outputs: int,
    *,
    k: Annotated[int, Field(ge=1, le=10_000)] = 20,
    temperature: Annotated[float, Field(ge=1e-3, le=100)] | None = 0.07,
) -> nn.Module:
    """Predict the mean label of the `k` training images with the nearest features, by cosine.

    A neighbour weighs exp(cosine / `temperature`) (Wu et al. 2018); without a temperature all weigh the same. The
    features of the fold's training images are stored as weights. `[optimizer]`, `[scheduler]` and epochs have no
    effect, and the `[loss]` is only reported.
    """
    network = _without_columns("knn", backbone, columns, outputs)
    name, layer = _last_layer(network, outputs, "knn")
    _replace(network, name, Neighbours(outputs, layer.in_features, k, temperature))
    network.head_name, network.fitted_head = name, Memory()
    return cast("nn.Module", network)


def _without_columns(head: str, backbone: Backbone, columns: int, outputs: int) -> Any:  # noqa: ANN401 - sets attributes
    if columns:
        raise ConfigError(f'[head] name = "{head}": takes no [columns]. Remove them, or use the head "linear".')
    return backbone(outputs)


def _last_layer(network: nn.Module, outputs: int, head: str) -> tuple[str, nn.Linear]:
    names = find_head(network, outputs)
    layer = network.get_submodule(names[0]) if len(names) == 1 else None
    if not isinstance(layer, nn.Linear):
        kind = type(layer).__name__ if layer is not None else f"{len(names)} modules"
        raise ConfigError(f'[head] name = "{head}": needs a [model] whose last layer is a Linear, not {kind}.')
    return names[0], layer


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)
