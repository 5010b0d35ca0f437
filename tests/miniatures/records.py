"""Miniatures of the competitions whose rows are JSON or BSON, and of the other one with animals at camera traps."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from miniatures.drawing import Drawn, dealt, hashes, image, put, table, tarred, zipped

ANIMALS = ["0", "1", "11", "19"]


def iwildcam_2019(root: Path) -> Drawn:
    """Ids that occur twice, in the sample too; an index column written by mistake; images only in zips."""
    names, header = hashes(44, 36), ["Id", "Category"]
    train = dict(zip(names[:32], dealt(ANIMALS, 32), strict=True))
    test = dict(zip(names[32:], dealt(ANIMALS, 12, 1), strict=True))
    facts = ["date_captured", "file_name", "frame_num", "id", "location", "seq_id"]
    place = {name: number // 4 for number, name in enumerate(names)}
    rows = {name: ("2011-05-13", f"{name}.jpg", 1, name, place[name], f"s{place[name]}") for name in names}
    twice, sampled = names[3], [*test, names[35]]
    shots = {f"{name}.jpg": image(ANIMALS.index(animal), (20, 15)) for name, animal in {**train, **test}.items()}
    put(root, {
        "train.csv": table(["category_id", *facts], ((train[name], *rows[name]) for name in [*train, twice])),
        "test.csv": table(facts, (rows[name] for name in reversed(sampled))),
        "sample_submission.csv": table(["", *header], ((row, name, 0) for row, name in enumerate(sampled))),
        "train_images.zip": zipped(dict(list(shots.items())[:32])),
        "test_images.zip": zipped(dict(list(shots.items())[32:])),
    })  # fmt: skip
    return Drawn(header, "label", test, rows=sampled)


def iwildcam_2020(root: Path) -> Drawn:
    """Category numbers with gaps, bursts at one place, and places that only test has."""
    names = [f"{name[:8]}-21bc-11ea-a13a-{name[8:20]}" for name in hashes(40, 20)]
    kinds = ["0", "2", "71", "372", "675"]
    train = dict(zip(names[:30], dealt(kinds, 30), strict=True))
    test = dict(zip(names[30:], dealt(kinds, 10, 1), strict=True))
    images = [
        {"id": name, "file_name": f"{name}.jpg", "location": number // 3, "seq_id": f"s{number // 3}", "frame_num": 1}
        for number, name in enumerate(names)
    ]
    put(root, {
        "iwildcam2020_train_annotations.json": _coco(images[:30], train.values()),
        "iwildcam2020_test_information.json": _json({"images": images[:29:-1], "categories": []}),
        "iwildcam2020_megadetector_results.json": _json({"images": []}),
        "sample_submission.csv": table(["Id", "Category"], ((name, 0) for name in test)),
        **{f"train/{name}.jpg": image(kinds.index(kind), (20, 15)) for name, kind in train.items()},
        **{f"test/{name}.jpg": image(kinds.index(kind), (20, 15)) for name, kind in test.items()},
    })  # fmt: skip
    return Drawn(["Id", "Category"], "label", test)


def herbarium_2020(root: Path) -> Drawn:
    """A JSON in latin-1, paths relative to its own folder."""
    return _herbarium(root, "nybg2020/train/", "nybg2020/test/", encoding="latin-1")


def herbarium_2021(root: Path) -> Drawn:
    """The same at the root, in UTF-8."""
    return _herbarium(root, "train/", "test/", encoding="utf-8")


def _herbarium(root: Path, train_folder: str, test_folder: str, encoding: str) -> Drawn:
    species, train, test = _sheets()
    path = {row: f"images/{int(kind) // 100:03d}/{int(kind) % 100:02d}/{row}.jpg" for row, kind in train.items()}
    path |= {row: f"images/000/{row}.jpg" for row in test}
    images = {row: {"id": int(row), "file_name": path[row], "height": 1000, "width": 681} for row in path}
    put(root, {
        f"{train_folder}metadata.json": _coco([images[row] for row in train], train.values(), encoding),
        f"{test_folder}metadata.json": _json({"images": [images[row] for row in reversed(test)]}, encoding),
        "sample_submission.csv": table(["Id", "Predicted"], ((row, 0) for row in test)),
        **{f"{train_folder}{path[row]}": image(species.index(kind), (12, 18)) for row, kind in train.items()},
        **{f"{test_folder}{path[row]}": image(species.index(kind), (12, 18)) for row, kind in test.items()},
    })  # fmt: skip
    return Drawn(["Id", "Predicted"], "label", test)


def herbarium_2022(root: Path) -> Drawn:
    """Images keyed by `image_id`; the test rows are a bare list."""
    species, train, test = _sheets()
    name = {row: f"{int(kind):05d}__{row}" for row, kind in train.items()}
    listed = {row: {"image_id": name[row], "file_name": f"000/00/{name[row]}.jpg", "license": 0} for row in train}
    annotations = [{"image_id": name[row], "category_id": int(kind), "genus_id": 1} for row, kind in train.items()]
    put(root, {
        "train_metadata.json": _json({"annotations": annotations, "images": list(listed.values())}),
        "test_metadata.json": _json([{"image_id": row, "file_name": f"000/test-{row}.jpg"} for row in reversed(test)]),
        "sample_submission.csv": table(["Id", "Predicted"], ((row, 42) for row in test)),
        **{f"train_images/{listed[row]['file_name']}": image(species.index(kind)) for row, kind in train.items()},
        **{f"test_images/000/test-{row}.jpg": image(species.index(kind)) for row, kind in test.items()},
    })  # fmt: skip
    return Drawn(["Id", "Predicted"], "label", test)


def inaturalist_2019(root: Path) -> Drawn:
    """Two train files, some rows of the second without images; plain tars called .tar.gz, without a top folder."""
    kinds, names, header = ["0", "4", "97", "1009"], hashes(44, 32), ["id", "predicted"]
    labels = dict(zip(map(str, range(44)), dealt(kinds, 44), strict=True))
    images = [
        {"id": number, "file_name": f"train_val2019/Plants/{labels[str(number)]}/{name}.jpg", "rights_holder": "é"}
        for number, name in enumerate(names)
    ]
    drawn = [image(kinds.index(label), (20, 15)) for label in labels.values()]
    test = [{"id": number, "file_name": f"test2019/{name}.jpg"} for number, name in enumerate(names)][34:]
    # Of val, rows 28 to 33, the last two have no image.
    there = {row["file_name"].removeprefix("train_val2019/"): drawn[row["id"]] for row in images[:32]}
    put(root, {
        "train2019.json": _coco(images[:28], list(labels.values())[:28]),
        "val2019.json": _coco(images[28:34], list(labels.values())[28:34]),
        "test2019.json": _json({"images": test[::-1]}),
        "kaggle_sample_submission.csv": table(header, ((row, 0) for row in range(34, 44))),
        "train_val2019.tar.gz": tarred(there),
        "test2019.tar.gz": tarred({f"{name}.jpg": data for name, data in zip(names[34:], drawn[34:], strict=True)}),
    })  # fmt: skip
    return Drawn(header, "label", {str(row): labels[str(row)] for row in range(34, 44)})


def cdiscount(root: Path) -> Drawn:
    """BSON documents with one to four JPEGs inside, of which one may look like another product."""
    kinds, header = ["1000000235", "1000004079", "1000010653", "1000021794"], ["_id", "category_id"]
    labels = dict(zip(map(str, range(44)), dealt(kinds, 44), strict=True))
    documents = {row: _product(int(row), kinds.index(kind)) for row, kind in labels.items()}
    test = [str(row) for row in range(32, 44)]
    labelled = ({**documents[row], "category_id": int(kind)} for row, kind in labels.items() if row not in test)
    put(root, {
        "train.bson": b"".join(map(_bson, labelled)),
        "test.bson": b"".join(_bson(documents[row]) for row in reversed(test)),
        "sample_submission.csv": table(header, ((row, 1000010653) for row in test)),
    })  # fmt: skip
    return Drawn(header, "label", {row: labels[row] for row in test})


def _sheets() -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Return species with gaps in their numbers (one has a single sheet), train rows and test rows."""
    species = ["3", "104", "512", "15504"]
    train = dict(zip(map(str, range(100, 133)), ["15504", *dealt(species[:3], 32)], strict=False))
    return species, train, dict(zip(map(str, range(10)), dealt(species, 10, 1), strict=True))


