"""Targets: what is predicted, from label columns to a network's outputs and back.

A softmax target has one probability per class, a sigmoid target one per independent label, and a target on a number
scale one value. Every error names the column, the ids of the rows and the nearest valid name.
"""

from __future__ import annotations

from collections.abc import Callable

from compete import Target, hookimpl

from ._classes import heads, label, one_hot, votes
from ._labels import binary, columns, tokens
from ._scale import ordinal, regression


@hookimpl
def register_targets() -> dict[str, Callable[..., Target]]:
    """Offer the bundled targets."""
    return {
        "label": label,
        "heads": heads,
        "one_hot": one_hot,
        "binary": binary,
        "columns": columns,
        "tokens": tokens,
        "ordinal": ordinal,
        "regression": regression,
        "votes": votes,
    }
