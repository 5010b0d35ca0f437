"""The targets a loss gets: class numbers or shares, and which losses they suit."""

from __future__ import annotations

import torch

from compete import ConfigError


def shares_of(targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return targets as float32 (B, K); class numbers become one-hot rows."""
    if targets.ndim == 2:
        return targets.float()
    if logits.shape[1] == 1:
        return targets.float()[:, None]
    return torch.zeros_like(logits, dtype=torch.float32).scatter_(1, targets[:, None], 1.0)


def rows_per_class(targets: torch.Tensor) -> torch.Tensor:
    """Return float64 (classes,); soft rows count in parts."""
    return torch.bincount(targets).double() if targets.ndim == 1 else targets.double().sum(dim=0)


def refuse_independent(name: str, targets: torch.Tensor) -> None:
    """Raise `ConfigError` for targets that are no choice between classes."""
    if targets.ndim == 1:
        return
    where = f'[loss] name = "{name}"'
    if targets.shape[1] == 1:
        raise ConfigError(
            f"{where}: a target with one output is no choice between classes. "
            "Use 'bce' for yes or no, 'mse' or 'bce_scaled' for a number."
        )
    off = int(((targets.sum(dim=1) - 1).abs() > 1e-3).sum())
    if off:
        raise ConfigError(
            f"{where}: needs one class, or shares that sum to one, per row; {off} of {len(targets)} training rows "
            "hold several labels or none. Use 'bce'."
        )


def refuse_unscaled(name: str, targets: torch.Tensor) -> None:
    """Raise `ConfigError` for numbers that no sigmoid can reach."""
    low, high = float(targets.min()), float(targets.max())
    if targets.is_floating_point() and not (low >= 0 and high <= 1):
        raise ConfigError(
            f'[loss] name = "{name}": needs targets scaled to 0..1; those of the training rows run from {low:g} to '
            f"{high:g}. The targets 'regression' and 'ordinal' scale them."
        )
