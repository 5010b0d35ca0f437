"""The decode-once cache: every image of a table, decoded and resized, in one memory map."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compete.data.decoder import as_fractions
from compete.store import cannot_write, file_lock, make_folder, read_json, remove_litter, write_json

if TYPE_CHECKING:
    from compete.data.decoder import Decoder
    from compete.types import Array, Image

CHUNK = 256
MOST_NAMED = 5
CACHE_ADVICE = "set [images] cache_dir to another disk, or cache = false."
Progress = Callable[[int, int], None]
Notes = dict[str, dict[str, Any]]  # what was noted: {"count": how often, "first": the first paths}


@dataclass(frozen=True)
class Cache:
    """Opened pixels (n, H, W, C), the unreadable images, and what is to be reported; `damaged`: it was built again."""

    pixels: Array
    unreadable: dict[int, str]
    notes: Notes
    damaged: bool


def open_cache(folder: Path, key: str, paths: Sequence[str], decoder: Decoder, progress: Progress) -> Cache:
    """Open the memory map of these images, built as far as it is missing or damaged."""
    data, marks = folder / f"{key}.npy", folder / f"{key}.json"
    shape = (len(paths), *decoder.settings.size, decoder.settings.channels)
    make_folder(folder)
    with file_lock(folder / f"{key}.lock"):  # one process builds a cache, the others wait for it
        remove_litter(folder, key)
        state = _sound_state(data, marks, shape)
        damaged = state is None and data.exists() and marks.exists()
        if state is None:  # not begun, or damaged
            marks.unlink(missing_ok=True)
            dtype = _pixel_type(paths, decoder)
            allocate(data, shape, dtype, CACHE_ADVICE)
            state = {"dtype": dtype, "done": 0, "unreadable": {}, "notes": {}}
        if state["unreadable"] or state["done"] < len(paths):
            _decode_missing(marks, state, paths, decoder, progress, np.load(data, mmap_mode="r+"))
    unreadable = {int(number): reason for number, reason in state["unreadable"].items()}
    return Cache(np.load(data, mmap_mode="r"), unreadable, state["notes"], damaged)


def check_images(
    folder: Path, key: str, paths: Sequence[str], decoder: Decoder, progress: Progress
) -> tuple[dict[int, str], Notes]:
    """Decode every image once without keeping its pixels; return the unreadable ones, and what is to be reported."""
    marks = folder / f"{key}.checked.json"
    make_folder(folder)
    with file_lock(folder / f"{key}.lock"):
        remove_litter(folder, key)
        state = read_json(marks)
        if not _is_sound(state, len(paths)):
            state = {"done": 0, "unreadable": {}, "notes": {}}
        if state["unreadable"] or state["done"] < len(paths):
            _decode_missing(marks, state, paths, decoder, progress, None)
    return {int(number): reason for number, reason in state["unreadable"].items()}, state["notes"]


def _sound_state(data: Path, marks: Path, shape: tuple[int, ...]) -> dict[str, Any] | None:
    """Return what is known of a cache, or None unless the file and its header are what was written."""
    state = read_json(marks)
    try:
        with warnings.catch_warnings(action="ignore"):
            pixels = np.load(data, mmap_mode="r")
        sound = (
            _is_sound(state, shape[0])
            and (pixels.shape, pixels.dtype, pixels.flags.c_contiguous) == (shape, np.dtype(state["dtype"]), True)
            and pixels.offset + pixels.nbytes == data.stat().st_size
        )
    except Exception:  # a damaged header raises nearly anything
        return None
    return state if sound else None


def _is_sound(state: dict[str, Any], count: int) -> bool:
    """Return whether the state of `count` images is one that could have been written."""
    try:
        done, unreadable, notes = state["done"], state["unreadable"], state["notes"]
        return (
            type(done) is int
            and 0 <= done <= count
            and all(0 <= int(number) < done and isinstance(reason, str) for number, reason in unreadable.items())
            and all(isinstance(note["count"], int) and isinstance(note["first"], list) for note in notes.values())
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def add_notes(notes: Notes, path: str, texts: Sequence[str]) -> None:
    """Count what was noted about an image, and list the first paths."""
    for text in texts:
        note = notes.setdefault(text, {"count": 0, "first": []})
        note["count"] += 1
        note["first"] = [*note["first"], path][:MOST_NAMED]


def allocate(data: Path, shape: tuple[int, ...], dtype: str, advice: str) -> None:
    """Allocate the whole file: a full disk raises here, while writing to a memory map it would kill the process.

    `advice` is what to do then.
    """
    try:
        np.lib.format.open_memmap(data, mode="w+", dtype=np.dtype(dtype), shape=shape)
        size = data.stat().st_size
        with data.open("r+b") as file:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        data.unlink(missing_ok=True)
        needed = np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64) / 1e9
        raise cannot_write(data, error, f" The cache needs {needed:.3g} GB: {advice}") from error


def _decode_missing(
    marks: Path,
    state: dict[str, Any],
    paths: Sequence[str],
    decoder: Decoder,
    progress: Progress,
    pixels: np.memmap[Any, Any] | None,
) -> None:
    """Decode chunk by chunk, into `pixels` if given; a build that was killed resumes after its last whole chunk.

    Unreadable images are tried again at each start: a passing fault of a disk or a network must not stay.
    """
    retried = [int(number) for number in state["unreadable"]]
    chunks = [retried] if retried else []
    chunks += [list(range(start, min(start + CHUNK, len(paths)))) for start in range(state["done"], len(paths), CHUNK)]
    for chunk in chunks:
        write = _writer(pixels, chunk, paths)
        failed = decode_all([paths[number] for number in chunk], decoder, write, lambda *_: None, state["notes"])
        for position, number in enumerate(chunk):
            state["unreadable"].pop(str(number), None)
            if position in failed:
                state["unreadable"][str(number)] = failed[position]
        state["done"] = max(state["done"], chunk[-1] + 1)
        if pixels is not None:
            pixels.flush()
        write_json(marks, state)
        progress(state["done"], len(paths))


def _writer(pixels: Array | None, numbers: Sequence[int], paths: Sequence[str]) -> Callable[[int, Image], None]:
    def write(position: int, image: Image) -> None:
        if pixels is None:
            return
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
    paths: Sequence[str], decoder: Decoder, store: Callable[[int, Image], None], progress: Progress, notes: Notes
) -> dict[int, str]:
    """Decode on all cores (decoders release the interpreter lock); return number and reason of each that failed.

    Of a store as many are asked for at once as it takes. What is noted about the others is counted in `notes`.
    """

    def decode(number: int) -> tuple[str | None, list[str]]:
        try:
            image, texts = decoder.decode(paths[number])
            store(number, image)
        except ValueError as error:
            return str(error), []
        return None, texts

    failed = {}
    with ThreadPoolExecutor(decoder.requests or os.cpu_count()) as pool:
        for number, (reason, texts) in enumerate(pool.map(decode, range(len(paths)))):
            add_notes(notes, paths[number], texts)
            if reason is not None:
                failed[number] = reason
            if (number + 1) % CHUNK == 0:
                progress(number + 1, len(paths))
    return failed
