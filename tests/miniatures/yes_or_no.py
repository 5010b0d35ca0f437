"""Miniatures of the competitions that ask for one chance."""

from __future__ import annotations

from pathlib import Path

from miniatures.drawing import NO, YES, Drawn, dealt, hashes, picture, put, table, zipped


def _code(label: object) -> int:
    return YES if label in (1, "1") else NO


def aerial_cactus(root: Path) -> Drawn:
    """Ids with an ending; pictures only in zips, at their root."""
    names = [f"{name}.jpg" for name in hashes(36, 32)]
    train = dict(zip(names[:24], dealt([1, 1, 1, 0], 24), strict=True))
    test = dict(zip(names[24:], dealt([1, 0], 12), strict=True))
    put(root, {
        "train.csv": table(["id", "has_cactus"], train.items()),
        "sample_submission.csv": table(["id", "has_cactus"], ((name, 0.5) for name in sorted(test))),
        "train.zip": zipped({name: picture(_code(label), (32, 32)) for name, label in train.items()}),
        "test.zip": zipped({name: picture(_code(label), (32, 32)) for name, label in test.items()}),
    })  # fmt: skip
    return Drawn(["id", "has_cactus"], "chance", test, "share")
