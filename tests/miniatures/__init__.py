"""Miniatures of real competitions: a few dozen tiny pictures in the layout, names and packing of each, traps included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from miniatures import yes_or_no
from miniatures.drawing import Drawn

MINIATURES: dict[str, Callable[[Path], Drawn]] = {
    "aerial-cactus-identification": yes_or_no.aerial_cactus,
}
