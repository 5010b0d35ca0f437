"""Transforms of a library by name: what albumentations and torchvision have in common."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from compete import DataError, did_you_mean, format_list, unknown_name

Image = np.ndarray[Any, Any]  # (H, W, C)
Entry = Mapping[str, Any]  # {"name": "Rotate", "limit": 10}

TRIED_SIZES_PX = (512, 448)  # squares, which quarter turns keep
TRIED_SEEDS = 6


class Library(ABC):
    """A library of transforms. It has no state, so that a pipeline can be sent to other processes."""

    title: ClassVar[str]
    example: ClassVar[str]
    compositions: ClassVar[Collection[str]]  # they take their parts as a list `transforms`
    drawing: ClassVar[Collection[str]]  # those of them that choose at random
    refused: ClassVar[Mapping[str, str]]  # name: what the sentence after it says

    @abstractmethod
    def names(self) -> frozenset[str]:
        """Return the names of all transforms that suit a single image."""

    @abstractmethod
    def options(self, name: str) -> Collection[str]:
        """Return the options of a transform."""

    @abstractmethod
    def wrong_values(self, entry: Entry) -> Iterator[str]:
        """Yield what is wrong with the values of a transform's options."""

    @abstractmethod
    def build(self, entry: Entry) -> Any:  # noqa: ANN401 - an object of the library
        """Build a transform, or a composition with its parts."""

    @abstractmethod
    def always(self, entry: Entry) -> Entry:
        """Return the entry so that it applies to every image."""

    @abstractmethod
    def run(self, steps: Sequence[tuple[str, Any]], image: Image, seed: int) -> Image:
        """Apply transforms, with their names, one after another. Raise `DataError` that names the one that fails."""


class Pipeline:
    """Transforms one after another, seeded for each image: the same seed gives the same image.

    Transforms may hold their random state, so each thread builds its own. A pipeline can be sent to worker processes.
    """

    def __init__(self, library: Library, entries: tuple[Entry, ...]) -> None:
        self.library = library
        self.entries = entries
        self._built = threading.local()

    def __reduce__(self) -> tuple[type[Pipeline], tuple[Library, tuple[Entry, ...]]]:
        return Pipeline, (self.library, self.entries)

    def __call__(self, image: Image, seed: int) -> Image:
        """Transform one (H, W, C) image; the result has the same dtype and number of channels."""
        return self.library.run(self.steps(), image, seed)

    def steps(self) -> list[tuple[str, Any]]:
        """Return this thread's transforms with their names."""
        if not hasattr(self._built, "steps"):
            self._built.steps = [(entry["name"], self.library.build(entry)) for entry in self.entries]
        steps: list[tuple[str, Any]] = self._built.steps
        return steps


def describe(image: Image) -> str:
    """Return an image's shape and type, for messages."""
    return f"an image of shape {image.shape} and type {image.dtype}"


def same_kind(name: str, image: Image, result: Image) -> Image:
    """Return the result. Raise `DataError` if a transform changed the type or the number of channels."""
    if result.dtype != image.dtype or result.shape[2] != image.shape[2]:
        raise DataError(f"transform {name} turned {describe(image)} into shape {result.shape} and type {result.dtype}")
    return result


def one_line(error: BaseException) -> str:
    """Return an error's message in one line."""
    return " ".join(str(error).split()).rstrip(".")


def option_problem(details: Mapping[str, Any]) -> str:
    """Return a pydantic error in words, without links to pydantic's documentation."""
    option = ".".join(map(str, details["loc"]))
    if details["type"] == "missing":
        return f"option '{option}' is required"
    return f"{option} = {details['input']!r}: {details['msg']}" if option else str(details["msg"])


def check(library: Library, fixed: tuple[Entry, ...], random: tuple[Entry, ...]) -> Iterator[str]:
    """Yield what is wrong with the transforms that a TOML names."""
    for number, entry in enumerate(fixed):
        yield from _check_fixed(library, entry, f"fixed[{number}]")
    problems = [p for number, entry in enumerate(random) for p in _check_entry(library, entry, f"random[{number}]")]
    yield from problems
    if random and not problems:
        yield from _check_size(library, random)


def _check_size(library: Library, random: tuple[Entry, ...]) -> Iterator[str]:
    """Refuse random transforms after which the size varies: neither that of the image, nor one of their own."""
    found: dict[int, set[tuple[int, ...]]] = {}
    pipeline = Pipeline(library, random)
    for size in TRIED_SIZES_PX:
        image = np.zeros((size, size, 3), np.uint8)
        try:
            found[size] = {pipeline(image, seed).shape[:2] for seed in range(TRIED_SEEDS)}
        except DataError:  # such as a crop larger than the image: the runner tries the competition's own
            return
    sizes = set.union(*found.values())
    if len(sizes) > 1 and any(after != {(size, size)} for size, after in found.items()):
        size, after = next((b, a) for b, a in found.items() if a != {(b, b)})
        shown = format_list(f"{h} x {w}" for h, w in after)
        yield (
            f"random: changes the size of images, {size} x {size} became {shown}. End with a crop to the size of "
            "[images], such as RandomResizedCrop, or move what changes the size to 'fixed'."
        )


def _check_fixed(library: Library, entry: Entry, where: str) -> Iterator[str]:
    name = entry.get("name")
    if name in library.drawing:
        yield f"{where}: {name} chooses at random. Move it to 'random'."
        return
    problems = list(_check_entry(library, entry, where))
    yield from problems
    if problems:
        return
    if entry.get("p", 1) != 1:
        yield f"{where} {name}: p = {entry['p']}, but 'fixed' applies to every image. Remove p."
    elif not _is_deterministic(library, library.always(entry)):
        yield f"{where} {name}: changes images at random. Narrow its ranges, or move it to 'random'."


def _is_deterministic(library: Library, entry: Entry) -> bool:
    """Return whether a few seeds give one result; a transform that refuses the trial image counts as deterministic."""
    image = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    pipeline = Pipeline(library, (entry,))
    try:
        first = pipeline(image, 0)
        return all(np.array_equal(first, pipeline(image, seed)) for seed in range(1, 5))
    except DataError:  # such as a crop larger than the image
        return True


def _check_entry(library: Library, entry: Entry, where: str) -> Iterator[str]:
    """Yield what is wrong with one transform, or with the parts of a composition."""
    name = entry.get("name")
    if not isinstance(name, str):
        yield f"{where}: each transform is a table with a name, for example {library.example}."
        return
    if name not in library.names():
        reason = f"{name} {library.refused[name]}" if name in library.refused else ""
        yield f"{where}: {reason or unknown_name(f'{library.title} transform', name, library.names())}"
        return
    options = library.options(name)
    unknown = [
        f"{where} {name}: unknown option '{key}'.{did_you_mean(key, options)} Options: {format_list(options)}."
        for key in entry
        if key not in options and key != "name"
    ]
    nested = list(_check_parts(library, entry, f"{where} {name}")) if name in library.compositions else []
    yield from unknown + nested
    if not unknown and not nested:
        yield from (f"{where} {name}: {message}." for message in library.wrong_values(entry))


def _check_parts(library: Library, entry: Entry, where: str) -> Iterator[str]:
    parts = entry.get("transforms")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        yield f"{where}: needs a list 'transforms' of tables, each with a name."
        return
    for number, part in enumerate(parts):
        yield from _check_entry(library, part, f"{where}.transforms[{number}]")
