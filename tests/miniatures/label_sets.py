"""Miniatures of the competitions that ask for several labels of an image, or for its best guesses."""

from __future__ import annotations

import random
from pathlib import Path

from miniatures.drawing import Drawn, bits, dealt, hashes, image, put, table

DISEASES = ["complex", "frog_eye_leaf_spot", "healthy", "powdery_mildew", "rust", "scab"]
COMBINATIONS = [
    "healthy", "scab", "rust", "complex", "frog_eye_leaf_spot", "powdery_mildew", "scab frog_eye_leaf_spot",
    "rust complex", "scab frog_eye_leaf_spot complex", "powdery_mildew complex",
]  # fmt: skip
GRADED_LINES = [
    "ETT - Abnormal", "ETT - Borderline", "ETT - Normal", "NGT - Abnormal", "NGT - Borderline",
    "NGT - Incompletely Imaged", "NGT - Normal", "CVC - Abnormal", "CVC - Borderline",
]  # fmt: skip
LINES = [*GRADED_LINES, "CVC - Normal", "Swan Ganz Catheter Present"]
ATTRIBUTES = ["13", "51", "147", "448", "616", "671", "784", "813", "1059", "1092"]
WHALES = ["new_whale", "w_a1f2c9e", "w_b88d1a0", "w_c00f3e7", "w_d5b2a44", "w_e15442c", "w_f9e3d11"]
NOT_IN_TRAIN = 4095
HOTELS = ["10", "363", "2034", "9007", "18807", "60181", "64314"]


def plant_pathology_2021(root: Path) -> Drawn:
    """Labels joined by spaces; no test table."""
    header, names = ["image", "labels"], [f"{name}.jpg" for name in hashes(52, 16)]
    cells = dict(zip(names, [*dealt(COMBINATIONS, 40), *dealt(COMBINATIONS, 12, 1)], strict=True))
    test = names[40:]
    put(root, {
        "train.csv": table(header, ((name, cells[name]) for name in names[:40])),
        "sample_submission.csv": table(header, ((name, "healthy") for name in test)),
        **{f"{'test' if name in test else 'train'}_images/{name}": image(bits(cell.split(), DISEASES), (24, 16))
           for name, cell in cells.items()},
    })  # fmt: skip
    return Drawn(header, "tokens", {name: set(cells[name].split()) for name in test}, holds="set")


def ranzcr(root: Path) -> Drawn:
    """Ids full of dots, several images of a patient, eleven labels of which nine are asked for."""
    draw = random.Random(0)
    names = [f"1.2.826.0.1.3680043.8.498.{draw.randrange(10**37)}" for _ in range(60)]
    lines = {name: [label for label in LINES if draw.random() < 0.4] for name in names}
    train, test = names[:48], names[48:]
    put(root, {
        "train.csv": table(
            ["StudyInstanceUID", *LINES, "PatientID"],
            ([name, *[int(label in lines[name]) for label in LINES], f"{number // 3:x}f8a"]
             for number, name in enumerate(train)),
        ),
        "sample_submission.csv": table(["StudyInstanceUID", *GRADED_LINES], ([name, *[0] * 9] for name in test)),
        **{f"{'test' if name in test else 'train'}/{name}.jpg": image(bits(labels, LINES))
           for name, labels in lines.items()},
    })  # fmt: skip
    labels = {name: set(lines[name]) & set(GRADED_LINES) for name in test}
    return Drawn(["StudyInstanceUID", *GRADED_LINES], "columns", labels, holds="set")


def imet_2020(root: Path) -> Drawn:
    """Sets of integers with gaps; images of extreme shapes; a table of names that is not the train table."""
    draw, header, names = random.Random(1), ["id", "attribute_ids"], hashes(60, 16)
    sets = {name: draw.sample(ATTRIBUTES, draw.randint(1, 4)) for name in names}
    test = names[48:]
    put(root, {
        "train.csv": table(header, ((name, " ".join(sets[name])) for name in names[:48])),
        "labels.csv": table(["attribute_id", "attribute_name"], ((row, f"tag::{row}") for row in ATTRIBUTES)),
        "sample_submission.csv": table(header, ((name, "0 1 2") for name in test)),
        **{f"{'test' if name in test else 'train'}/{name}.png": image(bits(labels, ATTRIBUTES), (30, 10), "png")
           for name, labels in sets.items()},
    })  # fmt: skip
    return Drawn(header, "tokens", {name: set(sets[name]) for name in test}, holds="set")


def whales(root: Path) -> Drawn:
    """Half of the whales have one image; test has some that train does not know."""
    header, names = ["Image", "Id"], [f"{name}.jpg" for name in hashes(42, 8)]
    # Two whales with one image, the others with several, and most of all those without a name.
    train = dict(zip(names, [*WHALES[5:], *WHALES[1:5] * 4, *["new_whale"] * 14], strict=False))
    test = dict(zip(names[32:], [*WHALES, None, None, None], strict=True))
    code = {whale: number for number, whale in enumerate(WHALES)} | {None: NOT_IN_TRAIN}
    guesses = "new_whale w_1287fbc w_98baff9 w_7554f44 w_1eafe46"
    put(root, {
        "train.csv": table(header, train.items()),
        "sample_submission.csv": table(header, ((name, guesses) for name in test)),
        **{f"train/{name}": image(code[whale], (32, 16)) for name, whale in train.items()},
        **{f"test/{name}": image(code[whale], (32, 16)) for name, whale in test.items()},
    })  # fmt: skip
    return Drawn(header, "top_k", {name: whale or "new_whale" for name, whale in test.items()})


def hotels(root: Path) -> Drawn:
    """A folder for each chain in train only; the id column is called `image`."""
    header, names = ["image", "hotel_id"], [f"{name}.jpg" for name in hashes(54, 16)]
    train = dict(zip(names[:42], dealt(HOTELS, 42), strict=True))
    test = dict(zip(names[42:], dealt(HOTELS, 12, 1), strict=True))
    chain = {hotel: str(number % 3 * 41) for number, hotel in enumerate(HOTELS)}
    put(root, {
        "train.csv": table(
            ["image", "chain", "hotel_id", "timestamp"],
            ((name, chain[hotel], hotel, "2018-04-09 17:35:30") for name, hotel in train.items()),
        ),
        "sample_submission.csv": table(header, ((name, "36363 53586 18807 64314 60181") for name in test)),
        **{f"train_images/{chain[hotel]}/{name}": image(HOTELS.index(hotel)) for name, hotel in train.items()},
        **{f"test_images/{name}": image(HOTELS.index(hotel)) for name, hotel in test.items()},
    })  # fmt: skip
    return Drawn(header, "top_k", test)
