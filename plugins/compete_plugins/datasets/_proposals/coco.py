"""Recognise competitions whose rows are COCO-like JSON: images joined with the label of their annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from compete import Choice, Excerpt, Proposal, Scan, plain_name, plural

from .._coco import Keys, labelled_images
from .._heads import JsonHead, Objects, Table, encoding_doubts, read_json_head
from .._tables import NO_SAMPLE
from .missing import missing_images, missing_tests, missing_trains, several_files
from .parts import made_sample, test_folder
from .templates import Found, find_template, image_choices, some_images

ENOUGH_JOINED, FEWEST_IMAGES = 0.5, 0.01
OF_FILES = ("width", "height", "license")  # columns that say nothing of what an image shows
CATEGORIES = "categories"
USUAL = Keys("images", "annotations", "id", "image_id", "category_id")


@dataclass(frozen=True)
class _Part:
    """One annotation file: its images with their labels, what finds their images, and how many images it lists."""

    file: JsonHead
    frame: pd.DataFrame
    image: Found
    rows: int
    disagreeing: int


def propose_coco(scan: Scan, sample: Table | None, heads: Sequence[JsonHead]) -> Proposal | None:
    """Propose the annotation files, with a sample submission or without. Raise `DataError` for a key that they lack."""
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
    read = _apart(parts)
    proposal = _proposal(scan, keys, read, without, _test_file(heads, annotated if sample else []), sample)
    return replace(proposal, todo=(*proposal.todo, *_not_read([part for part in parts if part not in read])))


def _find_keys(head: JsonHead, sample: Table | None) -> Keys:
    """Return the images' id, what annotations call it, and the label that the sample submission asks for."""
    images, annotations = head.lists[USUAL.images].table(), head.lists[USUAL.annotations].table()
    image_id = next((name for name in annotations.columns if plain_name(name) == "imageid"), USUAL.image_id)
    known = set(annotations[image_id]) if image_id in annotations else set()
    shares = {name: images[name].isin(known).mean() for name in images.columns if images[name].is_unique}
    id_key = max(shares, key=lambda name: shares[name], default=USUAL.id)
    wanted = [plain_name(name) for name in sample.columns[1:]] if sample else []
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
    sample: Table | None,
) -> Proposal:
    train = pd.concat([part.frame for part in parts], ignore_index=True).fillna("")
    image = _joined_images([part.image for part in parts])
    lost = np.concatenate([part.image.lost for part in parts])
    folder = "" if test or sample else test_folder(scan.images, some_images(image, parts[0].frame, scan))
    rows = _test_rows(scan, keys, test, sample, folder)
    test_image = find_template(rows, scan, "test") if test or sample else None
    names = _class_names(parts, keys) if sample is None else {}
    train = train.assign(**{keys.label: train[keys.label].replace(names)})
    return Proposal(
        "coco",
        (
            _train(parts, without),
            *([Choice("test", test[0])] if test else []),
            *([Choice("test", f"{folder}/", "its images are the test rows")] if folder else []),
            Choice("sample", sample.name if sample else NO_SAMPLE),
            *_key_names(keys),
            *image_choices(image, test_image),
            *_policies(parts, keys),
            *missing_images(train, lost, image.columns[-1]),
            *([Choice("replace", {keys.label: names}, "categories by their names")] if names else []),
        ),
        "JSON files list images and their annotations",
        rows=sum(part.rows for part in parts),
        excerpt=Excerpt(
            train,
            rows,
            sample.frame if sample else made_sample(len(rows)),
            id=keys.id,
            label=keys.label,
            used=(keys.id, *image.columns, *OF_FILES),
            images=some_images(image, parts[0].frame, scan),
        ),
        todo=(
            *encoding_doubts(part.file for part in parts),
            *missing_trains(train, lost, image.columns[-1]),
            *several_files([part.image for part in parts]),
            *(missing_tests(test_image, rows, scan) if test or sample else ()),
            *_disagreements(parts),
        ),
    )


