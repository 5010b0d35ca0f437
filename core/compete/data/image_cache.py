"""The decode-once cache: every image of a table, decoded and resized, in one memory map."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compete.data.decoder import as_fractions
from compete.store import cannot_write, file_lock, make_folder, read_json, write_json

if TYPE_CHECKING:
    from compete.data.decoder import Decoder
    from compete.types import Array, Image

CHUNK = 256
Progress = Callable[[int, int], None]


def open_cache(
    folder: Path, key: str, paths: Sequence[str], decoder: Decoder, progress: Progress
) -> tuple[Array, dict[int, str]]:
    """Return the memory map of these images (n, H, W, C), built as far as it is missing, and the unreadable ones."""
    data, marks = folder / f"{key}.npy", folder / f"{key}.json"
    make_folder(folder)
    with file_lock(folder / f"{key}.lock"):  # one process builds a cache, the others wait for it
        state = read_json(marks)
        if not data.exists() or data.stat().st_size != state.get("bytes"):  # not begun, or damaged
            marks.unlink(missing_ok=True)
            state = _begin(data, paths, decoder)
        if state["unreadable"] or state["done"] < len(paths):
            _fill(data, marks, state, paths, decoder, progress)
    unreadable = {int(number): reason for number, reason in state["unreadable"].items()}
    return np.load(data, mmap_mode="r"), unreadable


def _begin(data: Path, paths: Sequence[str], decoder: Decoder) -> dict[str, Any]:
    """Allocate the whole file: a full disk raises here, while writing to a memory map it would kill the process."""
    dtype = _pixel_type(paths, decoder)
    shape = (len(paths), *decoder.settings.size, decoder.settings.channels)
    try:
        np.lib.format.open_memmap(data, mode="w+", dtype=np.dtype(dtype), shape=shape)
        size = data.stat().st_size
        with data.open("r+b") as file:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        data.unlink(missing_ok=True)
        needed = np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64) / 1e9
        advice = f" The cache needs {needed:.3g} GB: set [images] cache_dir to another disk, or cache = false."
        raise cannot_write(data, error, advice) from error
    return {"bytes": size, "done": 0, "unreadable": {}}


def _fill(
    data: Path, marks: Path, state: dict[str, Any], paths: Sequence[str], decoder: Decoder, progress: Progress
) -> None:
    """Decode chunk by chunk; a build that was killed resumes after its last whole chunk.

    Unreadable images are tried again at each start: a passing fault of a disk or a network must not stay.
    """
    pixels = np.load(data, mmap_mode="r+")
    retried = [int(number) for number in state["unreadable"]]
    chunks = [retried] if retried else []
    chunks += [list(range(start, min(start + CHUNK, len(paths)))) for start in range(state["done"], len(paths), CHUNK)]
    for chunk in chunks:
        write = _writer(pixels, chunk, paths)
        failed = dict(decode_all([paths[number] for number in chunk], decoder, write, lambda *_: None))
        for position, number in enumerate(chunk):
            state["unreadable"].pop(str(number), None)
            if position in failed:
                state["unreadable"][str(number)] = failed[position]
        state["done"] = max(state["done"], chunk[-1] + 1)
        pixels.flush()
        write_json(marks, state)
        progress(state["done"], len(paths))


def _writer(pixels: Array, numbers: Sequence[int], paths: Sequence[str]) -> Callable[[int, Image], None]:
    def write(position: int, image: Image) -> None:
        number = numbers[position]
        try:
            pixels[number] = _cached(image, pixels.dtype)  # (H, W, C) -> row of (n, H, W, C)
        except ValueError as error:
            raise ValueError(f"{paths[number]}: {error}") from error

    return write


def _cached(image: Image, dtype: np.dtype[Any]) -> Array:
    """Convert an image to the cache's type. Raise `ValueError` if that would lose what it shows."""
    if image.dtype == dtype:
        return image
    if dtype == np.uint8:
        raise ValueError(f"its pixels are {image.dtype}, those of the first image uint8")
    if image.dtype == np.uint8:
        return as_fractions(image)
    if np.abs(image).max(initial=0) > np.finfo(dtype).max:
        raise ValueError(
            f"its pixels go up to {np.abs(image).max():.3g}, beyond the cache's half precision. Scale them first "
            '([[transforms]] name = "scale"), or set [images] cache = false'
        )
    return image


def _pixel_type(paths: Sequence[str], decoder: Decoder) -> str:
    """Return the cache's type, by the first readable image: half precision for measured data, else uint8."""
    for path in paths:
        try:
            return "uint8" if decoder(path).dtype == np.uint8 else "float16"
        except ValueError:
            continue
    return "uint8"


def decode_all(
    paths: Sequence[str], decoder: Decoder, store: Callable[[int, Image], None], progress: Progress
) -> Iterator[tuple[int, str]]:
    """Decode on all cores (decoders release the interpreter lock); yield number and reason of each that failed."""

    def decode(number: int) -> str | None:
        try:
            store(number, decoder(paths[number]))
        except ValueError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, reason in enumerate(pool.map(decode, range(len(paths)))):
            if reason is not None:
                yield number, reason
            if (number + 1) % CHUNK == 0:
                progress(number + 1, len(paths))
