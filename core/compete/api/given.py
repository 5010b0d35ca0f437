"""What `predict` is given, as rows: a folder, paths, images in memory, or a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from compete.api.caller import warn
from compete.errors import DataError
from compete.files.archives import packing
from compete.files.extensions import READABLE
from compete.files.root import Files
from compete.text import did_you_mean, format_first, format_list, plural
from compete.urls.stores import is_url, masked, place_of

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    from compete.types import Array

Inputs: TypeAlias = Any  # a folder, an archive, a path, an image in memory, a list of these, or a table
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")


class GivenFiles:
    """Reads the images of a table by name: those in memory, files anywhere, and what `Files` reads below the root."""

    def __init__(self, root: Path | str) -> None:
        self.root = root
        self.memory: dict[str, bytes] = {}
        self.files = Files(root)

    @property
    def requests(self) -> int:
        """How many files to ask for at once, where they come from a store."""
        return self.files.requests

    def read(self, path: str) -> bytes:
        """Return an image's bytes."""
        if path in self.memory:
            return self.memory[path]
        file = self.root / path if isinstance(self.root, Path) else None
        return file.read_bytes() if file is not None and file.is_file() else self.files.read(path)

    def keep(self, data: bytes) -> str:
        """Keep an image's bytes, and return the name to read them by."""
        name = f"image {len(self.memory)}"
        self.memory[name] = data
        return name


@dataclass(frozen=True)
class Given:
    """Rows with `id`, `image` and further columns, and what reads their images."""

    rows: pd.DataFrame
    files: GivenFiles


def given_rows(images: Inputs, root: Path, own: pd.DataFrame, extensions: Iterable[str], channels: int) -> Given:
    """Return the rows. Raise `DataError` with everything among them that is not an image.

    Ids of files have the form that those of the run's `own` rows have, such as the name without its extension; images
    in memory are numbered. `extensions` are those that a folder's images may have.
    """
    if isinstance(images, pd.DataFrame):
        return _of_table(images, GivenFiles(root), own, channels)
    if isinstance(images, str) and is_url(images) and isinstance(url := place_of(images), str):
        return _of_store(url, own, extensions)
    if isinstance(images, str | PathLike):
        place = root / Path(fspath(images)).expanduser()
        if place.is_dir() or (place.is_file() and packing(place)):
            return _of_folder(place, own, extensions)
    files = GivenFiles(root)
    cells, paths = _cells(_items(images), files, channels)
    return Given(pd.DataFrame({"id": _ids(paths, own), "image": cells}), files)


def _items(images: Inputs) -> list[Any]:
    """Return one item for each row."""
    if isinstance(images, Mapping):
        raise DataError("images: not a dict. Give a list, or a DataFrame with the columns id and image.")
    if isinstance(images, np.ndarray) and images.dtype != object:
        return list(images) if images.ndim == 4 else [images]
    single = isinstance(images, str | bytes | PathLike) or hasattr(images, "detach") or _is_pillow(images)
    return [images] if single or not isinstance(images, Iterable) else list(images)


def _of_folder(place: Path, own: pd.DataFrame, extensions: Iterable[str]) -> Given:
    """List the images of a folder or an archive."""
    inside = "" if place.is_dir() else place.name
    return _listed(GivenFiles(place if place.is_dir() else place.parent), inside, str(place), own, extensions)


def _of_store(url: str, own: pd.DataFrame, extensions: Iterable[str]) -> Given:
    """List the images of a store's folder, or of a tar or tar shards in it, or take the one that a URL names."""
    above, _, name = url.rpartition("/")
    extension = PurePosixPath(name).suffix[1:].lower()
    if extension == "csv":
        raise DataError(f"{masked(url)}: a table is read from this machine. Copy it; its images may lie in its folder.")
    if extension == "tar":
        return _listed(GivenFiles(above), name, masked(url), own, extensions)
    if extension in _known(own, extensions):
        return Given(pd.DataFrame({"id": _ids([name], own), "image": [name]}), GivenFiles(above))
    return _listed(GivenFiles(url), "", masked(url), own, extensions)


def _known(own: pd.DataFrame, extensions: Iterable[str]) -> set[str]:
    """Return the extensions that images may have."""
    return {*extensions, *READABLE, *(PurePosixPath(str(image)).suffix[1:].lower() for image in own["image"])}


def _listed(files: GivenFiles, inside: str, place: str, own: pd.DataFrame, extensions: Iterable[str]) -> Given:
    """List the images of a folder or archive `inside` the root of `files`; `place` is what messages call it."""
    known, found = _known(own, extensions), files.files.walk(inside)
    paths = [path for path in found if PurePosixPath(path).suffix[1:].lower() in known]
    if not paths:
        what = f"; it holds {format_first(found)}" if found else ""
        raise DataError(f"{place}: no image in this folder{what}.")
    if len(paths) < len(found):
        others = format_list({PurePosixPath(path).suffix or path for path in set(found) - set(paths)})
        left_out = plural(len(found) - len(paths), "file")
        warn(f"{place}: {left_out} left out, not images by their extension: {others}")
    names = [f"{inside}/{path}" if inside else path for path in paths]
    return Given(pd.DataFrame({"id": _ids(paths, own), "image": names}), files)


