"""Competitions without a training table: the label is in the folder's or the file's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from compete import (
    DataError,
    Tables,
    component,
    describe_form,
    did_you_mean,
    format_first,
    format_list,
    left_behind,
    plural,
)

from ._common import (
    IMAGE_EXTENSIONS,
    Files,
    Problems,
    check_regex,
    check_template,
    extract,
    image_paths,
    is_image,
    keep_unique,
    missing_message,
    present,
    refuse_unmatched,
    replaced,
)
from ._spelling import as_on_disk, by_composed, composed, labels_as_in_sample, spelling_note, text_names
from ._tables import NO_SAMPLE, Sample, read_sample, refuse_repeated_ids, sample_names

# Files that describe images: nobody takes them for rows.
TEXTS = {
    f".{ending}" for ending in ("txt", "md", "csv", "tsv", "json", "xml", "html", "yaml", "yml", "pdf", "log", "py")
}


def _check(*, pattern: str, group_pattern: str, test: str, sample: str, **_: object) -> Iterator[str]:
    yield from check_regex("pattern", pattern)
    yield from check_regex("group_pattern", group_pattern)
    yield from check_template("test", test)
    if sample not in ("", NO_SAMPLE) and not test:
        yield f'test = "" says that there is no test set; sample = "{sample}" asks for one.'
    if pattern and "(?P<label>" not in pattern:
        yield f"pattern = '{pattern}' has no part (?P<label>...) that gives the label."


@component(check=_check, reads_urls=True)
def folder(
    root: Path | str,
    *,
    train: str = "train",
    labels: dict[str, str] | None = None,
    pattern: str = "",
    test: str = "test",
    sample: str = "",
    replace: dict[str, dict[str, str]] | None = None,
    group_pattern: str = "",
    extensions: tuple[str, ...] = IMAGE_EXTENSIONS,
    encoding: str = "utf-8",
) -> Tables:
    """Read rows from the images below a folder or inside an archive; their paths give column `label`.

    The label is the name of the first folder below `train` (spaces are fine). `labels = {Cover = "0", JMiPOD = "1"}`
    reads only these folders and gives each its label. With `pattern`, a regular expression searched in the path
    below `train`, the label is its part `(?P<label>...)`: `"(?P<label>cat|dog)\\.(?P<id>\\d+)"`.
    `replace = { label = { "cat " = "cat" } }` spells labels another way.
    `test = ""` says that there is no test set: the run ends with its CV and OOF.
    The id is the path below `train`, or `<label>/<id>` with a part `(?P<id>...)`. `group_pattern` is searched in the
    path as well: rows for which its first part, or all of it, finds the same text stay in one fold.
    `sample` is the sample submission, or a table of ids alone; not given, it is found by its name, and where there is
    none the test rows are what `test` holds. Its ids name the test images, with or without their ending, in the
    folder or archive `test`, which may also be a template (`test/{id}.png`).
    `extensions` are those of images; other files are left out, and so are hidden files and folders and those that
    programs leave behind (`.ipynb_checkpoints`, `__MACOSX`, `@eaDir`), all counted; `labels` may name one of them.
    """
    files = Files(root)
    problems, notes, warnings = Problems(), list[str](), list[str]()
    with problems.collecting():
        images = _train_images(files, train, labels or {}, pattern, extensions, test, notes)
        train_table = label_rows(images, labels or {}, pattern)
        if not labels and not pattern:
            warnings += _folders_without_images(files, train, test, images["id"])
        [train_table] = replaced(replace, train or files.where, [train_table], notes)
        if group_pattern:
            train_table["group"] = extract(train_table["image"], group_pattern, "group_pattern", train or files.where)
    with problems.collecting():
        read = _sample(files, test, sample, extensions, encoding, notes)
        test_table = _test(files, test, read.table, read.name, extensions, notes)
    problems.raise_if_any()
    train_table["label"], respelled = labels_as_in_sample(train_table["label"], read.table)
    notes += spelling_note(respelled, "label", train)
    notes += filter(None, [describe_form(read.form, read.name)])
    return Tables(train_table, test_table, read.table, " ".join(notes), tuple(warnings), read.form)


def _train_images(
    files: Files,
    train: str,
    labels: Mapping[str, str],
    pattern: str,
    extensions: tuple[str, ...],
    test: str,
    notes: list[str],
) -> pd.DataFrame:
    """Return each training image's path (`image`) and its path below `train` (`id`)."""
    top = "" if train in ("", ".") else f"{train.rstrip('/')}/"
    if labels and not pattern:
        found = [(f"{name}/", path) for name in labels for path in _labelled(files, top, name, labels)]
    else:
        # The test images may be below `train` as well.
        apart, tests = test.rstrip("/") not in ("", train.rstrip("/")), f"{test.rstrip('/')}/"
        found = [("", path) for path in files.walk(train) if not (apart and f"{top}{path}".startswith(tests))]
    notes += _left_out([path for _, path in found], extensions, train)
    ids = [name + path for name, path in found if _counts(path, extensions)]
    if not ids:
        raise DataError(
            f"train = '{train}': no image below it. It holds {format_list(files.list(train)) or 'nothing'}."
            f"{did_you_mean(train, files.list(''))}"
        )
    return image_rows(top, ids)


