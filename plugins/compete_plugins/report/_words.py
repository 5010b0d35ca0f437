"""How numbers are spelled on the page; what is missing becomes a dash."""

from __future__ import annotations

NO_VALUE = "–"


def decimal(value: float | None) -> str:
    """Spell a score or a loss: `0.5312`."""
    if value is None or value != value:
        return NO_VALUE
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.6g}"


def signed(value: float | None) -> str:
    """Spell a difference: `+0.0120`."""
    if value is None or value != value:
        return NO_VALUE
    return ("+" if value >= 0 else "−") + decimal(abs(value))


def percent(share: float | None) -> str:
    """Spell a share: `12.3 %`."""
    return NO_VALUE if share is None or share != share else f"{100 * share:.1f} %"


def count(number: float | None) -> str:
    """Spell a whole number: `12,600`."""
    return NO_VALUE if number is None else f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """Spell a time: `4.1 s`, `2 min 05 s`, `3 h 20 min`."""
    if seconds is None:
        return NO_VALUE
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left:02d} min" if hours else f"{minutes} min {rest:02d} s"