def _product(row: int, code: int) -> dict[str, Any]:
    images = [image(code) for _ in range(row % 4 + 1)]
    if len(images) > 2:
        images[0] = image((code + 1) % 4)
    return {"_id": row, "imgs": [{"picture": data} for data in images]}


def _json(data: object, encoding: str = "utf-8") -> bytes:
    return json.dumps(data, ensure_ascii=False).encode(encoding)


def _coco(images: Sequence[Mapping[str, Any]], labels: Iterable[str], encoding: str = "utf-8") -> bytes:
    annotations = [
        {"id": number, "image_id": image["id"], "category_id": int(label)}
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    categories = [{"id": 3, "name": "Acer linnéanum"}]
    return _json({"annotations": annotations[::-1], "images": list(images), "categories": categories}, encoding)


def _bson(value: Mapping[str, Any]) -> bytes:
    """Write a BSON document of int32, bytes, documents and lists of documents."""
    parts = b"".join(_element(name, item) for name, item in value.items())
    return struct.pack("<i", len(parts) + 5) + parts + b"\0"


def _element(name: str, item: Any) -> bytes:
    named = name.encode() + b"\0"
    if isinstance(item, int):
        return b"\x10" + named + struct.pack("<i", item)
    if isinstance(item, bytes):
        return b"\x05" + named + struct.pack("<i", len(item)) + b"\0" + item
    if isinstance(item, list):
        return b"\x04" + named + _bson({str(number): part for number, part in enumerate(item)})
    return b"\x03" + named + _bson(item)
