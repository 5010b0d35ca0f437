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
    """Return the memory map of these images, building what of it is not there yet, and which could not be read."""
    data, marks = folder / f"{key}.npy", folder / f"{key}.json"
    make_folder(folder)
    with file_lock(folder / f"{key}.lock"):  # one process builds a cache, the others wait for it
        state = read_json(marks)
        if not data.exists() or data.stat().st_size != state.get("bytes"):  # never begun, or damaged
            marks.unlink(missing_ok=True)
            state = _begin(data, paths, decoder)
        if state["unreadable"] or state["done"] < len(paths):
            _fill(data, marks, state, paths, decoder, progress)
    unreadable = {int(number): reason for number, reason in state["unreadable"].items()}
    return np.load(data, mmap_mode="r"), unreadable


def _begin(data: Path, paths: Sequence[str], decoder: Decoder) -> dict[str, Any]:
    """Make the file in its full size, so that a full disk shows now; in a memory map it would kill the process."""
    dtype = _pixel_type(paths, decoder)
    shape = (len(paths), *decoder.settings.size, decoder.settings.channels)
    try:
        np.lib.format.open_memmap(data, mode="w+", dtype=np.dtype(dtype), shape=shape)
        size = data.stat().st_size
        with data.open("r+b") as file:
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        data.unlink(missing_ok=True)
        needed = np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64) / 1e9
        advice = f" The cache needs {needed:.3g} GB: name another disk in [images] cache_dir, or write cache = false."
        raise cannot_write(data, error, advice) from error
    return {"bytes": size, "done": 0, "unreadable": {}}


def _fill(
    data: Path, marks: Path, state: dict[str, Any], paths: Sequence[str], decoder: Decoder, progress: Progress
) -> None:
    """Decode chunk by chunk; a build that was killed goes on after its last whole chunk.

    What could not be read is tried again at each start: a bad moment of a disk or a network must not be kept for good.
    """
    pixels = np.load(data, mmap_mode="r+")
    again = [int(number) for number in state["unreadable"]]
    chunks = [again] if again else []
    chunks += [list(range(start, min(start + CHUNK, len(paths)))) for start in range(state["done"], len(paths), CHUNK)]
    for chunk in chunks:
        faults = dict(decode_all([paths[n] for n in chunk], decoder, _writer(pixels, chunk, paths), lambda *_: None))
        for place, number in enumerate(chunk):
            state["unreadable"].pop(str(number), None)
            if place in faults:
                state["unreadable"][str(number)] = faults[place]
        state["done"] = max(state["done"], chunk[-1] + 1)
        pixels.flush()
        write_json(marks, state)
        progress(state["done"], len(paths))


def _writer(pixels: Array, numbers: Sequence[int], paths: Sequence[str]) -> Callable[[int, Image], None]:
    def write(place: int, image: Image) -> None:
        try:
            pixels[numbers[place]] = _cached(image, pixels.dtype)
        except ValueError as error:
            raise ValueError(f"{paths[numbers[place]]}: {error}") from error

    return write


def _cached(image: Image, dtype: np.dtype[Any]) -> Array:
    """Return a image as the cache keeps all of them. Raise `ValueError` where that would change what it shows."""
    if image.dtype == dtype:
        return image
    if dtype == np.uint8:
        raise ValueError(f"its numbers are {image.dtype}, those of the first image are bytes: mixed kinds of data")
    if image.dtype == np.uint8:
        return as_fractions(image)
    if np.abs(image).max(initial=0) > np.finfo(dtype).max:
        raise ValueError(
            f"its numbers go up to {np.abs(image).max():.3g}, beyond the cache's half precision. Scale them first "
            '([[transforms]] name = "scale"), or write [images] cache = false'
        )
    return image


def _pixel_type(paths: Sequence[str], decoder: Decoder) -> str:
    """Measured data (float32 in 0..1) is kept in half precision, images in uint8."""
    for path in paths:
        try:
            return "uint8" if decoder(path).dtype == np.uint8 else "float16"
        except ValueError:
            continue
    return "uint8"


def decode_all(
    paths: Sequence[str], decoder: Decoder, keep: Callable[[int, Image], None], progress: Progress
) -> Iterator[tuple[int, str]]:
    """Decode on all cores (the decoders release the interpreter lock); yield the images that failed."""

    def decode(number: int) -> str | None:
        try:
            keep(number, decoder(paths[number]))
        except ValueError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, reason in enumerate(pool.map(decode, range(len(paths)))):
            if reason is not None:
                yield number, reason
            if (number + 1) % CHUNK == 0:
                progress(number + 1, len(paths))
