"""How numbers, names and paths are spelled in the console."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

NO_VALUE = "-"


def clean(text: object) -> str:
    """Return the text with every control character as a space: names come from data and may hold escapes."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def decimal(value: float | None) -> str:
    """Spell a score or a loss: `0.5312`, `-` where there is none."""
    if value is None or value != value:
        return NO_VALUE
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.6g}"


def duration(seconds: float) -> str:
    """Spell a time: `4.1s`, `2m05s`, `3h20m`."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}h{minutes_left:02d}m" if hours else f"{minutes}m{rest:02d}s"


def shown_path(path: Path) -> str:
    """Return the path as one would type it here."""
    here = Path.cwd()
    return clean(path.relative_to(here) if path.is_relative_to(here) else path)


def worst_first(per_class: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort the per-class rows by F1, lowest first."""
    return sorted(per_class, key=lambda row: row["f1"])
