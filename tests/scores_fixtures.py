"""A finished run's scores, to be changed for a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compete.scores import Scores

CLASSES = ("cat", "dog", "emu")


def epochs(*scores: float | None) -> list[dict[str, Any]]:
    """Return a member's epochs, whose losses fall."""
    return [
        {"number": n, "train_loss": 1 / n, "valid_loss": 1.1 / n, "score": score, "lr": 1e-3, "seconds": 2.0}
        for n, score in enumerate(scores, start=1)
    ]


def per_class(*rows: tuple[str, float, int]) -> list[dict[str, Any]]:
    """Return the scores of classes, given as (name, F1, rows)."""
    return [{"name": name, "precision": 0.5, "recall": 0.25, "f1": f1, "support": n} for name, f1, n in rows]


def make_scores(classes: Sequence[str] = CLASSES, **changes: Any) -> Scores:
    """Return the scores of two members. A change replaces a key; a dict replaces keys of that part only."""

    def member(score: float, *of_epochs: float) -> dict[str, Any]:
        best = 1 + of_epochs.index(max(of_epochs))
        draws = dict.fromkeys(classes, 10)
        return {
            "score": score,
            "best_epoch": best,
            "seconds": 125.0,
            "epochs": epochs(*of_epochs),
            "class_draws": draws,
        }

    data: dict[str, Any] = {
        "format": 1,
        "competition": "pets",
        "title": "Pets from above",
        "run": "run-007",
        "note": "These images are drawn.",
        "metric": "macro_f1",
        "higher_is_better": True,
        "classes": classes,
        "titles": classes,
        "cv": {
            "mean": 0.6,
            "std": 0.0141,
            "folds": {"fold0-seed0": 0.61, "fold1-seed0": 0.59},
            "oof": 0.6051,
            "oof_postprocessed": 0.6124,
        },
        "per_class": per_class(*((name, 0.3 + place / 10, 1000 + place) for place, name in enumerate(classes))),
        "members": {"fold0-seed0": member(0.61, 0.3, 0.61, 0.6), "fold1-seed0": member(0.59, 0.3, 0.5, 0.59)},
        "submission": {
            "path": "submissions/pets/run-007/submission.csv",
            "rows": 12600,
            "sha256": "ab12",
            "warnings": ["label dog is in no row"],
            "label_shares": {classes[0]: 0.75, classes[-1]: 0.25},
        },
        "train_shares": dict.fromkeys(classes, 1 / len(classes)),
        "folds": {"name": "stratified", "key": "feedc0de", "counts": [[2] * len(classes), [1] * len(classes)]},
        "model": "timm resnet18",
        "tta": ["hflip", "vflip"],
        "ensemble": "mean",
        "device": "cpu",
        "precision": "32-true",
        "seconds": 250.0,
        "warnings": ["submission: label dog is in no row"],
        "next": ["compete submit submissions/pets/run-007 --message 'a long message that must stay on one line'"],
    }
    for key, value in changes.items():
        data[key] = data[key] | value if value and key in ("cv", "submission", "folds") else value
    return Scores.model_validate(data)
