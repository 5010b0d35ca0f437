"""albumentations from TOML: every name, option and value is checked when the TOML is read."""

from __future__ import annotations

import inspect
import os
import random as python_random
import threading
import warnings
from collections.abc import Iterator, Mapping
from functools import cache, partial
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import ValidationError

from compete import DataError, Transform, component, did_you_mean, format_list, unknown_name

Image = np.ndarray[Any, Any]  # (H, W, C)
Entry = Mapping[str, Any]  # {"name": "Rotate", "limit": 10}

COMPOSITIONS = ("OneOf", "RandomOrder", "Sequential", "SomeOf")
DONE_ON_THE_DEVICE = {"FromFloat", "Normalize", "ToFloat", "ToTensor3D", "ToTensorV2"}
NEEDS_MORE_THAN_AN_IMAGE = {
    "AtLeastOneBBoxRandomCrop", "BBoxSafeRandomCrop", "ConstrainedCoarseDropout", "CropNonEmptyMaskIfExists",
    "FDA", "HistogramMatching", "Lambda", "MaskDropout", "Mosaic", "OverlayElements",
    "PixelDistributionAdaptation", "RandomCropNearBBox", "RandomSizedBBoxSafeCrop", "TextImage",
}  # fmt: skip
BASES = {"BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D"}


def _check(fixed: tuple[Entry, ...], random: tuple[Entry, ...]) -> Iterator[str]:
    for number, entry in enumerate(fixed):
        yield from _check_fixed(entry, f"fixed[{number}]")
    for number, entry in enumerate(random):
        yield from _check_entry(entry, f"random[{number}]")


@component(check=_check, pixel_options=("fixed",))
def albumentations(*, fixed: tuple[dict[str, Any], ...] = (), random: tuple[dict[str, Any], ...] = ()) -> Transform:
    """Apply transforms of the albumentations library, each a table `{name = "Rotate", limit = 10}`.

    `fixed` applies once to every image of train, valid and test, and the result is cached, so its transforms must be
    deterministic and always apply. `random` is augmentation: for training only, drawn again for each image and epoch.
    `OneOf`, `SomeOf`, `RandomOrder` and `Sequential` take their parts as a list `transforms`. Scaling to floats and
    normalisation happen on the device instead.
    Buslaev et al. 2020, https://www.mdpi.com/2078-2489/11/2/125.
    """
    return Transform(
        fixed=partial(Pipeline(tuple(map(_always, fixed))), seed=0) if fixed else None,
        random=Pipeline(random) if random else None,
    )


class Pipeline:
    """Transforms one after another, seeded for each image: the same seed gives the same image.

    Transforms hold their random state, so each thread builds its own. A pipeline can be sent to worker processes.
    """

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self._built = threading.local()

    def __reduce__(self) -> tuple[type[Pipeline], tuple[tuple[Entry, ...]]]:
        return Pipeline, (self.entries,)

    def __call__(self, image: Image, seed: int) -> Image:
        """Transform one (H, W, C) image; the result has the same dtype and number of channels."""
        # Shared generators, not albumentations' own `set_random_seed`: that gives every transform a fresh
        # generator of the same seed, so that two flips with p = 0.5 always happen together or not at all.
        generator, python_generator = np.random.default_rng(seed), python_random.Random(seed)
        result = image
        for transform in self._transforms():
            transform.set_random_state(generator, python_generator)
            result = _apply(transform, result)
        return result

    def _transforms(self) -> list[Any]:
        if not hasattr(self._built, "transforms"):
            self._built.transforms = [_build(entry) for entry in self.entries]
        transforms: list[Any] = self._built.transforms
        return transforms


def _apply(transform: Any, image: Image) -> Image:  # noqa: ANN401
    name = type(transform).__name__
    given = f"an image of shape {image.shape} and type {image.dtype}"
    try:
        result: Image = transform(image=image)["image"]
    except Exception as error:
        raise DataError(f"transform {name} failed on {given}: {_one_line(error)}") from error
    if result.ndim == 2:
        result = result[..., None]
    if result.dtype != image.dtype or result.shape[2] != image.shape[2]:
        raise DataError(f"transform {name} turned {given} into shape {result.shape} and type {result.dtype}")
    return result