def _test_rows(
    scan: Scan, keys: Keys, test: tuple[str, Objects] | None, sample: Table | None, folder: str
) -> pd.DataFrame:
    """Return the test rows: those of a file, of the sample submission, or the images of a folder."""
    if test:
        return test[1].table()
    if sample:
        return sample.frame[[sample.columns[0]]].set_axis([keys.id], axis=1)
    ids = [path.removeprefix(f"{folder}/") for path in scan.images if folder and path.startswith(f"{folder}/")]
    return pd.DataFrame({keys.id: ids}, dtype=str)


def _apart(parts: list[_Part]) -> list[_Part]:
    """Return the parts that can be read together: where templates differ, no file name may be in two of them."""
    kept = parts[:1]
    for part in parts[1:]:
        known = {text for each in kept for text in each.image.templates}
        column = part.image.columns[-1]
        taken = {name for each in kept for name in each.frame[column]}
        if known >= set(part.image.templates) or taken.isdisjoint(part.frame[column]):
            kept.append(part)
    return kept


def _not_read(parts: Sequence[_Part]) -> Iterator[str]:
    for part in parts:
        yield (
            f"[dataset] train: {part.file.name} ({plural(part.rows, 'image')}) is not read: its file names are "
            "those of another file's images. Rename them, or put all images in one folder."
        )


def _joined_images(found: Sequence[Found]) -> Found:
    """Return the templates of all parts, one after the other."""
    texts = list(dict.fromkeys(text for each in found for text in each.templates))
    if len(texts) == len(found[0].templates):
        return found[0]
    counts = tuple(
        sum(count for each in found for own, count in zip(each.templates, each.counts, strict=True) if own == text)
        for text in texts
    )
    lost = np.concatenate([each.lost for each in found])
    return Found(tuple(texts), counts, lost, sum(each.several for each in found))


def _class_names(parts: Sequence[_Part], keys: Keys) -> dict[str, str]:
    """Return the name of each category that annotations give, by its id; nothing where names repeat or are missing."""
    listed = [part.file.lists.get(CATEGORIES) for part in parts]
    if keys.label != USUAL.label or not all(each and each.complete for each in listed):
        return {}
    if not all(part.file.lists[keys.annotations].complete for part in parts):
        return {}  # `replace` refuses a category that no annotation has, and some may not have been read
    tables = [each.table() for each in listed if each]
    if not all({"id", "name"} <= set(table.columns) for table in tables):
        return {}
    pairs = {(id, name) for table in tables for id, name in zip(table["id"], table["name"], strict=True)}
    seen = {label for part in parts for label in part.frame[keys.label]}
    used = {id: name for id, name in sorted(pairs) if id in seen}
    distinct = len({id for id, _ in pairs}) == len({name for _, name in pairs}) == len(pairs)
    return used if distinct and set(used) == seen and all(used.values()) else {}


def _train(parts: Sequence[_Part], without: Sequence[JsonHead]) -> Choice:
    names = [part.file.name for part in parts]
    lost = "; ".join(f"{head.name} is left out: its images are not there" for head in without)
    return Choice("train", names[0] if len(names) == 1 else names, lost)


def _key_names(keys: Keys) -> Iterator[Choice]:
    for option, field in (("id_key", "id"), ("image_id_key", "image_id"), ("label_key", "label")):
        if getattr(keys, field) != getattr(USUAL, field):
            yield Choice(option, getattr(keys, field))


def _policies(parts: Sequence[_Part], keys: Keys) -> Iterator[Choice]:
    """Yield what becomes of annotations that disagree, and of another encoding."""
    disagreeing = sum(part.disagreeing for part in parts)
    if disagreeing:
        yield Choice("several_labels", "first", f"{disagreeing} annotations give an image another label")
    ids = pd.concat([part.frame[keys.id] for part in parts])
    if ids.duplicated().any():
        repeated = plural(int(ids.duplicated().sum()), "image")
        yield Choice("duplicates", "keep", f"{repeated} of later files repeat an id")
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
