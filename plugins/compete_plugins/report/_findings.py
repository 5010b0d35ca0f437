"""What stands out in a run, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._confusion import Confusion
from ._words import decimal, percent, signed

NAMED_CLASSES = 3


def findings(scores: dict[str, Any], confusion: Confusion | None) -> list[str]:
    """Return a sentence for everything worth a second look."""
    return [
        *_spread(scores),
        *_postprocessing(scores),
        *_training_length(scores),
        *_weak_classes(scores),
        *_mistakes(confusion),
    ]


def _spread(scores: dict[str, Any]) -> Iterator[str]:
    cv = scores["cv"]
    if len(cv["folds"]) > 1:
        yield (
            f"The members' scores spread by ± {decimal(cv['std'])}. Take a change much smaller than that for chance "
            "until more folds or seeds confirm it."
        )


def _postprocessing(scores: dict[str, Any]) -> Iterator[str]:
    before, after = scores["cv"]["oof"], scores["cv"]["oof_postprocessed"]
    if before is None or after is None:
        return
    gain = after - before if scores["higher_is_better"] else before - after
    verdict = "it helps" if gain > 0 else "leave it out" if gain < 0 else "it does nothing"
    yield (
        f"Post-processing changes the OOF score by {signed(after - before)}, measured on folds that it was not "
        f"fitted on: {verdict}."
    )


def _training_length(scores: dict[str, Any]) -> Iterator[str]:
    best = [_best_epoch(member["epochs"], scores["higher_is_better"]) for member in scores["members"].values()]
    trained = [place for place in best if place is not None]
    last, early = sum(place == 1 for place in trained), sum(place <= 0.5 for place in trained)
    if last > len(trained) / 2:
        yield f"{last} of {len(trained)} members score best in their last epoch: longer training may still help."
    elif early > len(trained) / 2:
        yield (
            f"{early} of {len(trained)} members score best in the first half of their epochs: fewer epochs, a lower "
            "learning rate or more augmentation may help."
        )


def _best_epoch(epochs: list[dict[str, Any]], higher_is_better: bool) -> float | None:
    """Return where the best epoch lies, 1 being the last; None where there are too few to tell."""
    scores = [epoch["score"] for epoch in epochs if epoch["score"] is not None]
    if len(scores) < 3:
        return None
    best = max(scores) if higher_is_better else min(scores)
    return (scores.index(best) + 1) / len(scores)


def _weak_classes(scores: dict[str, Any]) -> Iterator[str]:
    rows = sorted(scores["per_class"], key=lambda row: row["f1"])
    weak = rows[: min(NAMED_CLASSES, len(rows) // 2)]
    if weak:
        named = ", ".join(f"{row['class']} ({row['f1']:.2f}, {row['support']:,} rows)" for row in weak)
        yield f"The lowest F1: {named}."


def _mistakes(confusion: Confusion | None) -> Iterator[str]:
    if confusion is not None and confusion.pairs:
        pair = confusion.pairs[0]
        yield (
            f"The most frequent mistake: {pair.answer} is taken for {pair.predicted} in {pair.rows:,} rows, "
            f"{percent(pair.share)} of that class."
        )