def _of_table(table: pd.DataFrame, files: GivenFiles, own: pd.DataFrame, channels: int) -> Given:
    """Return a table's rows: `image` and, where it has them, `id` and the columns beside the images."""
    table = table.reset_index() if table.index.name == "id" and "id" not in table else table.reset_index(drop=True)
    if "image" not in table:
        names = [str(name) for name in table.columns]
        hint = did_you_mean("image", names)
        raise DataError(f"the table has no column 'image', of paths or images.{hint} Columns: {format_list(names)}.")
    cells, paths = _cells(table["image"].tolist(), files, channels)
    ids = table["id"].astype(str) if "id" in table else _ids(paths, own)
    repeated = pd.Series(ids)[pd.Series(ids).duplicated()].unique().tolist()
    if repeated:
        warn(f"several rows have one id: {format_first(repeated)}")
    return Given(table.assign(id=ids, image=pd.Series(cells, index=table.index, dtype=object)), files)


def _cells(items: list[Any], files: GivenFiles, channels: int) -> tuple[list[str | list[str]], list[str | None]]:
    """Return the cells of a column `image`, and the path of each row's first image, None for one in memory."""
    if not items:
        raise DataError("images: nothing to predict, the list is empty.")
    cells: list[str | list[str]] = []
    paths: list[str | None] = []
    problems = []
    for number, item in enumerate(items):
        several = isinstance(item, list | tuple)
        try:
            names = [_name(each, files, channels) for each in (item if several else [item])]
        except (TypeError, ValueError, OSError) as error:
            problems.append(f"image {number}: {error}")
            continue
        cells.append(names if several else names[0])
        paths.append(_path_of(item[0] if several and item else item))
    if problems:
        more = [f"and {len(problems) - 20:,} more"] if len(problems) > 20 else []
        raise DataError([*problems[:20], *more])
    return cells, paths


def _name(item: Inputs, files: GivenFiles, channels: int) -> str:
    """Return the name that an image is read by."""
    if isinstance(item, str | PathLike):
        return str(Path(fspath(item)).expanduser()) if str(item).startswith("~") else str(fspath(item))
    if isinstance(item, bytes):
        return files.keep(item)
    if isinstance(item, np.ndarray):
        return files.keep(_array_bytes(item, channels))
    if _is_pillow(item):
        return files.keep(_pillow_bytes(item))
    raise TypeError(
        f"not an image but of type {type(item).__name__}. Give a path, a Pillow image or a NumPy array (H, W, C)."
    )


def _path_of(item: Inputs) -> str | None:
    """Return the path that an image has or was read from, or None."""
    path = item if isinstance(item, str | PathLike) else getattr(item, "filename", None)
    return (
        PurePosixPath(Path(fspath(path)).as_posix()).as_posix() if path and isinstance(path, str | PathLike) else None
    )


def _is_pillow(item: object) -> bool:
    from PIL import Image

    return isinstance(item, Image.Image)


def _array_bytes(array: Array, channels: int) -> bytes:
    """Store an array as the reader of its kind expects it: colour images as PNG, numbers as `.npy`."""
    if array.ndim not in (2, 3) or array.dtype.kind not in "biuf":
        raise ValueError(f"an array of shape {array.shape} and type {array.dtype} is not an image (H, W) or (H, W, C).")
    grey_or_alpha = array.ndim == 2 or array.shape[2] in (1, 4)
    if array.dtype == np.uint8 and channels == 3 and grey_or_alpha:
        from PIL import Image

        return _pillow_bytes(Image.fromarray(array[:, :, 0] if array.shape[2:] == (1,) else array))
    buffer = BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _pillow_bytes(image: PillowImage) -> bytes:
    """Store a Pillow image without loss, upright, as a reader of files sees it."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    buffer = BytesIO()
    if upright.mode == "F":
        upright.save(buffer, "TIFF")
    else:
        stored = upright if upright.mode in PNG_MODES else upright.convert("RGB")
        stored.save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def _ids(paths: list[str | None] | list[str], own: pd.DataFrame) -> list[str]:
    """Return an id for each row; where two files would share one, their paths."""
    form = _id_form(own)
    ids = [str(number) if path is None else form(path) for number, path in enumerate(paths)]
    files: dict[str, set[str]] = {}
    for name, path in zip(ids, paths, strict=True):
        files.setdefault(name, set()).add(path or "")
    return [path if path and len(files[name]) > 1 else name for name, path in zip(ids, paths, strict=True)]


def _id_form(own: pd.DataFrame) -> Callable[[str], str]:
    """Return how the run's own test rows form an id from a path: name without extension, name, or the whole path."""
    known = [(name, image) for name, image in zip(own["id"], own["image"], strict=True) if isinstance(image, str)]

    def stem(path: str) -> str:
        return PurePosixPath(path).stem

    def name(path: str) -> str:
        return PurePosixPath(path).name

    def stem_of_all(path: str) -> str:
        return str(PurePosixPath(path).with_suffix(""))

    for form in (stem, name, str, stem_of_all):
        if known and all(form(image) == given for given, image in known):
            return form
    return name


def read_rows(path: Path) -> pd.DataFrame:
    """Read a CSV with every cell as text. Raise `DataError` for one that cannot be read."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