def _counts(path: str, extensions: tuple[str, ...]) -> bool:
    """Return whether a file is an image that somebody put there."""
    return is_image(path, extensions) and not left_behind(path)


def _left_out(paths: Sequence[str], extensions: tuple[str, ...], where: str) -> Iterator[str]:
    """Yield which files are left out: images that programs left behind, and what may be images but is not read."""
    images = [path for path in paths if is_image(path, extensions)]
    left = Counter(part for path in images if (part := left_behind(path)))
    if left:
        count = f"{left.total()} of {plural(len(images), 'image')} in '{where}' left out"
        yield f"{count}, hidden or left behind by programs: {_counted(left)}."
    others = [path for path in paths if not (is_image(path, extensions) or left_behind(path))]
    unread = Counter(ending for path in others if (ending := _extension(path)) not in TEXTS)
    if unread:
        yield f"{plural(unread.total(), 'file')} in '{where}' left out, not images: {_counted(unread)}."


def _counted(counts: Counter[str]) -> str:
    return format_first([f"{name} ({count})" for name, count in counts.most_common()])


def _extension(path: str) -> str:
    name = path.rpartition("/")[2]
    return f".{_ending(name).lower()}" if "." in name else name


def _folders_without_images(files: Files, train: str, test: str, ids: pd.Series[str]) -> Iterator[str]:
    """Yield the label folders that hold no image: their labels are unknown to the network."""
    top = "" if train in ("", ".") else f"{train.rstrip('/')}/"
    with_images = set(ids.str.partition("/")[0])
    empty = [
        name
        for name in files.list(train)
        if name not in with_images and not left_behind(name) and f"{top}{name}" != test.rstrip("/")
        if not is_image(name) and (files.list(f"{top}{name}") or "." not in name)
    ]
    if empty and top:
        yield f"{plural(len(empty), 'folder')} of '{train}' without an image, so without a class: {format_first(empty)}"


def image_rows(top: str, paths: Sequence[str]) -> pd.DataFrame:
    """Return a row for each image: its path below the folder `top`, which ends in a slash unless it is the root."""
    ids = pd.Series(text_names(paths, top.rstrip("/")), dtype=str)
    return pd.DataFrame({"id": ids, "image": (top + ids).astype(object)})


def _labelled(files: Files, top: str, name: str, labels: Mapping[str, str]) -> list[str]:
    paths = files.walk(top + name)
    if not paths:
        there = files.list(top)
        raise DataError(
            f"labels: there is no folder '{top}{name}' with files in it.{did_you_mean(name, there)} "
            f"Of {format_list(labels)}, expected in: {format_list(there)}."
        )
    return paths


def label_rows(images: pd.DataFrame, labels: Mapping[str, str], pattern: str) -> pd.DataFrame:
    """Add the label that a row's path holds; without a pattern it is the first folder."""
    ids = images["id"]
    if not pattern:
        parts = ids.str.partition("/")
        if (parts[1] == "").any():
            loose = ids[parts[1] == ""].tolist()
            raise DataError(
                f"{len(loose)} images are not in a folder of their own: {format_first(loose)}. "
                "Set pattern to take the label from the file name."
            )
        found = parts[0]
    else:
        matched = ids.str.extract(pattern)
        refuse_unmatched(ids, matched["label"], "pattern", pattern, "the training images")
        found = matched["label"]
        if "id" in matched:
            images = images.assign(id=found + "/" + matched["id"])
            _refuse_repeated(images["id"], pattern)
    if labels:
        _refuse_unmapped(found, labels)
        found = found.map(labels)
    return images.assign(label=found)


