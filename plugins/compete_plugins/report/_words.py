"""How the page writes numbers; a missing one becomes a dash."""

from __future__ import annotations

NO_VALUE = "–"


def decimal(value: float | None) -> str:
    """Write a score or a loss: `0.5312`."""
    if value is None or value != value:
        return NO_VALUE
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.6g}"


def signed(value: float | None) -> str:
    """Write a difference: `+0.0120`."""
    if value is None or value != value:
        return NO_VALUE
    return ("+" if value >= 0 else "−") + decimal(abs(value))


def percent(share: float | None) -> str:
    """Write a share: `12.3 %`."""
    return NO_VALUE if share is None or share != share else f"{100 * share:.1f} %"


def count(number: float | None) -> str:
    """Write an integer: `12,600`."""
    return NO_VALUE if number is None else f"{number:,.0f}"
