"""Epochs, batch and steps that fit together."""

from __future__ import annotations

from dataclasses import dataclass

from compete.advice.facts import Facts

# Twice the rows need 1.4 times the images seen: 8 epochs of 10,000 rows, 20 of 1,600, never less than 3.
EPOCHS_OF_10_000, FEWEST_EPOCHS, MOST_EPOCHS = 8, 3, 30
MOST_EPOCHS_OF_FEW_ROWS = 100  # where even the smallest batch makes too few steps
SCRATCH_FACTOR = 1.5
STEPS = 300  # of a member, at least
BATCHES = (32, 16, 8)  # BatchNorm wants no fewer
LARGE_BATCH, ROWS_OF_LARGE = 64, 20_000


@dataclass(frozen=True)
class Pace:
    """Epochs, batch and the optimizer steps that they make of a member."""

    epochs: int
    batch: int
    steps: int


def choose_epochs(rows: int) -> int:
    """Return the epochs for so many rows."""
    wanted: float = EPOCHS_OF_10_000 * (10_000 / max(1, rows)) ** 0.5
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(wanted)))


def choose_pace(facts: Facts, pretrained: bool) -> Pace:
    """Return epochs and the largest usual batch with enough steps."""
    epochs = choose_epochs(facts.rows)
    if not pretrained:
        epochs = round(epochs * SCRATCH_FACTOR)
    if facts.rows >= ROWS_OF_LARGE and facts.device == "cuda":
        return Pace(epochs, LARGE_BATCH, epochs * (facts.trained_rows // LARGE_BATCH))
    batch = next((b for b in BATCHES if epochs * (facts.trained_rows // b) >= STEPS), BATCHES[-1])
    steps = max(1, facts.trained_rows // batch)  # of an epoch
    epochs = max(epochs, min(MOST_EPOCHS_OF_FEW_ROWS, -(-STEPS // steps)))
    return Pace(epochs, batch, epochs * steps)
