"""`torchvision.transforms.v2` from TOML: every name, option and value is checked when the TOML is read."""

from __future__ import annotations

import inspect
import json
import numbers
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch.overrides import TorchFunctionMode

from compete import DataError, Transform, component

from ._library import Entry, Image, Library, Pipeline, check, describe, one_line, option_problem, same_kind

DRAWING = ("RandomApply", "RandomChoice", "RandomOrder")
COMPOSITIONS = ("Compose", *DRAWING)
POLICIES = {"AugMix", "AutoAugment", "RandAugment", "TrivialAugmentWide"}
ON_DEVICE = (
    "is not needed: images become tensors, scaled and normalised by [images] mean and std, on the device. Remove it."
)
BOXES = "is for boxes, key points or masks; here an image has labels only."
SEVERAL = "makes several images of one, and its label would be counted for each. [[tta]] has views for prediction."
REFUSED = {
    **dict.fromkeys(
        ("ConvertImageDtype", "Normalize", "PILToTensor", "ToDtype", "ToImage", "ToPILImage", "ToPureTensor",
         "ToTensor"),
        ON_DEVICE,
    ),
    **dict.fromkeys(
        ("ClampBoundingBoxes", "ClampKeyPoints", "ConvertBoundingBoxFormat", "RandomIoUCrop", "SanitizeBoundingBoxes",
         "SanitizeKeyPoints", "SetClampingMode"),
        BOXES,
    ),
    **dict.fromkeys(("FiveCrop", "TenCrop"), SEVERAL),
    "CutMix": 'mixes the labels of two images: write [[batch_transforms]] name = "cutmix".',
    "MixUp": 'mixes the labels of two images: write [[batch_transforms]] name = "mixup".',
    "JPEG": "is deprecated in torchvision: albumentations has ImageCompression.",
    "Lambda": "needs a Python function: write a transform in a plugin (`compete new --plugin transform`).",
    "LinearTransformation": "needs tensors, which a TOML cannot hold.",
    "UniformTemporalSubsample": "is for videos.",
}  # fmt: skip
BASES = {"Transform"}

# torchvision's own annotations accept more than works, and differ between its versions.
TYPES: dict[str, Any] = {
    "interpolation": Literal["nearest", "nearest-exact", "bilinear", "bicubic"],  # what tensors can
    "policy": Literal["imagenet", "cifar10", "svhn"],
    "fill": float | list[float],
    "value": float | list[float],  # "random" is drawn for normalised images, which these are not yet
    "degrees": float | list[float],
}

# Every function that torchvision draws with.
DRAWS = {
    torch.rand, torch.randint, torch.randperm, torch.randn_like, torch.multinomial, torch._sample_dirichlet,
    torch.Tensor.uniform_, torch.Tensor.normal_,
}  # fmt: skip


class Torchvision(Library):
    """The transforms of torchvision (v2) that need nothing but an image."""

    title = "torchvision"
    example = '{name = "RandomHorizontalFlip", p = 0.5}'
    compositions, drawing, refused = COMPOSITIONS, DRAWING, REFUSED

    def names(self) -> frozenset[str]:
        """Return the names of all transforms that need nothing but an image."""
        return _known()

    def options(self, name: str) -> Collection[str]:
        """Return the parameters of a transform, and `p`, which every one takes here."""
        return {**_parameters(name), "p": None}

    def wrong_values(self, entry: Entry) -> Iterator[str]:
        """Check the types, which torchvision hardly does, then build the transform."""
        required = [key for key, p in _parameters(entry["name"]).items() if p.default is p.empty and key not in entry]
        problems = [f"option '{key}' is required" for key in required]
        for key, value in entry.items():
            if key not in ("name", "transforms"):
                problems += _wrong_type(key, value, _type(entry["name"], key))
        if entry["name"] == "RandAugment" and not problems:
            bins = entry.get("num_magnitude_bins", 31)
            if not 0 <= entry.get("magnitude", 9) < bins:
                problems.append(f"magnitude = {entry['magnitude']}: must be from 0 to {bins - 1}")
        yield from problems
        if not problems:
            try:
                with warnings.catch_warnings():  # torchvision only warns of `scale = [2, 1]`
                    warnings.simplefilter("error")
                    self.build(entry)
            except Exception as error:
                yield one_line(error)

    def build(self, entry: Entry) -> Any:  # noqa: ANN401
        """Build a transform; one without an option `p` of its own is applied with that probability."""
        from torchvision.transforms import v2

        options = {key: value for key, value in entry.items() if key != "name"}
        if entry["name"] in COMPOSITIONS:
            options["transforms"] = [self.build(part) for part in options["transforms"]]
        if "interpolation" in options:
            options["interpolation"] = v2.InterpolationMode(options["interpolation"])
        if "policy" in options:
            options["policy"] = v2.AutoAugmentPolicy(options["policy"])
        chance = 1.0 if "p" in _parameters(entry["name"]) else options.pop("p", 1.0)
        built = getattr(v2, entry["name"])(**options)
        return built if chance == 1 else v2.RandomApply([built], p=chance)

    def always(self, entry: Entry) -> Entry:
        """Return the entry so that it applies to every image."""
        return {**entry, "p": 1.0} if "p" in _parameters(entry["name"]) else entry

    def run(self, steps: Sequence[tuple[str, Any]], image: Image, seed: int) -> Image:
        """Apply transforms, with their names, one after another, as torchvision would after `manual_seed(seed)`."""
        # A copy, because the array may be a read-only page of the cache. (H, W, C) -> (C, H, W)
        tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
        with SeededDraws(seed):
            for name, transform in steps:
                tensor = _apply(name, transform, tensor)
        array: Image = tensor.permute(1, 2, 0).contiguous().numpy()
        return array


