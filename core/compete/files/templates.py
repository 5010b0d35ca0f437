"""Image paths, and templates over columns: `train/{id}.jpg`, `{patient}/{image[0:2]}.npy`, `train/{path[/-1]}`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from compete.errors import DataError
from compete.text import format_list, unknown_name

if TYPE_CHECKING:
    import pandas as pd

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp", "gif", "avif", "npy")
_ANY_EXTENSION = ".*"
CACHE_PREFIX = "cache:"
MOST_NAME_BYTES = 255  # of any file system
_SLICE = re.compile(r"(.+)#(\d{1,18})\+(\d{1,18})")
_SHARDS = re.compile(r"\d+\.\.\d+")
_FIELD = re.compile(r"([^\[\]{}]+)(?:\[(/?)(?:(-?\d{1,9})|(-?\d{0,9}):(-?\d{0,9}))\])?")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|.")


class Lists(Protocol):
    """Something that lists folders, as `Files` does."""

    def list(self, folder: str) -> list[str]:
        """Return the names in a folder."""


@dataclass(frozen=True)
class Field:
    """A column in a template, and the slice of its cells that is used: of characters, or of a path's parts."""

    column: str
    part: slice
    of_path: bool = False


@dataclass(frozen=True)
class PathTemplate:
    """A parsed template, made by `path_template`."""

    text: str
    parts: tuple[str | Field, ...]

    @property
    def columns(self) -> list[str]:
        """The columns that it uses, each once."""
        return list(dict.fromkeys(part.column for part in self.parts if isinstance(part, Field)))

    def check(self, columns: Iterable[str]) -> None:
        """Raise `DataError` for every unknown column, with the nearest name."""
        known = list(columns)
        wrong = [column for column in self.columns if column not in known]
        if wrong:
            raise DataError(f"'{self.text}': {unknown_name('column', column, known)}" for column in wrong)

    def fill(self, table: pd.DataFrame) -> pd.Series[str]:
        """Return the text for each row of a table (N,), with the table's index; a final `.*` stays as it is."""
        import pandas as pd

        self.check(table.columns)
        filled = pd.Series("", index=table.index, dtype=str)
        for part in self.parts:
            filled = filled + (part if isinstance(part, str) else _cells(table, part))
        return filled

    def apply(self, table: pd.DataFrame, files: Lists) -> list[str]:
        """Return the path for each row (N); a final `.*` is replaced by the extension of the file in the folder.

        A path without a file keeps its `.*`. Backslashes, which no path may have, are read as slashes. Raise
        `DataError` if there are several.
        """
        paths = self.fill(table).str.replace("\\", "/", regex=False)
        if not self.text.endswith(_ANY_EXTENSION):
            return paths.tolist()
        stems = [path.removesuffix(_ANY_EXTENSION) for path in paths]
        stems_by_folder: dict[str, set[str]] = {}
        for stem in stems:
            stems_by_folder.setdefault(stem.rpartition("/")[0], set()).add(stem)
        found: dict[str, str] = {}
        for folder, in_folder in stems_by_folder.items():
            found |= _files_by_stem(folder, files.list(folder), in_folder)
        return [found.get(stem, stem + _ANY_EXTENSION) for stem in stems]


def path_template(text: str, columns: Iterable[str] | None = None) -> PathTemplate:
    """Parse a template, and check that it uses only `columns` if they are given. Raise `DataError`.

    `{name}` is a column's cell, `{name[0]}` and `{name[0:2]}` are slices of it, `{name[/-1]}` and `{name[/-2:]}` the
    last parts of a path, `{{` and `}}` are braces. `{000..099}`, the numbers of tar shards, stays as it is.
    """
    template = PathTemplate(text, tuple(_parse(text)))
    if columns is not None:
        template.check(columns)
    return template


def clean_path(path: str) -> str:
    """Return a path without `.` and empty parts. Raise `DataError` if it leads outside the root."""
    prefix = CACHE_PREFIX if path.startswith(CACHE_PREFIX) else ""
    rest = path.removeprefix(prefix)
    if "\\" in rest or "\0" in rest:
        raise DataError(f"'{path}': paths need forward slashes.")
    parts = [part for part in rest.split("/") if part not in ("", ".")]
    if rest.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", rest):
        raise DataError(f"'{path}' leads outside the root. Paths are relative to the root, without '..'.")
    if any(len(part.encode(errors="surrogatepass")) > MOST_NAME_BYTES for part in parts):
        raise DataError(f"'{path}': no file has a name of more than {MOST_NAME_BYTES} bytes. Check [dataset].")
    return prefix + "/".join(parts)


def split_slice(path: str) -> tuple[str, int, int | None]:
    """Return a path's file, and the offset and length of the slice that it names, if any."""
    match = _SLICE.fullmatch(path)
    return (match[1], int(match[2]), int(match[3])) if match else (path, 0, None)


def _parse(text: str) -> Iterable[str | Field]:
    for piece in _PIECE.finditer(text):
        if piece[1] is not None and _SHARDS.fullmatch(piece[1]):
            yield piece[0]
        elif piece[1] is not None:
            yield _parse_field(text, piece[1])
        elif piece[0] in ("{", "}"):
            raise DataError(f"'{text}': '{piece[0]}' has no partner. Write {{{{ or }}}} for a brace itself.")
        else:
            yield {"{{": "{", "}}": "}"}.get(piece[0], piece[0])


def _parse_field(text: str, inside: str) -> Field:
    match = _FIELD.fullmatch(inside)
    if match is None:
        raise DataError(
            f"'{text}': '{{{inside}}}' is not a column or a slice of one, such as {{id}}, {{id[0]}}, {{id[0:2]}} or, "
            "of a path, {path[/-1]}."
        )
    column, of_path, at, start, stop = match.groups()
    if at is not None:
        return Field(column, slice(int(at), int(at) + 1 or None), bool(of_path))  # [-1] ends with the cell
    return Field(column, slice(int(start) if start else None, int(stop) if stop else None), bool(of_path))


def _cells(table: pd.DataFrame, field: Field) -> pd.Series[str]:
    cells = table[field.column].astype(str)
    if field.of_path:
        parts = cells.str.replace("\\", "/", regex=False).str.split("/")
        return parts.map(lambda names: "/".join(names[field.part])).astype(str)
    if field.part == slice(None, None):
        return cells
    return cells.str.slice(field.part.start, field.part.stop)


def _files_by_stem(folder: str, names: Iterable[str], stems: set[str]) -> dict[str, str]:
    """Return `{stem: path}` for the stems that have a file; images come before other files."""
    prefix = f"{folder}/" if folder else ""
    candidates: dict[str, list[str]] = {}
    for name in names:
        stem = f"{prefix}{name.rpartition('.')[0] or name}"
        if stem in stems:
            candidates.setdefault(stem, []).append(name)
    chosen = {}
    for stem, several in candidates.items():
        images = [name for name in several if name.rpartition(".")[2].lower() in IMAGE_EXTENSIONS] or several
        if len(images) > 1:
            raise DataError(
                f"'{stem}.*' matches several files: {format_list(images)}. Write the extension into the template."
            )
        chosen[stem] = prefix + images[0]
    return chosen
