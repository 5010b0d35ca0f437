"""How rows become file names: templates are derived from the images that are there, and tried on every row."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd

from compete import Choice, DataError, Files, Scan, path_template, spread

from .._spelling import as_on_disk, composed

Row = Mapping[str, str]

MOST_PAIRS, MOST_PATHS, MOST_CANDIDATES, MOST_TRIED = 300, 8, 24, 1000
MOST_IMAGES = 60  # that are proposed to look at
LONGEST_SLICE, MOST_SLICE_STARTS = 4, 8
# Folders that say for which rows their images are.
WORDS = {"train": ("train",), "test": ("test", "eval", "valid")}


@dataclass(frozen=True)
class Found:
    """A template, how many rows it finds a file for, and the next best ones."""

    template: str
    resolved: int
    rows: int
    others: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share of rows with a file."""
        return self.resolved / self.rows

    @property
    def columns(self) -> list[str]:
        """The columns that the template needs."""
        return path_template(self.template).columns

    def __str__(self) -> str:
        return f"finds {self.resolved} of {self.rows} images ({self.share:.1%})"


def find_template(table: pd.DataFrame, scan: Scan, part: str) -> Found | None:
    """Return the template that finds most rows' images, or None; `part` is `train` or `test`."""
    files, names = scan.files, _by_name([composed(path) for path in scan.images])
    rows = table if "".join(scan.images).isascii() else table.map(composed)
    votes: Counter[str] = Counter()
    for column in table.columns:
        for row in _matching_rows(rows, column, names):
            for path in spread(names[_tail(row[column])], MOST_PATHS):
                votes.update(_explain(path, row, column))
    tried = table.iloc[:: max(1, len(table) // MOST_TRIED)]
    candidates = [*(text for text, _ in votes.most_common(MOST_CANDIDATES)), *_any_extension(votes)]
    scored = sorted(((_score(text, tried, files, part), text) for text in candidates), reverse=True)
    if not scored or scored[0][0][0] == 0:
        return None
    best = scored[0][1]
    others = tuple(text for score, text in scored[1:] if score[0] >= 0.99)
    return Found(best, len(_present(best, table, files)), len(table), others[:2])


def _by_name(images: Sequence[str]) -> dict[str, list[str]]:
    """Return the paths that a cell may mean: the file's whole name, and its name without the extension."""
    names: dict[str, list[str]] = defaultdict(list)
    for path in images:
        name = path.rpartition("/")[2]
        names[name].append(path)
        names[name.rpartition(".")[0]].append(path)
    return names


def _tail(cell: str) -> str:
    return cell.rpartition("/")[2]


def _matching_rows(table: pd.DataFrame, column: str, names: Mapping[str, Any]) -> list[Row]:
    """Return rows, evenly spread, whose cell in the column names an image."""
    if re.search(r"[\[\]{}]", column):
        return []  # no template can write such a column
    cells = table[column]
    tails = cells.str.rsplit("/", n=1).str[-1] if cells.str.contains("/", regex=False).any() else cells
    hits = table[tails.isin(names)]
    chosen = hits.iloc[:: max(1, -(-len(hits) // MOST_PAIRS))]
    return [dict(zip(map(str, table.columns), cells, strict=True)) for cells in chosen.itertuples(index=False)]


def _explain(path: str, row: Row, column: str) -> Iterator[str]:
    """Yield the templates that turn a row into a path, its name being the cell of `column`."""
    cell = row[column]
    stem = path if path.endswith(cell) else path.rpartition(".")[0]
    if not stem.endswith(cell):
        if "/" in cell:  # an archive's only top folder, which may be left out of paths, may be written in the cell
            yield f"{{{column}}}{path.rpartition('/')[2].removeprefix(_tail(cell))}"
        return
    folder, extension = stem[: len(stem) - len(cell)], path[len(stem) :]
    if folder and not folder.endswith("/"):
        return
    parents = folder.split("/")[:-1]
    columns = [name for name in row if name != column and not re.search(r"[\[\]{}]", name)]
    options = [[*_explain_part(part, row, column, columns)] for part in parents]
    for chosen in product(*options):
        yield "/".join([*chosen, f"{{{column}}}"]) + extension


def _explain_part(part: str, row: Row, column: str, columns: Sequence[str]) -> Iterator[str]:
    """Yield what a folder's name may be: itself, a column's cell, or a piece of the cell that names the file."""
    yield part.replace("{", "{{").replace("}", "}}")
    yield from (f"{{{name}}}" for name in columns if row[name] == part)
    cell, length = row[column], len(part)
    if length > LONGEST_SLICE or length >= len(cell):
        return
    for start in range(min(len(cell) - length + 1, MOST_SLICE_STARTS)):
        if cell[start : start + length] == part:
            yield f"{{{column}[{start}]}}" if length == 1 else f"{{{column}[{start}:{start + length}]}}"


def _any_extension(votes: Mapping[str, int]) -> list[str]:
    """Return templates with the extension `.*` where several extensions were seen."""
    found: dict[str, set[str]] = defaultdict(set)
    for text in votes:
        if not text.endswith("}"):
            found[text.rpartition(".")[0]].add(text)
    return [f"{stem}.*" for stem, texts in found.items() if len(texts) > 1]


def _score(text: str, table: pd.DataFrame, files: Files, part: str) -> tuple[float, int, int, int, int, str]:
    """Rank a template: rows with a file, then what its folders are called, then how little it needs."""
    words = {name: any(word in text.lower() for word in words) for name, words in WORDS.items()}
    right = words[part] - any(found for name, found in words.items() if name != part)
    # Each file counts once, or a column of small numbers would do where images are called 1.jpg, 2.jpg ...
    share = round(len(set(_present(text, table, files))) / len(table), 3)
    return share, right, -text.count("{"), -text.count("/"), -len(text), text


def _present(text: str, table: pd.DataFrame, files: Files) -> list[str]:
    """Return the paths that are there."""
    try:
        paths = as_on_disk(pd.Series(path_template(text).apply(table, files), dtype=object), files)[0].tolist()
    except DataError:  # `.*` means several files of one row
        return []
    return [path for path, there in zip(paths, files.present(paths), strict=True) if there]


def some_images(found: Found, table: pd.DataFrame, scan: Scan) -> tuple[str, ...]:
    """Return some of the paths that a template finds."""
    return tuple(_present(found.template, table.iloc[:: max(1, len(table) // MOST_IMAGES)], scan.files))


def image_choices(image: Found, test_image: Found | None) -> Iterator[Choice]:
    """Yield the options that say where images are."""
    also = f"; so does '{image.others[0]}'" if image.others else ""
    yield Choice("image", image.template, f"{image}{also}")
    if test_image is not None and test_image.template != image.template:
        yield Choice("test_image", test_image.template, str(test_image))


def missing_tests(found: Found | None, rows: pd.DataFrame, scan: Scan) -> Iterator[str]:
    """Yield what is wrong with the test images."""
    if found is None:
        ids, images = ", ".join(rows.iloc[:3, 0]), ", ".join(scan.images[-3:])
        yield f"no image is named after a test row ({ids} ...); set where they are. Images are, for example, {images}."
    elif found.resolved < found.rows:
        yield f"'{found.template}' finds only {found.resolved} of {found.rows} test images; the others are missing."
