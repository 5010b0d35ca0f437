"""Miniatures of the competitions that ask for one class, one level or one number.

Test tables run against the sample's order, so that cells filled in by order alone would be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from miniatures.drawing import Drawn, dealt, hashes, image, put, table, zipped

PADDY = [
    "NA",  # not in the real data, but in others: text that pandas would take for a missing cell
    "bacterial_leaf_blight", "bacterial_leaf_streak", "bacterial_panicle_blight", "blast", "brown_spot", "dead_heart",
    "downy_mildew", "hispa", "normal", "tungro",
]  # fmt: skip
SEEDLINGS = [
    "Black-grass", "Charlock", "Cleavers", "Common Chickweed", "Common wheat", "Fat Hen", "Loose Silky-bent", "Maize",
    "Scentless Mayweed", "Shepherds Purse", "Small-flowered Cranesbill", "Sugar beet",
]  # fmt: skip


def _labels(ids: Sequence[str], classes: Sequence[str], seed: int = 0) -> dict[str, str]:
    return dict(zip(ids, dealt(classes, len(ids), seed), strict=True))


def aptos2019(root: Path) -> Drawn:
    """Ids without their extension, images of any shape, integer levels."""
    header, names = ["id_code", "diagnosis"], hashes(42, 12)
    levels = [str(level) for level in range(5)]
    train, test = _labels(names[:30], levels), _labels(names[30:], levels, 1)
    shapes = [(32, 24), (24, 24), (40, 26)]
    put(root, {
        "train.csv": table(header, train.items()),
        "test.csv": table(header[:1], ([name] for name in reversed(test))),
        "sample_submission.csv": table(header, ((name, 0) for name in test)),
        **{f"train_images/{name}.png": image(25 * int(level), shapes[number % 3], "png")
           for number, (name, level) in enumerate(train.items())},
        **{f"test_images/{name}.png": image(25 * int(level), shapes[number % 3], "png")
           for number, (name, level) in enumerate(test.items())},
    })  # fmt: skip
    return Drawn(header, "label", test, holds="share")


def cassava(root: Path) -> Drawn:
    """Ids with an extension, class numbers, no test table."""
    header, classes = ["image_id", "label"], [str(number) for number in range(5)]
    train = _labels([f"{number}.jpg" for number in range(1000015157, 1000015157 + 30)], classes)
    test = _labels([f"{number}.jpg" for number in range(2216849948, 2216849948 + 10)], classes, 1)
    put(root, {
        "train.csv": table(header, train.items()),
        "label_num_to_disease_map.json": b'{"0": "Cassava Bacterial Blight (CBB)", "4": "Healthy"}',
        "sample_submission.csv": table(header, ((name, 4) for name in test)),
        **{f"train_images/{name}": image(int(label), (20, 15)) for name, label in train.items()},
        **{f"test_images/{name}": image(int(label), (20, 15)) for name, label in test.items()},
    })  # fmt: skip
    return Drawn(header, "label", test)


def dog_breeds(root: Path) -> Drawn:
    """120 columns in the sample's alphabetical order, which is not the natural order of the labels."""
    names, breeds = hashes(300, 32), [f"black-and-tan_hound_{number}" for number in range(1, 121)]
    train, test = _labels(names[:240], breeds), _labels(names[240:], breeds, 1)
    columns = sorted(breeds)
    put(root, {
        "labels.csv": table(["id", "breed"], train.items()),
        "sample_submission.csv": table(["id", *columns], ([name, *[1 / 120] * 120] for name in test)),
        **{f"train/{name}.jpg": image(breeds.index(breed)) for name, breed in train.items()},
        **{f"test/{name}.jpg": image(breeds.index(breed)) for name, breed in test.items()},
    })  # fmt: skip
    return Drawn(["id", *columns], "classes", test)