LIBRARY = Torchvision()


def _check(fixed: tuple[Entry, ...], random: tuple[Entry, ...]) -> Iterator[str]:
    yield from check(LIBRARY, fixed, random)


@component(check=_check, pixel_options=("fixed",))
def torchvision(*, fixed: tuple[dict[str, Any], ...] = (), random: tuple[dict[str, Any], ...] = ()) -> Transform:
    """Apply transforms of torchvision (v2), each a table `{name = "RandomRotation", degrees = 10, p = 0.5}`.

    `fixed` applies once to every image of train, valid and test, and the result is cached, so its transforms must be
    deterministic and always apply. `random` is augmentation: for training only, drawn again for each image and epoch.
    Every transform takes `p`, the probability that it is applied; without it, torchvision's own holds. `Compose`,
    `RandomApply`, `RandomChoice` and `RandomOrder` take their parts as a list `transforms`. `fill`, `value` and
    `threshold` are in the image's scale: 0 to 255, or 0 to 1 for measured data. Scaling to floats and normalisation
    happen on the device instead.

    Geometry: `RandomHorizontalFlip`, `RandomVerticalFlip`, `RandomRotation`, `RandomAffine`, `RandomPerspective`,
    `ElasticTransform`, `RandomCrop`, `RandomResizedCrop` (`size` as in [images]), `CenterCrop`, `Pad`, `Resize`.
    Colour: `ColorJitter`, `RandomPhotometricDistort`, `RandomGrayscale`, `Grayscale`, `RandomInvert`,
    `RandomPosterize`, `RandomSolarize`, `RandomAutocontrast`, `RandomEqualize`, `RandomAdjustSharpness`,
    `RandomChannelPermutation`. Damage: `RandomErasing`, `GaussianBlur`, `GaussianNoise`. Policies: `AutoAugment`,
    `RandAugment`, `TrivialAugmentWide`, `AugMix`. Options are torchvision's:
    https://docs.pytorch.org/vision/stable/transforms.html.
    """
    return Transform(
        fixed=partial(Pipeline(LIBRARY, tuple(map(LIBRARY.always, fixed))), seed=0) if fixed else None,
        random=Pipeline(LIBRARY, random) if random else None,
    )


def _apply(name: str, transform: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """Apply one transform to (C, H, W)."""
    if name in POLICIES and image.shape[0] not in (1, 3):  # some of their operations refuse others, whenever drawn
        raise DataError(f"transform {name} needs images with 1 or 3 channels, not {image.shape[0]}")
    before = image.permute(1, 2, 0).numpy()
    try:
        result = transform(image)
    except Exception as error:
        raise DataError(f"transform {name} failed on {describe(before)}: {one_line(error)}") from error
    same_kind(name, before, result.permute(1, 2, 0).numpy())
    return result


@cache
def _known() -> frozenset[str]:
    from torchvision.transforms import v2

    classes = {name for name, value in vars(v2).items() if inspect.isclass(value) and issubclass(value, v2.Transform)}
    return frozenset(classes - BASES - REFUSED.keys())


@cache
def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    from torchvision.transforms import v2

    return inspect.signature(getattr(v2, name)).parameters


@cache
def _type(name: str, option: str) -> Any:  # noqa: ANN401 - a type
    from torchvision.transforms import v2

    if option in TYPES:
        return TYPES[option]
    if option not in _parameters(name):
        return float  # our `p`
    return _in_a_toml(get_type_hints(getattr(v2, name).__init__).get(option, Any))


def _in_a_toml(annotation: Any) -> Any:  # noqa: ANN401 - a type
    """Return a type in the forms that a TOML's values have: numbers, strings and lists."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is numbers.Number:
        return float
    if annotation is Sequence or origin is Sequence:
        return list[_in_a_toml(inner[0]) if inner else float]  # type: ignore[misc]
    if origin in (Union, UnionType):
        return Union[tuple(_in_a_toml(part) for part in inner)]  # noqa: UP007 - its parts are found at run time
    return annotation


def _wrong_type(option: str, value: object, annotation: Any) -> list[str]:  # noqa: ANN401 - a type
    try:
        # As JSON, because strict validation of Python objects does not accept a list for a tuple.
        TypeAdapter(annotation, config=ConfigDict(strict=True)).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        return [option_problem({**details[0], "loc": (option,), "input": value})]
    return []


class SeededDraws(TorchFunctionMode):
    """Let torch's random functions draw from this block's own generator, in this thread alone.

    torchvision's transforms take no generator. Seeding the global one instead would disturb what other threads
    draw, such as the training step's dropout.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call `func`, with this block's generator where it draws."""
        options = dict(kwargs or {})
        if func in DRAWS:
            options["generator"] = self.generator
        return func(*args, **options)
