"""Targets of a loss: class numbers or soft targets, and which losses they suit."""

from __future__ import annotations

import torch

from compete import ConfigError


def soft_targets(targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return targets as float32 (B, K); class numbers (B,) become one-hot rows."""
    if targets.ndim == 2:
        return targets.float()
    if logits.shape[1] == 1:
        return targets.float()[:, None]  # (B,) -> (B, 1)
    # (B,) class numbers -> (B, K) with a single 1 in each row
    return torch.zeros_like(logits, dtype=torch.float32).scatter_(1, targets[:, None], 1.0)


def rows_per_class(targets: torch.Tensor) -> torch.Tensor:
    """Return rows per class, float64 (C,); of soft targets, the sum of each column."""
    return torch.bincount(targets).double() if targets.ndim == 1 else targets.double().sum(dim=0)


def refuse_independent(name: str, targets: torch.Tensor) -> None:
    """Raise `ConfigError` for targets that are not a choice between classes."""
    if targets.ndim == 1:
        return
    where = f'[loss] name = "{name}"'
    if targets.shape[1] == 1:
        raise ConfigError(
            f"{where}: a target with one output is not a choice between classes. "
            "Use 'bce' for yes or no, 'mse' or 'bce_scaled' for a number."
        )
    off = int(((targets.sum(dim=1) - 1).abs() > 1e-3).sum())
    if off:
        raise ConfigError(
            f"{where}: needs one class, or soft targets that sum to one, per row; {off} of {len(targets):,} "
            "training rows hold several labels or none. Use 'bce'."
        )


def refuse_unscaled(name: str, targets: torch.Tensor) -> None:
    """Raise `ConfigError` for values that a sigmoid cannot reach."""
    low, high = float(targets.min()), float(targets.max())
    if targets.is_floating_point() and not (low >= 0 and high <= 1):
        raise ConfigError(
            f'[loss] name = "{name}": needs targets scaled to 0..1; those of the training rows range from {low:g} '
            f"to {high:g}. The targets 'regression' and 'ordinal' scale them."
        )
