"""How rows become file names: templates are derived from the images that are there, and tried on every row."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from compete import Choice, DataError, Files, Scan, format_list, path_template, spread

from .._common import Mask
from .._spelling import as_on_disk, composed

Row = Mapping[str, str]
Score = tuple[float, int, float, int, int, int, str]

MOST_LOOKED_AT = 500  # columns of a table
MOST_PAIRS, MOST_PATHS, MOST_CANDIDATES, MOST_TRIED = 300, 8, 24, 1000
MOST_TEMPLATES, MOST_KNOWN, NEARLY_ALL, ALL = 6, 0.1, 0.9, 0.99
MOST_IMAGES = 60  # that are proposed to look at
LONGEST_SLICE, MOST_SLICE_STARTS = 4, 8
# Folders that say for which rows their images are.
WORDS = {"train": ("train",), "test": ("test", "eval", "valid")}


@dataclass(frozen=True)
class Found:
    """Templates, the row of each file that they find, where no file is, and the next best templates.

    A row has the file of the first template that finds one; `counts` are the rows that each gives, and `several` those
    for which a later template finds a file as well.
    """

    templates: tuple[str, ...]
    counts: tuple[int, ...]
    lost: Mask
    several: int = 0
    others: tuple[tuple[str, float], ...] = ()

    @property
    def resolved(self) -> int:
        """The number of rows with a file."""
        return sum(self.counts)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.lost)

    @property
    def share(self) -> float:
        """The share of rows with a file."""
        return self.resolved / self.rows

    @property
    def columns(self) -> list[str]:
        """The columns that the templates need."""
        return list(dict.fromkeys(name for text in self.templates for name in path_template(text).columns))

    @property
    def value(self) -> str | list[str]:
        """The option's value: a template, or several."""
        return self.templates[0] if len(self.templates) == 1 else list(self.templates)

    def __str__(self) -> str:
        each = f", in turn {' + '.join(map(str, self.counts))}" if len(self.counts) > 1 else ""
        twice = f"; {self.several} of them more than once, and the first is taken" if self.several else ""
        parts = [cut[1] for text in self.templates for cut in re.finditer(r"\[/-(\d+):\]", text)]
        cut = f"; paths of another place, cut to their last {format_list(dict.fromkeys(parts))} parts" if parts else ""
        return f"finds {self.resolved} of {self.rows} images ({self.share:.1%}{each}){cut}{twice}"


def find_template(table: pd.DataFrame, scan: Scan, part: str) -> Found | None:
    """Return the template that finds most rows' images, and others for the rest; `part` is `train` or `test`.

    Return None where no row has an image.
    """
    rows, names = _slashes(table), _by_name([composed(path) for path in scan.images])
    if not "".join(scan.images).isascii():
        rows = rows.map(composed)
    scored = _scored(rows, scan.files, names, part)
    others = tuple((text, score[2]) for score, text in scored[1:])[:2]
    templates, counts = list[str](), list[int]()
    lost, several = np.ones(len(rows), dtype=bool), 0
    while scored and len(templates) < MOST_TEMPLATES:
        best = scored[0][1]
        there = _there(best, rows, scan.files)
        new, known = int((there & lost).sum()), int((there & ~lost).sum())
        same_folder = best.rpartition(".")[0] in [text.rpartition(".")[0] for text in templates]
        if not new or (known > MOST_KNOWN * new and not same_folder):  # files of the same things, such as masks
            break
        templates, counts = [*templates, best], [*counts, new]
        several += known
        lost &= ~there
        found = _scored(rows[lost], scan.files, names, part) if lost.any() else []
        scored = [(score, text) for score, text in found if not _of_other_part(text, part)]
    return Found(tuple(templates), tuple(counts), lost, several, others) if templates else None


