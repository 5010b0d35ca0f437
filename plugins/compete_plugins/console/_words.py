"""How the console writes numbers, names and paths."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compete import ClassScores, Epoch, TrainerView

NO_VALUE = "-"


def clean(text: object) -> str:
    """Replace every control character by a space: names come from data and may hold escape sequences."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def more_trained(trainer: TrainerView, epoch: Epoch) -> str:
    """Return how many parameters an epoch trained, where that is another number than before; else nothing."""
    before = [earlier.trained for earlier in trainer.history if earlier.number == epoch.number - 1]
    if not before or epoch.trained in (None, *before):
        return ""
    return f"{trainer.member.name} epoch {epoch.number} trained {epoch.trained:,} parameters, before {before[0]:,}"


def decimal(value: float | None) -> str:
    """Write a score or a loss: `0.5312`, `-` where there is none."""
    if value is None or value != value:
        return NO_VALUE
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.6g}"


def shown_path(path: Path) -> str:
    """Return the path as one would type it in this folder."""
    here = Path.cwd()
    return clean(path.relative_to(here) if path.is_relative_to(here) else path)


def worst_first(per_class: Iterable[ClassScores]) -> list[ClassScores]:
    """Sort classes by F1, lowest first."""
    return sorted(per_class, key=lambda row: row.f1)
