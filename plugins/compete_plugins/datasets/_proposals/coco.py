"""Competitions whose rows are COCO-like JSON: images joined with the label of their annotations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compete.errors import DataError
from compete.init.findings import Key, Source, Table
from compete.init.naming import plain_name
from compete.init.paths import Found, find_template, image_paths
from compete.init.read_head import JsonFile, Objects, peek_json
from compete.init.scan import Look
from compete.init.source_csv import MOST_IMAGES, image_keys, missing_test
from compete.text import format_list

if TYPE_CHECKING:
    import pandas as pd

IMAGES, ANNOTATIONS = "images", "annotations"
ENOUGH_JOINED, FEWEST_IMAGES = 0.5, 0.01


@dataclass(frozen=True)
class _Part:
    """One annotation file: its images with their labels, what finds their images, and how many images it lists."""

    file: JsonFile
    frame: pd.DataFrame
    image: Found | None
    rows: int
    disagreeing: int


@dataclass(frozen=True)
class _Keys:
    """The names that the files use."""

    id: str
    image_id: str
    label: str


def coco_source(look: Look, opened: list[JsonFile], sample: Table) -> Source | None:
    """Return the rows of annotation files, or None where there are none."""
    annotated = [file for file in opened if {IMAGES, ANNOTATIONS} <= set(file.lists)]
    if not annotated:
        return None
    annotated.sort(key=lambda file: ("train" not in file.name.lower(), len(file.name)))
    keys = _find_keys(annotated[0], sample)
    parts = [_part(look, file, keys) for file in annotated if "test" not in file.name.lower()]
    with_images = [part for part in parts if part.image and part.image.share >= FEWEST_IMAGES]
    if not with_images:
        return None
    without = [part for part in parts if part not in with_images]
    return _source(look, keys, with_images, without, _test_file(opened, annotated), sample)


def _find_keys(file: JsonFile, sample: Table) -> _Keys:
    """Return the images' id, what annotations call it, and the label that the sample submission asks for."""
    images, annotations = file.lists[IMAGES].table(), file.lists[ANNOTATIONS].table()
    image_id = next((name for name in annotations.columns if plain_name(name) == "imageid"), "image_id")
    known = set(annotations[image_id]) if image_id in annotations else set()
    shares = {name: images[name].isin(known).mean() for name in images.columns if images[name].is_unique}
    id_key = max(shares, key=lambda name: shares[name], default="id")
    wanted = [plain_name(name) for name in sample.columns[1:]]
    asked = [name for name in annotations.columns if plain_name(name) in wanted and name not in ("id", image_id)]
    return _Keys(id_key, image_id, asked[0] if asked else "category_id")


def _part(look: Look, file: JsonFile, keys: _Keys) -> _Part:
    images, labelled, disagreeing = _joined(file, keys)
    if len(labelled) < ENOUGH_JOINED * len(images.rows) and not images.complete:
        # The first images and the first annotations need not be the same ones.
        images, labelled, disagreeing = _joined(peek_json(look.files, file.name, look.records[file.name], True), keys)
    image = find_template(images.table(), look.images, look.files, "train")
    return _Part(file, labelled, image, images.count, disagreeing)


def _joined(file: JsonFile, keys: _Keys) -> tuple[Objects, pd.DataFrame, int]:
    """Return the images, those with a label as a table, and how many annotations give an image another label."""
    images, annotations = file.lists[IMAGES], file.lists[ANNOTATIONS].table()
    table, lacking = images.table(), [key for key in (keys.image_id, keys.label) if key not in annotations]
    if lacking:
        raise DataError(
            f"{file.name}: its annotations have no key '{lacking[0]}'; they have {format_list(map(str, annotations))}."
        )
    pairs = annotations[[keys.image_id, keys.label]].drop_duplicates()
    labels = pairs.drop_duplicates(keys.image_id).set_index(keys.image_id)[keys.label]
    frame = table.drop(columns=keys.label, errors="ignore").assign(**{keys.label: table[keys.id].map(labels)})
    return images, frame[frame[keys.label].notna()].reset_index(drop=True), len(pairs) - len(labels)


def _test_file(opened: list[JsonFile], annotated: list[JsonFile]) -> tuple[JsonFile, Objects] | None:
    """Return the file that lists test images without annotations, and that list."""
    for file in opened:
        listed = file.lists.get(IMAGES) or file.lists.get("")
        if file not in annotated and listed and "test" in file.name.lower():
            return file, listed
    return None


def _source(
    look: Look, keys: _Keys, parts: list[_Part], without: list[_Part], test: tuple[JsonFile, Objects] | None,
    sample: Table,
) -> Source:  # fmt: skip
    import pandas as pd

    train = pd.concat([part.frame for part in parts], ignore_index=True).fillna("")
    image = parts[0].image
    assert image is not None, "parts without images were left out"
    first = sample.columns[0]
    rows = test[1].table() if test else sample.frame[[first]].set_axis([keys.id], axis=1)
    test_image = find_template(rows, look.images, look.files, "test")
    return Source(
        dataset="coco",
        keys=tuple(_keys(keys, parts, without, test, sample, image, test_image)),
        train=train,
        rows=sum(part.rows for part in parts),
        test=rows,
        id_column=keys.id,
        images=image_paths(image, parts[0].frame, look.files, MOST_IMAGES),
        label=keys.label,
        used=(keys.id, *image.columns),
        has_test_columns=test is not None,
        todo=tuple(missing_test(test_image, rows, look)),
    )


def _keys(
    keys: _Keys, parts: list[_Part], without: list[_Part], test: tuple[JsonFile, Objects] | None, sample: Table,
    image: Found, test_image: Found | None,
) -> Iterator[Key]:  # fmt: skip
    names = [part.file.name for part in parts]
    lost = "; ".join(f"{part.file.name} is left out: its images are not there" for part in without)
    yield Key("train", names[0] if len(names) == 1 else names, lost)
    if test:
        yield Key("test", test[0].name)
    yield Key("sample", sample.name)
    for name, value, default in (
        ("id_key", keys.id, "id"),
        ("image_id_key", keys.image_id, "image_id"),
        ("label_key", keys.label, "category_id"),
    ):
        if value != default:
            yield Key(name, value)
    yield from image_keys(image, test_image)
    disagreeing = sum(part.disagreeing for part in parts)
    if disagreeing:
        yield Key("several_labels", "first", f"{disagreeing} annotations give an image another label")
    foreign = [part.file for part in parts if part.file.encoding != "utf-8"]
    if foreign:
        yield Key("encoding", foreign[0].encoding, f"{foreign[0].name} is not UTF-8")
    if any(part.image and part.image.resolved < part.image.rows for part in parts):
        yield Key("missing_images", "skip", "some of the images listed are not there")