def leaves(root: Path) -> Drawn:
    """One folder of images for train and test; tables in zips, with features beside the label."""
    ids, species = [str(number) for number in range(1, 238)], [f"Quercus_{number}" for number in range(1, 100)]
    train, test = _labels(ids[:198], species), _labels(ids[198:], species, 1)
    columns, features = sorted(species), ["margin1", "shape1", "texture1"]
    sample = table(["id", *columns], ([row, *[1 / 99] * 99] for row in test))
    leaf = {row: image(species.index(name), (30, 12)) for row, name in {**train, **test}.items()}
    put(root, {
        "train.csv.zip": zipped({"train.csv": table(
            ["id", "species", *features], ((row, name, 0.1, 0.2, 0.3) for row, name in train.items())
        )}),
        "test.csv.zip": zipped({"test.csv": table(
            ["id", *features], ((row, 0.1, 0.2, 0.3) for row in reversed(test))
        )}),
        "sample_submission.csv.zip": zipped({"sample_submission.csv": sample}),
        "images.zip": zipped({f"images/{row}.jpg": data for row, data in leaf.items()}),
    })  # fmt: skip
    return Drawn(["id", *columns], "classes", test)


def paddy(root: Path) -> Drawn:
    """Train images in a folder for each label; the sample's label cells are empty."""
    header, names = ["image_id", "label"], [f"{number}.jpg" for number in range(100001, 100056)]
    train, test = _labels(names[:44], PADDY), _labels([f"{number:06d}.jpg" for number in range(1, 12)], PADDY, 1)
    put(root, {
        "train.csv": table([*header, "variety", "age"], ((*row, "ADT45", 45) for row in train.items())),
        "sample_submission.csv": table(header, ((name, "") for name in test)),
        **{f"train_images/{label}/{name}": image(PADDY.index(label), (12, 16)) for name, label in train.items()},
        **{f"test_images/{name}": image(PADDY.index(label), (12, 16)) for name, label in test.items()},
    })  # fmt: skip
    return Drawn(header, "label", test)


def petfinder(root: Path) -> Drawn:
    """A number from 1 to 100, both ends included, beside columns of facts."""
    names = hashes(42, 32)
    scores = dict(zip(names, dealt([1, 7, 18, 25, 33, 38, 44, 52, 61, 70, 86, 100], 42), strict=True))
    facts, test = ["Subject Focus", "Eyes", "Face"], names[30:]
    put(root, {
        "train.csv": table(["Id", *facts, "Pawpularity"], ((name, 0, 1, 1, scores[name]) for name in names[:30])),
        "test.csv": table(["Id", *facts], ((name, 0, 1, 1) for name in reversed(test))),
        "sample_submission.csv": table(["Id", "Pawpularity"], ((name, 50.0) for name in test)),
        **{f"{'test' if name in test else 'train'}/{name}.jpg": image(round(100 * (score - 1) / 99), (18, 24))
           for name, score in scores.items()},
    })  # fmt: skip
    return Drawn(["Id", "Pawpularity"], "value", {name: scores[name] for name in test}, holds="share")


def plant_pathology_2020(root: Path) -> Drawn:
    """One class a row, as a 1 in one of four columns; one folder of images for train and test."""
    classes = ["healthy", "multiple_diseases", "rust", "scab"]
    train = _labels([f"Train_{number}" for number in range(24)], classes)
    test = _labels([f"Test_{number}" for number in range(12)], classes, 1)
    put(root, {
        "train.csv": table(
            ["image_id", *classes],
            ([name, *[int(label == column) for column in classes]] for name, label in train.items()),
        ),
        "test.csv": table(["image_id"], ([name] for name in reversed(test))),
        "sample_submission.csv": table(["image_id", *classes], ([name, *[0.25] * 4] for name in test)),
        **{f"images/{name}.jpg": image(classes.index(label), (24, 16)) for name, label in {**train, **test}.items()},
    })  # fmt: skip
    return Drawn(["image_id", *classes], "classes", test)


def plant_seedlings(root: Path) -> Drawn:
    """No table: the label is the name of a folder, spaces included."""
    header, names = ["file", "species"], [f"{name}.png" for name in hashes(60, 9)]
    train, test = _labels(names[:48], SEEDLINGS), _labels(names[48:], SEEDLINGS, 1)
    put(root, {
        "sample_submission.csv": table(header, ((name, "Sugar beet") for name in test)),
        **{f"train/{label}/{name}": image(SEEDLINGS.index(label), (9, 9), "png") for name, label in train.items()},
        **{f"test/{name}": image(SEEDLINGS.index(label), (40, 40), "png") for name, label in test.items()},
    })  # fmt: skip
    return Drawn(header, "label", test)
