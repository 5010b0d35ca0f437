"""Path templates over a table's columns: `train/{id}.jpg`, `{patient}/{image[0:2]}/{image}.npy`, `train/{id}.*`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from compete.errors import DataError
from compete.text import unknown_name

if TYPE_CHECKING:
    import pandas as pd

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp", "gif", "npy")
_ANY_ENDING = ".*"
_FIELD = re.compile(r"([^\[\]{}]+)(?:\[(-?\d+)\]|\[(-?\d*):(-?\d*)\])?")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|.")


class Lists(Protocol):
    """Whatever lists a folder, as `Files` does."""

    def list(self, folder: str) -> list[str]:
        """Return the names in a folder."""


@dataclass(frozen=True)
class Field:
    """A column in a template, and the part of its text that is taken."""

    column: str
    part: slice


@dataclass(frozen=True)
class PathTemplate:
    """A parsed template; make one with `path_template`."""

    text: str
    parts: tuple[str | Field, ...]

    @property
    def columns(self) -> list[str]:
        """The columns it needs, each once."""
        return list(dict.fromkeys(part.column for part in self.parts if isinstance(part, Field)))

    def check(self, columns: Iterable[str]) -> None:
        """Raise `DataError` for every column that is not there, with the nearest name."""
        known = list(columns)
        wrong = [column for column in self.columns if column not in known]
        if wrong:
            raise DataError(f"'{self.text}': {unknown_name('column', column, known)}" for column in wrong)

    def fill(self, table: pd.DataFrame) -> pd.Series[str]:
        """Return the text for every row of a table, by its index; a final `.*` stays as it is."""
        import pandas as pd

        self.check(table.columns)
        filled = pd.Series("", index=table.index, dtype=str)
        for part in self.parts:
            filled = filled + (part if isinstance(part, str) else _cells(table, part))
        return filled

    def apply(self, table: pd.DataFrame, files: Lists) -> list[str]:
        """Return the path for every row. With the ending `.*` the folders' listings say which file is meant.

        A path that no file labels keeps its `.*`. Raise `DataError` where several files do.
        """
        paths = self.fill(table)
        if not self.text.endswith(_ANY_ENDING):
            return paths.tolist()
        stems = [path.removesuffix(_ANY_ENDING) for path in paths]
        wanted: dict[str, set[str]] = {}
        for stem in stems:
            wanted.setdefault(stem.rpartition("/")[0], set()).add(stem)
        found: dict[str, str] = {}
        for folder, some in wanted.items():
            found |= _files_by_stem(folder, files.list(folder), some)
        return [found.get(stem, stem + _ANY_ENDING) for stem in stems]


def path_template(text: str, columns: Iterable[str] | None = None) -> PathTemplate:
    """Parse a template; with `columns`, also check that it asks for no other.

    `{name}` is a column's text, `{name[0]}` and `{name[0:2]}` parts of it, `{{` and `}}` are braces. Raise `DataError`.
    """
    template = PathTemplate(text, tuple(_parse(text)))
    if columns is not None:
        template.check(columns)
    return template


def _parse(text: str) -> Iterable[str | Field]:
    for piece in _PIECE.finditer(text):
        if piece[1] is not None:
            yield _parse_field(text, piece[1])
        elif piece[0] in ("{", "}"):
            raise DataError(f"'{text}': '{piece[0]}' has no partner. Write {{{{ or }}}} for a brace itself.")
        else:
            yield {"{{": "{", "}}": "}"}.get(piece[0], piece[0])


def _parse_field(text: str, inside: str) -> Field:
    match = _FIELD.fullmatch(inside)
    if match is None:
        raise DataError(
            f"'{text}': '{{{inside}}}' is not understood. Write a column, and a part of it if wanted: "
            "{id}, {id[0]}, {id[0:2]}."
        )
    column, at, start, stop = match.groups()
    if at is not None:
        return Field(column, slice(int(at), int(at) + 1 or None))  # [-1] ends with the text, not before it
    return Field(column, slice(int(start) if start else None, int(stop) if stop else None))


def _cells(table: pd.DataFrame, field: Field) -> pd.Series[str]:
    cells = table[field.column].astype(str)
    if field.part == slice(None, None):
        return cells
    return cells.str.slice(field.part.start, field.part.stop)


def _files_by_stem(folder: str, names: Iterable[str], wanted: set[str]) -> dict[str, str]:
    """Return `{path without ending: path}` for the wanted ones; images come before other files."""
    prefix = f"{folder}/" if folder else ""
    candidates: dict[str, list[str]] = {}
    for name in names:
        stem = f"{prefix}{name.rpartition('.')[0] or name}"
        if stem in wanted:
            candidates.setdefault(stem, []).append(name)
    chosen = {}
    for stem, several in candidates.items():
        images = [name for name in several if name.rpartition(".")[2].lower() in IMAGE_EXTENSIONS] or several
        if len(images) > 1:
            raise DataError(
                f"'{stem}.*' means several files: {', '.join(sorted(images))}. Write the ending into the template."
            )
        chosen[stem] = prefix + images[0]
    return chosen
