"""albumentations from TOML: every name, option and value is checked when the TOML is read."""

from __future__ import annotations

import inspect
import os
import random as python_random
import warnings
from collections.abc import Collection, Iterator, Sequence
from functools import cache, partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import ValidationError

from compete import DataError, Transform, component

from ._library import Entry, Image, Library, Pipeline, check, describe, one_line, option_problem, same_kind

COMPOSITIONS = ("OneOf", "RandomOrder", "Sequential", "SomeOf")
DONE_ON_THE_DEVICE = {"FromFloat", "Normalize", "ToFloat", "ToTensor3D", "ToTensorV2"}
NEEDS_MORE_THAN_AN_IMAGE = {
    "AtLeastOneBBoxRandomCrop", "BBoxSafeRandomCrop", "ConstrainedCoarseDropout", "CropNonEmptyMaskIfExists",
    "FDA", "HistogramMatching", "Lambda", "MaskDropout", "Mosaic", "OverlayElements",
    "PixelDistributionAdaptation", "RandomCropNearBBox", "RandomSizedBBoxSafeCrop", "TextImage",
}  # fmt: skip
BASES = {"BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D"}
MISSING = (
    'albumentations is not installed: pip install albumentations. Or use name = "torchvision", which is installed; '
    "its transforms have other names"
)
ON_DEVICE = "is not needed: images are scaled and normalised on the device. Remove it."
MORE = "needs masks, boxes, functions or other images, which are not available here."


class Albumentations(Library):
    """The transforms of albumentations that need nothing but an image."""

    title = "albumentations"
    example = '{name = "HorizontalFlip", p = 0.5}'
    compositions = drawing = COMPOSITIONS
    refused = dict.fromkeys(DONE_ON_THE_DEVICE, ON_DEVICE) | dict.fromkeys(NEEDS_MORE_THAN_AN_IMAGE, MORE)

    def names(self) -> frozenset[str]:
        """Return the names of all transforms that need nothing but an image."""
        return _known()

    def options(self, name: str) -> Collection[str]:
        """Return the parameters of a transform."""
        return inspect.signature(getattr(_library(), name)).parameters

    def wrong_values(self, entry: Entry) -> Iterator[str]:
        """Build the transform. Values that albumentations would replace with a warning are errors here."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                self.build(entry)
        except Exception as error:
            yield _reason(error)

    def build(self, entry: Entry) -> Any:  # noqa: ANN401
        """Build a transform, or a composition with its parts."""
        options = {key: value for key, value in entry.items() if key != "name"}
        if entry["name"] in COMPOSITIONS:
            options["transforms"] = [self.build(part) for part in options["transforms"]]
        return getattr(_library(), entry["name"])(**options)

    def always(self, entry: Entry) -> Entry:
        """Return the entry so that it applies to every image."""
        return {**entry, "p": 1.0}

    def run(self, steps: Sequence[tuple[str, Any]], image: Image, seed: int) -> Image:
        """Apply transforms, with their names, one after another."""
        # Shared generators, not albumentations' own `set_random_seed`: that gives every transform a fresh
        # generator of the same seed, so that two flips with p = 0.5 always happen together or not at all.
        generator, python_generator = np.random.default_rng(seed), python_random.Random(seed)
        result = image
        for name, transform in steps:
            transform.set_random_state(generator, python_generator)
            result = _apply(name, transform, result)
        return result


LIBRARY = Albumentations()


def _check(fixed: tuple[Entry, ...], random: tuple[Entry, ...]) -> Iterator[str]:
    if not fixed and not random:
        return
    if find_spec("albumentations") is None:
        yield f"{MISSING}."
        return
    yield from check(LIBRARY, fixed, random)


@component(check=_check, pixel_options=("fixed",))
def albumentations(*, fixed: tuple[dict[str, Any], ...] = (), random: tuple[dict[str, Any], ...] = ()) -> Transform:
    """Apply transforms of the albumentations library, each a table `{name = "Rotate", limit = 10}`.

    `fixed` applies once to every image of train, valid and test, and the result is cached, so its transforms must be
    deterministic and always apply. `random` is augmentation: for training only, drawn again for each image and epoch.
    `OneOf`, `SomeOf`, `RandomOrder` and `Sequential` take their parts as a list `transforms`. Scaling to floats and
    normalisation happen on the device instead. The library's last free release, 2.0.8, is of 2025; `torchvision` is the
    one that is maintained.
    Buslaev et al. 2020, https://www.mdpi.com/2078-2489/11/2/125.
    """
    return Transform(
        fixed=partial(Pipeline(LIBRARY, tuple(map(LIBRARY.always, fixed))), seed=0) if fixed else None,
        random=Pipeline(LIBRARY, random) if random else None,
    )


def _apply(name: str, transform: Any, image: Image) -> Image:  # noqa: ANN401
    try:
        result: Image = transform(image=image)["image"]
    except Exception as error:
        raise DataError(f"transform {name} failed on {describe(image)}: {_reason(error)}") from error
    return same_kind(name, image, result[..., None] if result.ndim == 2 else result)


def _library() -> ModuleType:
    """Import albumentations without its search for a newer version on the network."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations  # type: ignore[no-any-return]


@cache
def _known() -> frozenset[str]:
    library = _library()
    classes = {name: value for name, value in vars(library).items() if inspect.isclass(value)}
    names = {
        name
        for name, value in classes.items()
        if issubclass(value, library.BasicTransform) and not issubclass(value, library.Transform3D)
    }
    return frozenset(names - BASES - DONE_ON_THE_DEVICE - NEEDS_MORE_THAN_AN_IMAGE) | frozenset(COMPOSITIONS)


def _reason(error: BaseException) -> str:
    """Return an error's message in one line, without links to pydantic's documentation."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return "; ".join(option_problem(p) for p in cause.errors(include_url=False, include_context=False))
    return one_line(error)