def _library() -> ModuleType:
    """Import albumentations without its search for a newer version on the network."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations  # type: ignore[no-any-return]


@cache
def _known() -> frozenset[str]:
    """Return the names of all transforms that need nothing but an image."""
    library = _library()
    classes = {name: value for name, value in vars(library).items() if inspect.isclass(value)}
    names = {
        name
        for name, value in classes.items()
        if issubclass(value, library.BasicTransform) and not issubclass(value, library.Transform3D)
    }
    return frozenset(names - BASES - DONE_ON_THE_DEVICE - NEEDS_MORE_THAN_AN_IMAGE) | frozenset(COMPOSITIONS)


def _build(entry: Entry) -> Any:  # noqa: ANN401
    options = {key: value for key, value in entry.items() if key != "name"}
    if entry["name"] in COMPOSITIONS:
        options["transforms"] = [_build(part) for part in options["transforms"]]
    return getattr(_library(), entry["name"])(**options)


def _always(entry: Entry) -> Entry:
    return {**entry, "p": 1.0}


def _check_fixed(entry: Entry, where: str) -> Iterator[str]:
    name = entry.get("name")
    if name in COMPOSITIONS:
        yield f"{where}: {name} chooses at random. Move it to 'random'."
        return
    problems = list(_check_entry(entry, where))
    yield from problems
    if problems:
        return
    if entry.get("p", 1) != 1:
        yield f"{where} {name}: p = {entry['p']}, but 'fixed' applies to every image. Remove p."
    elif not _is_deterministic(_always(entry)):
        yield f"{where} {name}: changes images at random. Narrow its ranges, or move it to 'random'."


def _is_deterministic(entry: Entry) -> bool:
    """Return whether a few seeds give one result; a transform that refuses the trial image counts as deterministic."""
    image = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    pipeline = Pipeline((entry,))
    try:
        first = pipeline(image, 0)
        return all(np.array_equal(first, pipeline(image, seed)) for seed in range(1, 5))
    except DataError:  # such as a crop larger than the image
        return True


def _check_entry(entry: Entry, where: str) -> Iterator[str]:
    """Yield what is wrong with one transform, or with the parts of a composition."""
    name = entry.get("name")
    problem = _check_name(name)
    if problem:
        yield f"{where}: {problem}"
        return
    unknown = list(_check_option_names(entry))
    yield from (f"{where} {name}: {message}" for message in unknown)
    nested = list(_check_parts(entry, f"{where} {name}")) if name in COMPOSITIONS else []
    yield from nested
    if not unknown and not nested:
        yield from (f"{where} {name}: {message}" for message in _check_values(entry))


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        return 'each transform is a table with a name, for example {name = "HorizontalFlip", p = 0.5}.'
    if name in DONE_ON_THE_DEVICE:
        return f"{name} is not needed: images are scaled and normalised on the device. Remove it."
    if name in NEEDS_MORE_THAN_AN_IMAGE:
        return f"{name} needs masks, boxes, functions or other images, which are not available here."
    return "" if name in _known() else unknown_name("albumentations transform", name, _known())


def _check_option_names(entry: Entry) -> Iterator[str]:
    parameters = inspect.signature(getattr(_library(), entry["name"])).parameters
    for key in [key for key in entry if key not in parameters and key != "name"]:
        yield f"unknown option '{key}'.{did_you_mean(key, parameters)} Options: {format_list(parameters)}."


def _check_parts(entry: Entry, where: str) -> Iterator[str]:
    parts = entry.get("transforms")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        yield f"{where}: needs a list 'transforms' of tables, each with a name."
        return
    for number, part in enumerate(parts):
        yield from _check_entry(part, f"{where}.transforms[{number}]")


def _check_values(entry: Entry) -> Iterator[str]:
    """Build the transform. Values that albumentations would replace with a warning are errors here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _build(entry)
    except Exception as error:
        yield f"{_one_line(error)}."


def _one_line(error: BaseException) -> str:
    """Return an error's message in one line, without links to pydantic's documentation."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return "; ".join(_option_problem(p) for p in cause.errors(include_url=False, include_context=False))
    return " ".join(str(error).split()).rstrip(".")


def _option_problem(details: Mapping[str, Any]) -> str:
    option = ".".join(map(str, details["loc"]))
    if details["type"] == "missing":
        return f"option '{option}' is required"
    return f"{option} = {details['input']!r}: {details['msg']}" if option else str(details["msg"])
