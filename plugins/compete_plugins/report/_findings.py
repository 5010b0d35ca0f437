"""What deserves a second look in a run, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compete import fit_verdict, plural

from ._confusion import Confusion
from ._words import decimal, percent, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compete import EpochScores, Scores

NAMED_CLASSES = 3
CLEAR_RISE = 0.1  # of the lowest validation loss


def findings(scores: Scores, confusion: Confusion | None) -> list[str]:
    """Return a sentence for everything worth a second look."""
    return [
        *_spread(scores),
        *_fit(scores),
        *_postprocessing(scores),
        *_training_length(scores),
        *_overfitting(scores),
        *_weak_classes(scores),
        *_mistakes(confusion),
    ]


def _spread(scores: Scores) -> Iterator[str]:
    if len(scores.cv.folds) > 1:
        yield (
            f"The {'parts' if scores.blend else 'members'}' scores vary by ± {decimal(scores.cv.std)}. A much smaller "
            "change may be chance: confirm it with more folds or seeds."
        )


def _fit(scores: Scores) -> Iterator[str]:
    verdict = fit_verdict(scores)
    if verdict:
        yield f"The network {verdict}"


def _postprocessing(scores: Scores) -> Iterator[str]:
    before, after = scores.cv.oof, scores.cv.oof_postprocessed
    if before is None or after is None:
        return
    gain = after - before if scores.higher_is_better else before - after
    effect = f"changes the OOF score by {signed(after - before)}" if gain else "does not change the OOF score"
    verdict = "it helps" if gain > 0 else "leave it out"
    yield f"Post-processing {effect}, measured on folds that it was not fitted on: {verdict}."


def _training_length(scores: Scores) -> Iterator[str]:
    best = [_best_place(member.epochs, scores.higher_is_better) for member in scores.members.values()]
    trained = [place for place in best if place is not None]
    last, early = sum(place == 1 for place in trained), sum(place <= 0.5 for place in trained)
    if last > len(trained) / 2:
        yield f"{last} of {len(trained)} members score best in their last epoch: longer training may help."
    elif early > len(trained) / 2:
        yield (
            f"{early} of {len(trained)} members score best in the first half of their epochs: fewer epochs, a lower "
            "learning rate or more augmentation may help."
        )


def _overfitting(scores: Scores) -> Iterator[str]:
    """Compare losses over the epochs, which rise before the score falls."""
    over = [name for name, member in scores.members.items() if _overfits(member.epochs)]
    if len(over) > len(scores.members) / 2:
        yield (
            f"{len(over)} of {len(scores.members)} members overfit: the validation loss rises by {CLEAR_RISE:.0%} or "
            "more after its lowest point, while the training loss, on augmented images, goes on falling. More "
            "augmentation, weight decay or dropout, or fewer epochs may help; while the score rises, it is harmless."
        )


def _overfits(epochs: Sequence[EpochScores]) -> bool:
    known = [
        (epoch.valid_loss, epoch.train_loss)
        for epoch in epochs
        if epoch.valid_loss is not None and epoch.train_loss is not None
    ]
    if len(known) < 3:
        return False
    (lowest, train_then), (valid_last, train_last) = min(known), known[-1]
    return lowest > 0 and valid_last > (1 + CLEAR_RISE) * lowest and train_last < train_then


def _best_place(epochs: Sequence[EpochScores], higher_is_better: bool) -> float | None:
    """Return where the first best epoch lies, 1 being the last; None where fewer than three have a score."""
    scored = [(epoch.score, epoch.number) for epoch in epochs if epoch.score is not None]
    if len(scored) < 3:
        return None
    _, number = max(scored, key=lambda pair: pair[0] if higher_is_better else -pair[0])
    return number / len(epochs)


def _weak_classes(scores: Scores) -> Iterator[str]:
    rows = sorted(scores.per_class, key=lambda row: row.f1)
    weak = rows[: min(NAMED_CLASSES, len(rows) // 2)]
    if weak:
        named = ", ".join(f"{row.name} ({row.f1:.2f}, {plural(row.support, 'row')})" for row in weak)
        yield f"Lowest F1: {named}."


def _mistakes(confusion: Confusion | None) -> Iterator[str]:
    if confusion is not None and confusion.pairs:
        pair = confusion.pairs[0]
        yield (
            f"Most frequent mistake: {pair.label} is mistaken for {pair.predicted} in {plural(pair.rows, 'row')}, "
            f"{percent(pair.share)} of that class."
        )