def _scored(table: pd.DataFrame, files: Files, names: Mapping[str, list[str]], part: str) -> list[tuple[Score, str]]:
    """Return the templates that find files of some rows, the best first."""
    votes: Counter[str] = Counter()
    folders = {folder for paths in names.values() for path in paths for folder in path.split("/")[:-1]}
    useful = [str(name) for name, cells in table.items() if not folders.isdisjoint(cells.tolist())]
    for column in map(str, table.columns):
        for row in _matching_rows(table, column, names, useful):
            for path in spread(names[_tail(row[column])], MOST_PATHS):
                votes.update(_explain(path, row, column))
    tried = table.iloc[:: max(1, len(table) // MOST_TRIED)]
    candidates = [*(text for text, _ in votes.most_common(MOST_CANDIDATES)), *_any_extension(votes)]
    scored = sorted(((_score(text, tried, files, part), text) for text in candidates), reverse=True)
    return [(score, text) for score, text in scored if score[0] > 0]


def _of_other_part(text: str, part: str) -> bool:
    """Return whether a template's folders are called like the other part: test images are not training rows."""
    other = "test" if part == "train" else "train"
    return other in text.lower() and part not in text.lower()


def _slashes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with paths as templates write them, whatever Windows did to them."""
    windows = [str(name) for name, cells in table.items() if any("\\" in cell for cell in cells.tolist())]
    return table.assign(**{name: table[name].str.replace("\\", "/", regex=False) for name in windows})


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


def _matching_rows(table: pd.DataFrame, column: str, names: Mapping[str, Any], useful: Sequence[str]) -> list[Row]:
    """Return rows, evenly spread, whose cell in the column names an image: this cell and the useful columns' cells."""
    if re.search(r"[\[\]{}]", column):
        return []  # no template can write such a column
    hits = [number for number, cell in enumerate(table[column].tolist()) if cell in names or _tail(cell) in names]
    if not hits:
        return []
    columns = [column, *(name for name in useful if name != column)]
    chosen = table[columns].iloc[spread(hits, MOST_PAIRS)]  # of a wide table, rows of all columns take long
    return [dict(zip(columns, cells, strict=True)) for cells in chosen.itertuples(index=False)]


def _explain(path: str, row: Row, column: str) -> Iterator[str]:
    """Yield the templates that turn a row into a path, its name being the cell of `column`."""
    cell = row[column]
    stem = path if path.endswith(cell) else path.rpartition(".")[0]
    if not stem.endswith(cell):
        if "/" in cell:  # an archive's only top folder, which may be left out of paths, may be written in the cell
            yield f"{{{column}}}{path.rpartition('/')[2].removeprefix(_tail(cell))}"
            yield from _cut(path, cell, column)
        return
    folder, extension = stem[: len(stem) - len(cell)], path[len(stem) :]
    if folder and not folder.endswith("/"):
        return
    parents = folder.split("/")[:-1]
    columns = [name for name in row if name != column and not re.search(r"[\[\]{}]", name)]
    options = [[*_explain_part(part, row, column, columns)] for part in parents]
    for chosen in product(*options):
        yield "/".join([*chosen, f"{{{column}}}"]) + extension


def _cut(path: str, cell: str, column: str) -> Iterator[str]:
    """Yield the template that takes as many of a foreign path's last parts as this path has, and adds the rest."""
    stem = path if _tail(path) == _tail(cell) else path.rpartition(".")[0]
    parts, wanted = stem.split("/"), cell.split("/")
    same = 0
    while same < min(len(parts), len(wanted) - 1) and parts[-same - 1] == wanted[-same - 1]:
        same += 1
    if same:
        folders = "".join(f"{part}/" for part in parts[:-same]).replace("{", "{{").replace("}", "}}")
        yield f"{folders}{{{column}[/-{same}:]}}{path[len(stem) :]}"


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


def _score(text: str, table: pd.DataFrame, files: Files, part: str) -> Score:
    """Rank a template: rows with a file, then what its folders are called, then how little it needs."""
    words = {name: any(word in text.lower() for word in words) for name, words in WORDS.items()}
    right = words[part] - any(found for name, found in words.items() if name != part)
    # Each file counts once, or a column of small numbers would do where images are called 1.jpg, 2.jpg ...
    share = round(len(set(_present(text, table, files))) / len(table), 3)
    # Nearly all is as good as all where a folder's name speaks for it: masks may be there for images that are not.
    return min(share, NEARLY_ALL), right, share, -text.count("{"), -text.count("/"), -len(text), text


def _paths(text: str, table: pd.DataFrame, files: Files) -> list[str]:
    """Return each row's path as its folders spell it, or none if one leads outside or `.*` means several files."""
    try:
        return as_on_disk(pd.Series(path_template(text).apply(table, files), dtype=object), files)[0].tolist()
    except DataError:
        return []


def _there(text: str, table: pd.DataFrame, files: Files) -> Mask:
    """Return which rows have a file (N,)."""
    paths = _paths(text, table, files)
    return files.present(paths) if paths else np.zeros(len(table), dtype=bool)


def _present(text: str, table: pd.DataFrame, files: Files) -> list[str]:
    """Return the paths that are there."""
    paths = _paths(text, table, files)
    return [path for path, there in zip(paths, files.present(paths), strict=True) if there]


def some_images(found: Found, table: pd.DataFrame, scan: Scan) -> tuple[str, ...]:
    """Return some of the paths that a template finds."""
    some = table.iloc[:: max(1, len(table) // MOST_IMAGES)]
    return tuple(path for text in found.templates for path in _present(text, _slashes(some), scan.files))[:MOST_IMAGES]


def image_choices(image: Found, test_image: Found | None) -> Iterator[Choice]:
    """Yield the options that say where images are."""
    also = "".join(
        f"; so does '{text}'" if share >= ALL else f"; '{text}' finds {share:.1%}"
        for text, share in image.others
        if text not in image.templates
    )
    yield Choice("image", image.value, f"{image}{also}")
    if test_image is not None and test_image.value != image.value:
        yield Choice("test_image", test_image.value, str(test_image))