def _refuse_repeated(ids: pd.Series[str], pattern: str) -> None:
    repeated = ids[ids.duplicated()].tolist()
    if repeated:
        raise DataError(
            f"pattern = '{pattern}' gives {len(repeated)} images an id that is already used: {format_first(repeated)}."
        )


def _refuse_unmapped(found: pd.Series[str], labels: Mapping[str, str]) -> None:
    unmapped = sorted(set(found.unique()) - set(labels))
    if unmapped:
        raise DataError(
            f"labels: no label for {format_list(unmapped)}.{did_you_mean(unmapped[0], labels)} "
            f"Available: {format_list(labels)}."
        )


def _sample(
    files: Files, test: str, sample: str, extensions: tuple[str, ...], encoding: str, notes: list[str]
) -> Sample:
    """Return the sample submission, or the images below `test` as one, or one without rows where `test` is ""."""
    found_by_name = sample_names(files.list("")) if not sample else []
    if not test:
        notes += [f"{name} is not read, since test is empty: no test set." for name in found_by_name]
        return Sample(pd.DataFrame({"id": [], "label": []}, dtype=str), "")
    if sample == NO_SAMPLE or not (sample or found_by_name):
        paths = files.walk(test)
        notes += _left_out(paths, extensions, test)
        ids = [path for path in paths if _counts(path, extensions)]
        if not ids:
            near = did_you_mean(test, files.list(""))
            raise DataError(
                f"test = '{test}': no image below it, and no sample submission names any.{near} "
                'Without a test set: test = "".'
            )
        notes.append(f"No sample submission: the {len(ids)} images of '{test}' are the test rows.")
        return Sample(pd.DataFrame({"id": text_names(ids, test), "label": ""}), test)
    found = read_sample(files, sample, encoding=encoding)
    refuse_repeated_ids(found)
    return replace(found, table=found.table.assign(label="")) if found.table.shape[1] == 1 else found


def _test(
    files: Files, test: str, sample: pd.DataFrame, where: str, extensions: tuple[str, ...], notes: list[str]
) -> pd.DataFrame:
    first = str(sample.columns[0])
    if not test:
        return pd.DataFrame({"id": [], "image": []}, dtype=object)
    ids = keep_unique(sample[first], "first", where).reset_index(drop=True)
    if "{" in test and not files.list(test.rstrip("/")):  # a folder may be called so
        images = image_paths(pd.DataFrame({first: ids, "id": ids}), test, files, option="test")
    else:
        images = _by_name(files, test.rstrip("/"), ids, extensions)
    images, respelled = as_on_disk(images, files)
    notes += spelling_note(respelled, "image name", where)
    there = present(images, files)
    if not there.all():
        raise DataError(missing_message(f"test = '{test}'", images, there, files, where))
    return pd.DataFrame({"id": ids, "image": images})


def _by_name(files: Files, test: str, ids: pd.Series[str], extensions: tuple[str, ...]) -> pd.Series[Any]:
    """Find each id among the images of a folder, by whole name or without its ending."""
    images = [path for path in files.walk(test) if is_image(path, extensions)]
    by_stem: dict[str, list[str]] = {}
    for path in images:
        by_stem.setdefault(path.rpartition(".")[0], []).append(path)
    whole = {path: path for path in images}
    several = [id for id in ids if id not in whole and len(by_stem.get(id, ())) > 1]
    if several:
        names = format_first(by_stem[several[0]])
        raise DataError(
            f"test = '{test}': {plural(len(several), 'test id names', 'test ids name')} several images, "
            f'{several[0]}: {names}. Write the extension: test = "{test}/{{id}}.{_ending(by_stem[several[0]][0])}".'
        )
    by_id = {stem: paths[0] for stem, paths in by_stem.items()} | whole
    other = by_composed(by_id)  # a file's name as macOS writes it: `as_on_disk` finds it again, and counts it
    found = [by_id.get(id) or composed(by_id[other[composed(id)]]) if composed(id) in other else id for id in ids]
    return pd.Series([f"{test}/{path}" for path in found], dtype=object)


def _ending(path: str) -> str:
    return path.rpartition(".")[2]
