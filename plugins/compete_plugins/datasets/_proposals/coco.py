"""Recognise competitions whose rows are COCO-like JSON: images joined with the label of their annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from compete import Choice, Excerpt, Proposal, Scan, plain_name, plural

from .._coco import Keys, labelled_images
from .._heads import JsonHead, Objects, Table, encoding_doubts, read_json_head
from .missing import missing_images, missing_tests, missing_trains, several_files
from .templates import Found, find_template, image_choices, some_images

ENOUGH_JOINED, FEWEST_IMAGES = 0.5, 0.01
OF_FILES = ("width", "height", "license")  # columns that say nothing of what an image shows
USUAL = Keys("images", "annotations", "id", "image_id", "category_id")


@dataclass(frozen=True)
class _Part:
    """One annotation file: its images with their labels, what finds their images, and how many images it lists."""

    file: JsonHead
    frame: pd.DataFrame
    image: Found
    rows: int
    disagreeing: int


def propose_coco(scan: Scan, sample: Table, heads: Sequence[JsonHead]) -> Proposal | None:
    """Propose the annotation files. Raise `DataError` for annotations that lack a key."""
    annotated = [head for head in heads if {USUAL.images, USUAL.annotations} <= set(head.lists)]
    if not annotated:
        return None
    annotated.sort(key=lambda head: ("train" not in head.name.lower(), len(head.name)))
    keys = _find_keys(annotated[0], sample)
    training = [head for head in annotated if "test" not in head.name.lower()]
    parts = [part for head in training if (part := _part(scan, head, keys)) is not None]
    if not parts:
        return None
    without = [head for head in training if head not in [part.file for part in parts]]
    return _proposal(scan, keys, parts, without, _test_file(heads, annotated), sample)


def _find_keys(head: JsonHead, sample: Table) -> Keys:
    """Return the images' id, what annotations call it, and the label that the sample submission asks for."""
    images, annotations = head.lists[USUAL.images].table(), head.lists[USUAL.annotations].table()
    image_id = next((name for name in annotations.columns if plain_name(name) == "imageid"), USUAL.image_id)
    known = set(annotations[image_id]) if image_id in annotations else set()
    shares = {name: images[name].isin(known).mean() for name in images.columns if images[name].is_unique}
    id_key = max(shares, key=lambda name: shares[name], default=USUAL.id)
    wanted = [plain_name(name) for name in sample.columns[1:]]
    asked = [name for name in annotations.columns if plain_name(name) in wanted and name not in ("id", image_id)]
    return USUAL._replace(id=id_key, image_id=image_id, label=asked[0] if asked else USUAL.label)


def _part(scan: Scan, head: JsonHead, keys: Keys) -> _Part | None:
    """Join a file's images with their labels, or return None where nearly none of the images is there."""
    images, labelled, disagreeing = _joined(head, keys)
    if len(labelled) < ENOUGH_JOINED * len(images.rows) and not images.complete:
        # The first images and the first annotations need not be the same ones.
        whole = read_json_head(scan.files, head.name, scan.records[head.name], whole=True)
        images, labelled, disagreeing = _joined(whole, keys)
    image = find_template(labelled.drop(columns=keys.label), scan, "train")
    if image is None or image.share < FEWEST_IMAGES:
        return None
    return _Part(head, labelled, image, images.count, disagreeing)


def _joined(head: JsonHead, keys: Keys) -> tuple[Objects, pd.DataFrame, int]:
    """Return the images, those with a label as a table, and how many annotations give an image another label."""
    images, annotations = head.lists[keys.images], head.lists[keys.annotations].table()
    labelled = labelled_images(images.table(), annotations, keys, "first", head.name)
    pairs = annotations[[keys.image_id, keys.label]].drop_duplicates()
    return images, labelled, int(pairs[keys.image_id].duplicated().sum())


def _test_file(heads: Sequence[JsonHead], annotated: Sequence[JsonHead]) -> tuple[str, Objects] | None:
    """Return the file that lists test images without annotations, and that list."""
    for head in heads:
        listed = head.lists.get(USUAL.images) or head.lists.get("")
        if head not in annotated and listed and "test" in head.name.lower():
            return head.name, listed
    return None


def _proposal(
    scan: Scan,
    keys: Keys,
    parts: Sequence[_Part],
    without: Sequence[JsonHead],
    test: tuple[str, Objects] | None,
    sample: Table,
) -> Proposal:
    train = pd.concat([part.frame for part in parts], ignore_index=True).fillna("")
    first, image = sample.columns[0], parts[0].image
    lost = np.concatenate([part.image.lost for part in parts])
    rows = test[1].table() if test else sample.frame[[first]].set_axis([keys.id], axis=1)
    test_image = find_template(rows, scan, "test")
    return Proposal(
        "coco",
        (
            _train(parts, without),
            *([Choice("test", test[0])] if test else []),
            Choice("sample", sample.name),
            *_key_names(keys),
            *image_choices(image, test_image),
            *_policies(parts),
            *missing_images(train, lost, image.columns[-1]),
        ),
        "JSON files list images and their annotations",
        rows=sum(part.rows for part in parts),
        excerpt=Excerpt(
            train,
            rows,
            sample.frame,
            id=keys.id,
            label=keys.label,
            used=(keys.id, *image.columns, *OF_FILES),
            images=some_images(image, parts[0].frame, scan),
        ),
        todo=(
            *encoding_doubts(part.file for part in parts),
            *missing_trains(train, lost, image.columns[-1]),
            *several_files([part.image for part in parts]),
            *missing_tests(test_image, rows, scan),
            *_disagreements(parts),
        ),
    )


def _train(parts: Sequence[_Part], without: Sequence[JsonHead]) -> Choice:
    names = [part.file.name for part in parts]
    lost = "; ".join(f"{head.name} is left out: its images are not there" for head in without)
    return Choice("train", names[0] if len(names) == 1 else names, lost)


def _key_names(keys: Keys) -> Iterator[Choice]:
    for option, field in (("id_key", "id"), ("image_id_key", "image_id"), ("label_key", "label")):
        if getattr(keys, field) != getattr(USUAL, field):
            yield Choice(option, getattr(keys, field))


def _policies(parts: Sequence[_Part]) -> Iterator[Choice]:
    """Yield what becomes of annotations that disagree, and of another encoding."""
    disagreeing = sum(part.disagreeing for part in parts)
    if disagreeing:
        yield Choice("several_labels", "first", f"{disagreeing} annotations give an image another label")
    foreign = [part.file for part in parts if part.file.readings]
    if foreign:
        why = f"{foreign[0].name} is not UTF-8; it reads {foreign[0].readings[0]}"
        yield Choice("encoding", foreign[0].encoding, why)


def _disagreements(parts: Sequence[_Part]) -> Iterator[str]:
    disagreeing, rows = (sum(getattr(part, name) for part in parts) for name in ("disagreeing", "rows"))
    if disagreeing:
        yield (
            f"[dataset] several_labels: {plural(disagreeing, 'annotation')} of {plural(rows, 'image')} "
            f"({disagreeing / max(1, rows):.1%}) give an image another label than an earlier one, which counts; "
            '"join" keeps all labels.'
        )
