"""Competitions annotated in Pascal VOC's XML: one file an image, whose objects give the label of the whole image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import pandas as pd

from compete import DataError, Files, Tables, component, did_you_mean, format_first, format_list, plural

from ._common import IMAGE_EXTENSIONS, Problems, check_group, is_image
from ._rows import Policies, Rows, assemble
from ._tables import NO_SAMPLE, read_sample_if_any

SeveralLabels = Literal["error", "join", "largest"]
SEPARATOR = "|"


def _check(*, group: str, group_pattern: str, **_: object) -> Iterator[str]:
    yield from check_group(group, group_pattern)


@component(check=_check)
def voc(
    root: Path,
    *,
    annotations: str = "Annotations",
    images: str = "JPEGImages",
    train: str = "",
    test: str = "",
    sample: str = "",
    several_labels: Literal["error", "join", "largest"] = "error",
    group: str = "",
    group_pattern: str = "",
    extensions: tuple[str, ...] = IMAGE_EXTENSIONS,
) -> Tables:
    """Read rows from Pascal VOC's XML files; the names of an image's objects become its label.

    `annotations` and `images` are folders below the root; an annotation belongs to the image of its own name. `train`
    is a list of names, one a line as in `ImageSets/Main/train.txt`; without it every annotated image is trained on.
    `test` is a folder of test images, or a list like `train`; without it there is no test set, and the run ends with
    its CV and OOF. `sample` is the sample submission; without it every test image is predicted, in columns `id` and
    `label`.
    `several_labels`: an image with objects of several classes is refused, gets the label of the `largest` object, or
    all of them `join`ed by `|`, for a target with `separator = "|"`. Annotations without an object are left out,
    counted. `group`, `group_pattern`: as for `csv`, with the columns `folder`, `width`, `height`. `extensions` are
    those of images; other files are ignored.
    """
    files = Files(root)
    problems, notes = Problems(), list[str]()
    by_name = _by_name(files, images, extensions)
    train_rows = test_rows = sample_table = None
    with problems.collecting():
        train_rows = _train(
            files, annotations, by_name, _listed(files, train) if train else None, several_labels, notes
        )
    with problems.collecting():
        test_rows = _test(files, test, by_name, extensions) if test else None
    with problems.collecting():
        sample_table = read_sample_if_any(files, sample or NO_SAMPLE)
    problems.raise_if_any()
    assert train_rows is not None
    return assemble(files, train_rows, test_rows, sample_table, Policies(group, group_pattern, notes=tuple(notes)))


def _by_name(files: Files, folder: str, extensions: tuple[str, ...]) -> dict[str, str]:
    """Return the images below a folder by their name without extension. Raise `DataError` for a name that repeats."""
    paths = [path for path in files.walk(folder) if is_image(path, extensions)]
    if not paths:
        raise DataError(f"images = '{folder}': no image below it.{did_you_mean(folder, files.list(''))}")
    names = pd.Series([_stem(path) for path in paths], dtype=str)
    if names.duplicated().any():
        raise DataError(
            f"images = '{folder}': several images have one name: {format_first(names[names.duplicated()].tolist())}."
        )
    return {name: f"{folder}/{path}" for name, path in zip(names, paths, strict=True)}


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def _listed(files: Files, path: str) -> list[str]:
    """Return the names in a list: the first word of each line (the second, in VOC's own lists, is 1, 0 or -1)."""
    lines = files.read(path).decode("utf-8-sig").splitlines()
    names = [line.split()[0] for line in lines if line.strip()]
    if not names:
        raise DataError(f"{path} lists no image.")
    return names


def _train(
    files: Files,
    folder: str,
    by_name: dict[str, str],
    chosen: list[str] | None,
    several: SeveralLabels,
    notes: list[str],
) -> Rows:
    annotated = {_stem(path): f"{folder}/{path}" for path in files.walk(folder) if path.lower().endswith(".xml")}
    if not annotated:
        raise DataError(f"annotations = '{folder}': no XML file below it.{did_you_mean(folder, files.list(''))}")
    wanted = annotated if chosen is None else {name: annotated.get(name, "") for name in chosen}
    unannotated = [name for name, path in wanted.items() if not path]
    imageless = [name for name in wanted if name not in by_name]
    if unannotated or imageless:
        lost = [("annotation", unannotated), ("image", imageless)]
        raise DataError(
            f"{plural(len(names), 'name')} without {what}: {format_first(names)}." for what, names in lost if names
        )
    rows = [read_annotation(files, name, path) for name, path in wanted.items()]
    empty = [row["id"] for row in rows if not row["names"]]
    if empty:
        notes.append(f"{plural(len(empty), 'image')} left out, without an object: {format_first(empty)}.")
    table = pd.DataFrame([row for row in rows if row["names"]])
    if table.empty:
        raise DataError(f"annotations = '{folder}': none of the {len(rows)} files has an object.")
    table["label"] = _labels(table, several)
    images = pd.Series([by_name[name] for name in table["id"]], dtype=object)
    return Rows(table.drop(columns="names").astype(str), folder, "id", images, "", sure=True)


def read_annotation(files: Files, name: str, path: str) -> dict[str, Any]:
    """Return what one annotation says: `names` maps each object's class to the area of its largest box."""
    try:
        tree = ElementTree.fromstring(files.read(path))
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: not valid XML: {error}.") from None
    names: dict[str, float] = {}
    for item in tree.iter("object"):
        label = (item.findtext("name") or "").strip()
        if not label:
            raise DataError(f"{path}: an object without a name.")
        names[label] = max(names.get(label, 0.0), _area(item, path))
    size = {key: tree.findtext(f"size/{key}") or "" for key in ("width", "height")}
    return {"id": name, "folder": tree.findtext("folder") or "", **size, "names": names}


def _area(item: ElementTree.Element, path: str) -> float:
    try:
        left, top, right, bottom = (
            float(item.findtext(f"bndbox/{key}") or 0) for key in ("xmin", "ymin", "xmax", "ymax")
        )
    except ValueError as error:
        raise DataError(f"{path}: a box that is not numbers: {error}.") from None
    return max(0.0, right - left) * max(0.0, bottom - top)


def _labels(table: pd.DataFrame, several: SeveralLabels) -> list[str]:
    mixed = table["id"][table["names"].map(len) > 1].tolist()
    if mixed and several == "error":
        raise DataError(
            f"{plural(len(mixed), 'image has', 'images have')} objects of several classes: {format_first(mixed)}. "
            "Set several_labels = 'join' for all labels, or 'largest'."
        )
    if several == "largest":
        return [max(names, key=lambda label: names[label]) for names in table["names"]]
    joined = sorted({label for names in table["names"] for label in names if SEPARATOR in label})
    if joined:
        raise DataError(f"a class name holds '{SEPARATOR}', which would join the labels: {format_list(joined)}.")
    return [SEPARATOR.join(sorted(names)) for names in table["names"]]


def _test(files: Files, test: str, by_name: dict[str, str], extensions: tuple[str, ...]) -> Rows:
    if test.lower().endswith(".txt"):
        names = _listed(files, test)
        lost = [name for name in names if name not in by_name]
        if lost:
            raise DataError(f"test = '{test}': {plural(len(lost), 'name')} without image: {format_first(lost)}.")
        found = {name: by_name[name] for name in names}
    else:
        found = _by_name(files, test, extensions)
    table = pd.DataFrame({"id": list(found)})
    return Rows(table, test, "id", pd.Series(list(found.values()), dtype=object), "", sure=True)
