"""Recognise Pascal VOC's annotations: an XML file for each image, in a folder of their own or beside the images."""

from __future__ import annotations

from collections.abc import Iterator

from compete import Basis, Choice, Proposal, Scan, format_first, plural, spread

from .._voc import read_annotation
from .folder import extensions_choice
from .parts import part_of, test_folder

MOST_READ = 2_000  # to see whether images show several classes
LISTS = "ImageSets/Main"


def propose_voc(scan: Scan) -> Proposal | None:
    """Propose the folder whose XML files are called like most images. Raise `DataError` for what is not VOC's XML."""
    pairs = sorted(_pairs(scan), key=lambda pair: (part_of(pair[0]) != "test", part_of(pair[0]) != "valid", pair[2]))
    if not pairs:
        return None
    annotations, images, count = pairs[-1]
    names = [name for name in scan.files.list(annotations) if name.lower().endswith(".xml")]
    rows = [
        read_annotation(scan.files, name.rpartition(".")[0], _join(annotations, name))
        for name in spread(names, MOST_READ)
    ]
    if not any(row["names"] for row in rows):
        return None
    mixed = [row["id"] for row in rows if len(row["names"]) > 1]
    lists = list(_lists(scan, annotations))
    folder = test_folder(scan.images, [_join(images, name) for name in scan.files.list(images)])
    found = [path for path in scan.images if path.startswith(f"{images}/" if images else "")]
    return Proposal(
        "voc",
        (
            Choice("annotations", annotations or ".", plural(len(names), "XML file")),
            Choice("images", images or "."),
            *lists,
            *([Choice("test", folder, "its images are the test rows")] if folder and len(lists) < 2 else []),
            *([Choice("several_labels", "largest")] if mixed else []),
            *extensions_choice(scan, found),
        ),
        "XML files annotate the images",
        basis=Basis.TABLE,
        rows=count,
        todo=(*_several(mixed, len(rows)), *_left_out(pairs[:-1])),
    )


def _pairs(scan: Scan) -> Iterator[tuple[str, str, int]]:
    """Yield each folder of XML files with the folder that has images for most of them, and for how many."""
    folders = sorted({path.rpartition("/")[0] for path in scan.images})
    stems = {folder: {name.rpartition(".")[0] for name in scan.files.list(folder)} for folder in folders}
    for with_xml in sorted({path.rpartition("/")[0] for path in scan.others if path.lower().endswith(".xml")}):
        names = {name[:-4] for name in scan.files.list(with_xml) if name.lower().endswith(".xml")}
        counts = {folder: _with_image(scan, folder, names & stems[folder]) for folder in folders}
        best = max(folders, key=lambda folder: (counts[folder], folder == with_xml), default="")
        if counts.get(best):
            yield with_xml, best, counts[best]


def _with_image(scan: Scan, folder: str, names: set[str]) -> int:
    return sum(name.rpartition(".")[0] in names for name in scan.files.list(folder) if scan.is_image(name))


def _lists(scan: Scan, annotations: str) -> Iterator[Choice]:
    """Yield VOC's own lists of training and test images, where there are both."""
    folder = _join(annotations.rpartition("/")[0], LISTS)
    there = scan.files.list(folder)
    train = next((name for name in ("trainval.txt", "train.txt") if name in there), "")
    if train and "test.txt" in there:
        yield Choice("train", f"{folder}/{train}")
        yield Choice("test", f"{folder}/test.txt", "its images are predicted")


def _several(mixed: list[str], read: int) -> Iterator[str]:
    if mixed:
        yield (
            f"[dataset] several_labels: {len(mixed):,} of {plural(read, 'image')} looked at ({len(mixed) / read:.1%}) "
            f'show several classes: {format_first(mixed)}; the largest object counts. "join" keeps all labels.'
        )


def _left_out(pairs: list[tuple[str, str, int]]) -> Iterator[str]:
    for folder, _, count in pairs:
        yield f"[dataset] annotations: '{folder}' annotates {plural(count, 'image')} more, and is not read."


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
