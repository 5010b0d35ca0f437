"""Miniatures of the competitions that ask for one probability."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from miniatures.drawing import (
    NO,
    YES,
    Drawn,
    dealt,
    hashes,
    image,
    measured,
    put,
    seven_zipped,
    table,
    zipped,
)

Labels = dict[str, int]


def _labels(ids: list[str], labels: tuple[int, ...] = (0, 1), seed: int = 0) -> Labels:
    return dict(zip(ids, dealt(labels, len(ids), seed), strict=True))


def _image(label: int, size: tuple[int, int] = (16, 16), kind: str = "jpeg") -> bytes:
    return image(YES if label else NO, size, kind)


def _sample(header: list[str], ids: list[str]) -> bytes:
    return table(header, ((row, 0.5) for row in ids))


def aerial_cactus(root: Path) -> Drawn:
    """Ids with an extension; images only in zips, at their root."""
    header, names = ["id", "has_cactus"], [f"{name}.jpg" for name in hashes(36, 32)]
    train, test = _labels(names[:24], (1, 1, 1, 0)), _labels(sorted(names[24:]))
    put(root, {
        "train.csv": table(header, train.items()),
        "sample_submission.csv": _sample(header, list(test)),
        "train.zip": zipped({name: _image(label, (32, 32)) for name, label in train.items()}),
        "test.zip": zipped({name: _image(label, (32, 32)) for name, label in test.items()}),
    })  # fmt: skip
    return Drawn(header, "probability", test, holds="share")


def dogs_vs_cats(root: Path) -> Drawn:
    """No table: the label is in the file name, and the number after it restarts for each label."""
    header, test = ["id", "label"], _labels([str(number) for number in range(1, 13)], seed=1)
    train = {f"{name}.{number}.jpg": dog for number in range(12) for dog, name in enumerate(("cat", "dog"))}
    put(root, {
        "sample_submission.csv": _sample(header, list(test)),
        "train.zip": zipped({name: _image(dog, (20, 14)) for name, dog in train.items()}),
        "test.zip": zipped({f"{row}.jpg": _image(dog, (14, 20)) for row, dog in test.items()}),
    })  # fmt: skip
    return Drawn(header, "probability", test, holds="share")


def histopathologic(root: Path) -> Drawn:
    """TIFFs; ids without their extension."""
    header, names = ["id", "label"], hashes(36, 40)
    train, test = _labels(names[:24]), _labels(names[24:])
    put(root, {
        "train_labels.csv": table(header, train.items()),
        "sample_submission.csv": _sample(header, list(test)),
        **{f"train/{name}.tif": _image(label, (96, 96), "tiff") for name, label in train.items()},
        **{f"test/{name}.tif": _image(label, (96, 96), "tiff") for name, label in test.items()},
    })  # fmt: skip
    return Drawn(header, "probability", test, holds="share")


def invasive_species(root: Path) -> Drawn:
    """Images in 7z, tables in zips, and the same numbers in train and test."""
    header = ["name", "invasive"]
    train = _labels([str(number) for number in range(1, 25)])
    test = _labels([str(number) for number in range(1, 13)], seed=2)
    put(root, {
        "train_labels.csv.zip": zipped({"train_labels.csv": table(header, train.items())}),
        "sample_submission.csv.zip": zipped({"sample_submission.csv": _sample(header, list(test))}),
        "train.7z": seven_zipped({f"train/{row}.jpg": _image(label, (20, 15)) for row, label in train.items()}),
        "test.7z": seven_zipped({f"test/{row}.jpg": _image(label, (20, 15)) for row, label in test.items()}),
    })  # fmt: skip
    return Drawn(header, "probability", test, holds="share")


def siim_isic(root: Path) -> Drawn:
    """Patients with several lesions, cells called NA, and two columns that reveal the label."""
    names = [f"ISIC_{number:07d}" for number in range(15719, 15719 + 44)]
    train, test = _labels(names[:32], (0, 0, 0, 1)), _labels(names[32:])
    facts = ["patient_id", "sex", "age_approx", "anatom_site_general_challenge"]
    people = [
        (f"IP_{number // 2:07d}", "NA" if number % 5 else "male", "NA" if number % 7 else "45.0", "torso")
        for number in range(44)
    ]
    leaks = [("melanoma", "malignant") if label else ("unknown", "benign") for label in train.values()]
    put(root, {
        "train.csv": table(
            ["image_name", *facts, "diagnosis", "benign_malignant", "target"],
            ((name, *person, *leak, train[name]) for name, person, leak in zip(train, people, leaks, strict=False)),
        ),
        "test.csv": table(
            ["image_name", *facts], ((name, *person) for name, person in zip(reversed(test), people[32:], strict=True))
        ),
        "sample_submission.csv": _sample(["image_name", "target"], list(test)),
        "train/ISIC_0015719.dcm": b"not read",
        **{f"jpeg/train/{name}.jpg": _image(label, (30, 20)) for name, label in train.items()},
        **{f"jpeg/test/{name}.jpg": _image(label, (20, 15)) for name, label in test.items()},
    })  # fmt: skip
    return Drawn(["image_name", "target"], "probability", test, holds="share")


def alaska2(root: Path) -> Drawn:
    """No table: four folders with the same file names, of which one has nothing hidden."""
    header, names = ["Id", "Label"], [f"{number:05d}.jpg" for number in range(1, 11)]
    test = _labels([f"{number:04d}.jpg" for number in range(1, 9)])
    folders = {"Cover": 0, "JMiPOD": 1, "JUNIWARD": 1, "UERD": 1}
    put(root, {
        "sample_submission.csv": _sample(header, list(test)),
        **{f"{folder}/{name}": _image(label) for folder, label in folders.items() for name in names},
        **{f"Test/{name}": _image(label) for name, label in test.items()},
    })  # fmt: skip
    return Drawn(header, "probability", test, holds="share")


def seti(root: Path) -> Drawn:
    """Six channels first, in half precision, in a folder for each first letter; an old folder not to use."""
    header, names = ["id", "target"], hashes(36, 15)
    train, test = _labels(names[:24]), _labels(names[24:])
    arrays = {
        f"{part}/{name[0]}/{name}.npy": _npy(measured(label == 1, (6, 39, 36), seed).astype(np.float16))
        for part, rows in (("train", train), ("test", test))
        for seed, (name, label) in enumerate(rows.items())
    }
    put(root, {
        "train_labels.csv": table(header, train.items()),
        "sample_submission.csv": _sample(header, list(test)),
        "old_leaky_data/train_labels_old.csv": table(header, test.items()),
        **arrays,
    })  # fmt: skip
    return Drawn(header, "probability", test, holds="measured")


def statoil(root: Path) -> Drawn:
    """Pixels as numbers inside a JSON, which is in a 7z; an angle that is called "na" in places."""
    header, names = ["id", "is_iceberg"], hashes(28, 8)
    train, test = _labels(names[:20]), _labels(names[20:])
    put(root, {
        "train.json.7z": seven_zipped({"train.json": _scenes(train, labelled=True)}),
        "test.json.7z": seven_zipped({"test.json": _scenes(dict(reversed(test.items())), labelled=False)}),
        "sample_submission.csv.7z": seven_zipped({"sample_submission.csv": _sample(header, list(test))}),
    })  # fmt: skip
    return Drawn(header, "probability", test, holds="measured")


def _npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def _scenes(labels: Labels, labelled: bool) -> bytes:
    scenes = []
    for seed, (name, label) in enumerate(labels.items()):
        bands = measured(label == 1, (2, 75 * 75), seed).tolist()
        scene = {"id": name, "band_1": bands[0], "band_2": bands[1], "inc_angle": "na" if seed % 3 == 0 else 38.15}
        scenes.append({**scene, "is_iceberg": label} if labelled else scene)
    return json.dumps(scenes).encode()
