"""torchvision's transforms by name: the same images as torchvision called directly, and checked with the TOML."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from compete import DataError
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins import transforms
from compete_plugins.transforms._torchvision import COMPOSITIONS, LIBRARY

FACTORY = transforms.register_transforms()["torchvision"]
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
FLOAT = (IMAGE / 255).astype(np.float32)
FLIPS = ({"name": "RandomHorizontalFlip"}, {"name": "RandomVerticalFlip"})

# Options, and the same transform as torchvision writes it.
SAME = {
    "AugMix": ({}, lambda: v2.AugMix()),
    "AutoAugment": ({"policy": "svhn"}, lambda: v2.AutoAugment(v2.AutoAugmentPolicy.SVHN)),
    "CenterCrop": ({"size": [12, 10]}, lambda: v2.CenterCrop([12, 10])),
    "ColorJitter": ({"brightness": 0.4, "hue": [0, 0.2]}, lambda: v2.ColorJitter(brightness=0.4, hue=(0, 0.2))),
    "ElasticTransform": ({"alpha": 30, "sigma": 4.0}, lambda: v2.ElasticTransform(30.0, 4.0)),
    "GaussianBlur": ({"kernel_size": 5}, lambda: v2.GaussianBlur(5)),
    "GaussianNoise": ({"sigma": 0.2}, lambda: v2.GaussianNoise(sigma=0.2)),
    "Grayscale": ({"num_output_channels": 3}, lambda: v2.Grayscale(3)),
    "Identity": ({}, v2.Identity),
    "Pad": ({"padding": 3, "padding_mode": "reflect"}, lambda: v2.Pad(3, padding_mode="reflect")),
    "RGB": ({}, v2.RGB),
    "RandAugment": ({"num_ops": 3, "magnitude": 15}, lambda: v2.RandAugment(3, 15)),
    "RandomAdjustSharpness": ({"sharpness_factor": 2}, lambda: v2.RandomAdjustSharpness(2.0)),
    "RandomAffine": (
        {"degrees": 20, "translate": [0.1, 0.2], "scale": [0.8, 1.2], "shear": 5, "interpolation": "bilinear"},
        lambda: v2.RandomAffine(20, (0.1, 0.2), (0.8, 1.2), 5, v2.InterpolationMode.BILINEAR),
    ),
    "RandomAutocontrast": ({}, v2.RandomAutocontrast),
    "RandomChannelPermutation": ({}, v2.RandomChannelPermutation),
    "RandomCrop": ({"size": [24, 20], "padding": 4}, lambda: v2.RandomCrop([24, 20], padding=4)),
    "RandomEqualize": ({"p": 0.9}, lambda: v2.RandomEqualize(0.9)),
    "RandomErasing": ({"p": 0.8, "value": [1, 2, 3]}, lambda: v2.RandomErasing(0.8, value=[1, 2, 3])),
    "RandomGrayscale": ({"p": 0.5}, lambda: v2.RandomGrayscale(0.5)),
    "RandomHorizontalFlip": ({}, v2.RandomHorizontalFlip),
    "RandomInvert": ({}, v2.RandomInvert),
    "RandomPerspective": ({"distortion_scale": 0.3, "fill": 9}, lambda: v2.RandomPerspective(0.3, fill=9)),
    "RandomPhotometricDistort": ({}, v2.RandomPhotometricDistort),
    "RandomPosterize": ({"bits": 3}, lambda: v2.RandomPosterize(3)),
    "RandomResize": ({"min_size": 10, "max_size": 30}, lambda: v2.RandomResize(10, 30)),
    "RandomResizedCrop": ({"size": [24, 20]}, lambda: v2.RandomResizedCrop((24, 20))),
    "RandomRotation": ({"degrees": [-5, 40]}, lambda: v2.RandomRotation((-5, 40))),
    "RandomShortestSize": ({"min_size": [12, 30]}, lambda: v2.RandomShortestSize([12, 30])),
    "RandomSolarize": ({"threshold": 100}, lambda: v2.RandomSolarize(100.0)),
    "RandomVerticalFlip": ({"p": 0.3}, lambda: v2.RandomVerticalFlip(0.3)),
    "RandomZoomOut": ({"side_range": [1.0, 1.5]}, lambda: v2.RandomZoomOut(side_range=(1.0, 1.5))),
    "Resize": ({"size": [9, 7]}, lambda: v2.Resize([9, 7])),
    "ScaleJitter": ({"target_size": [24, 20]}, lambda: v2.ScaleJitter((24, 20))),
    "TrivialAugmentWide": ({}, v2.TrivialAugmentWide),
}


def bound(**table):
    found, problems = bind(Component("transforms", "torchvision", FACTORY, "test"), table, "[[transforms]]")
    return found, [problem.message for problem in problems]


def problems(**table):
    return bound(**table)[1]


def build(**table):
    found, messages = bound(**table)
    assert not messages, messages
    return found.build()


def random(*entries):
    """Return the pipeline itself: the size may change here."""
    return FACTORY(random=entries).random


def direct(transform, image, seed):
    torch.manual_seed(seed)
    return transform(torch.from_numpy(image.copy()).permute(2, 0, 1)).permute(1, 2, 0).numpy()


def test_every_transform_is_compared_or_a_composition():
    assert LIBRARY.names() - set(SAME) - set(COMPOSITIONS) == set()


@pytest.mark.parametrize("image", [IMAGE, FLOAT], ids=["uint8", "float"])
@pytest.mark.parametrize("name", sorted(SAME))
def test_the_images_are_those_of_torchvision(name, image):
    options, make = SAME[name]
    if name == "RandomSolarize" and image is FLOAT:
        options, make = {"threshold": 0.4}, lambda: v2.RandomSolarize(0.4)
    pipeline, theirs = random({"name": name, **options}), make()
    for seed in range(12):
        ours = pipeline(image, seed)
        assert ours.dtype == image.dtype
        np.testing.assert_array_equal(ours, direct(theirs, image, seed))


def test_compositions_and_chains_are_those_of_torchvision():
    parts = [{"name": "RandomHorizontalFlip"}, {"name": "GaussianBlur", "kernel_size": 3}]
    theirs = [v2.RandomHorizontalFlip(), v2.GaussianBlur(3)]
    for entry, transform in (
        ({"name": "Compose", "transforms": parts}, v2.Compose(theirs)),
        ({"name": "RandomApply", "transforms": parts, "p": 0.3}, v2.RandomApply(theirs, 0.3)),
        ({"name": "RandomChoice", "transforms": parts, "p": [0.2, 0.8]}, v2.RandomChoice(theirs, [0.2, 0.8])),
        ({"name": "RandomOrder", "transforms": parts}, v2.RandomOrder(theirs)),
        ({"name": "GaussianBlur", "kernel_size": 3, "p": 0.4}, v2.RandomApply([v2.GaussianBlur(3)], 0.4)),
    ):
        assert not problems(random=[entry])
        for seed in range(8):
            chain = v2.Compose([transform, v2.RandomVerticalFlip()])
            ours = random(entry, {"name": "RandomVerticalFlip"})(IMAGE, seed)
            np.testing.assert_array_equal(ours, direct(chain, IMAGE, seed))


def test_the_same_seed_gives_the_same_image_in_any_order_thread_and_process():
    busy = [
        *FLIPS,
        {"name": "RandomResizedCrop", "size": [24, 20]},
        {"name": "ElasticTransform", "sigma": 1.0, "p": 0.5},
        {"name": "RandomErasing"},
        {"name": "TrivialAugmentWide"},
    ]
    pipeline = build(random=busy).random
    first = [pipeline(IMAGE, seed) for seed in range(30)]
    backwards = [build(random=busy).random(IMAGE, seed) for seed in reversed(range(30))][::-1]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda seed: pipeline(IMAGE, seed), range(30)))
    sent = pickle.loads(pickle.dumps(pipeline))
    for results in (backwards, threaded, [sent(IMAGE, seed) for seed in range(30)]):
        assert all(np.array_equal(a, b) for a, b in zip(first, results, strict=True))
    assert len({a.tobytes() for a in first}) > 25


def test_the_global_generator_and_the_image_stay_as_they_are():
    state, image = torch.get_rng_state(), IMAGE.copy()
    image.flags.writeable = False  # as a page of the cache is
    for name, (options, _) in SAME.items():
        random({"name": name, **options})(image, 1)
    random({"name": "RandomErasing", "p": 1, "inplace": True})(image, 1)
    assert torch.equal(state, torch.get_rng_state()) and np.array_equal(image, IMAGE)


@pytest.mark.parametrize("channels", [1, 2, 4, 64])
def test_geometry_and_damage_take_any_number_of_channels(channels):
    image = np.random.default_rng(1).random((24, 20, channels), dtype=np.float32)
    entries = [
        *FLIPS,
        {"name": "RandomAffine", "degrees": 10},
        {"name": "RandomResizedCrop", "size": [24, 20]},
        {"name": "ElasticTransform", "sigma": 1.0},
        {"name": "GaussianBlur", "kernel_size": 3},
        {"name": "GaussianNoise"},
        {"name": "RandomErasing", "p": 1},
        {"name": "RandomChannelPermutation"},
    ]
    result = build(random=entries).random(image, 3)
    assert result.shape == image.shape and result.dtype == np.float32 and not np.array_equal(result, image)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "RandAugment"}, "transform RandAugment needs images with 1 or 3 channels, not 4"),
        (
            {"name": "ColorJitter", "brightness": 0.5},
            r"transform ColorJitter failed on .*\(8, 8, 4\) and type uint8: .*4",
        ),
        ({"name": "RandomCrop", "size": 9}, "transform RandomCrop failed on an image of shape"),
    ],
)
def test_a_transform_that_fails_on_an_image_is_named(entry, message):
    with pytest.raises(DataError, match=message):
        random(FLIPS[0], entry)(np.zeros((8, 8, 4), np.uint8), 0)


def test_a_transform_that_changes_the_channels_is_an_error():
    with pytest.raises(DataError, match=r"transform Grayscale turned .*\(24, 20, 3\) .* into shape \(24, 20, 1\)"):
        random({"name": "Grayscale"})(IMAGE, 0)


def test_fixed_is_done_always_and_the_same_way():
    fixed = build(fixed=[{"name": "CenterCrop", "size": [8, 6]}, {"name": "RandomInvert"}]).fixed
    np.testing.assert_array_equal(fixed(IMAGE), 255 - IMAGE[8:16, 7:13])
    assert build(random=FLIPS).fixed is None and build(fixed=[{"name": "RandomInvert"}]).random is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "HorizontalFlip"}, "random[0]: unknown torchvision transform 'HorizontalFlip'. Did you mean 'RandomHor"),
        ({"name": "GaussianBlurr"}, "random[0]: unknown torchvision transform 'GaussianBlurr'. Did you mean 'GaussianBl"),
        ({"name": "RandomRotation", "degree": 5}, "random[0] RandomRotation: unknown option 'degree'. Did you mean 'deg"),
        ({"name": "RandomRotation", "degrees": "5"}, "random[0] RandomRotation: degrees = '5': Input should be a valid n"),
        ({"name": "RandomRotation", "degrees": True}, "random[0] RandomRotation: degrees = True: Input should be a vali"),
        ({"name": "RandomRotation"}, "random[0] RandomRotation: option 'degrees' is required."),
        ({"name": "RandomHorizontalFlip", "p": "0.5"}, "random[0] RandomHorizontalFlip: p = '0.5': Input should be"),
        ({"name": "RandomHorizontalFlip", "p": 3}, "random[0] RandomHorizontalFlip: `p` should be a floating point value"),
        ({"name": "GaussianBlur", "kernel_size": 3, "p": 2}, "random[0] GaussianBlur: `p` should be a floating point"),
        ({"name": "GaussianBlur", "kernel_size": 4}, "random[0] GaussianBlur: "),
        ({"name": "GaussianBlur", "kernel_size": 3.5}, "random[0] GaussianBlur: kernel_size = 3.5: Input should be"),
        ({"name": "RandAugment", "num_ops": 2.5}, "random[0] RandAugment: num_ops = 2.5: Input should be a valid integer"),
        ({"name": "RandAugment", "magnitude": 31}, "random[0] RandAugment: magnitude = 31: must be from 0 to 30."),
        ({"name": "AutoAugment", "policy": "imagnet"}, "random[0] AutoAugment: policy = 'imagnet': Input should be 'im"),
        ({"name": "Resize", "size": [4, 4], "interpolation": "lanczos"}, "random[0] Resize: interpolation = 'lanczos'"),
        ({"name": "RandomErasing", "value": "random"}, "random[0] RandomErasing: value = 'random': Input should be"),
        ({"name": "RandomErasing", "scale": [0.1, "b"]}, "random[0] RandomErasing: scale = [0.1, 'b']: Input should be"),
        ({"name": "ColorJitter", "brightness": -1}, "random[0] ColorJitter: "),
        ({"name": "RandomResizedCrop", "size": [24, 20, 3]}, "random[0] RandomResizedCrop: "),
        ({"name": "RandomCrop", "size": 4, "padding_mode": "mirror"}, "random[0] RandomCrop: padding_mode = 'mirror'"),
        ({"p": 0.5}, "random[0]: each transform is a table with a name, for example {name = \"RandomHorizontalFlip\""),
        ({"name": "Normalize"}, "random[0]: Normalize is not needed: images become tensors, scaled and normalised by [im"),
        ({"name": "ToTensor"}, "random[0]: ToTensor is not needed"),
        ({"name": "ToDtype"}, "random[0]: ToDtype is not needed"),
        ({"name": "MixUp"}, 'random[0]: MixUp mixes the labels of two images: write [[batch_transforms]] name = "mixup".'),
        ({"name": "RandomIoUCrop"}, "random[0]: RandomIoUCrop is for boxes"),
        ({"name": "FiveCrop"}, "random[0]: FiveCrop makes several images of one"),
        ({"name": "Lambda"}, "random[0]: Lambda needs a Python function"),
        ({"name": "RandomApply"}, "random[0] RandomApply: needs a list 'transforms' of tables"),
        (
            {"name": "RandomChoice", "transforms": [{"name": "RandomApply", "transforms": [{"name": "Blur"}]}]},
            "random[0] RandomChoice.transforms[0] RandomApply.transforms[0]: unknown torchvision transform 'Blur'.",
        ),
        ({"name": "RandomChoice", "transforms": [*FLIPS], "p": [1]}, "random[0] RandomChoice: Length of p doesn't match"),
        ({"name": "RandomZoomOut"}, "random: changes the size of images, 512 x 512 became "),
        ({"name": "RandomResize", "min_size": 9, "max_size": 30}, "random: changes the size of images, 512 x 512 became "),
        ({"name": "RandomRotation", "degrees": 20, "expand": True}, "random: changes the size of images, 512 x 512 bec"),
        ({"name": "Pad", "padding": 2}, "random: changes the size of images, 512 x 512 became 516 x 516. End with a crop"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_found_when_the_toml_is_read(entry, message):
    (problem,) = problems(random=[entry])
    assert problem.startswith(message)
    assert "\n" not in problem and "pydantic" not in problem


@pytest.mark.filterwarnings("ignore")
def test_what_torchvision_only_warns_of_is_an_error():
    (problem,) = problems(random=[{"name": "RandomResizedCrop", "size": [24, 20], "scale": [2, 1]}])
    assert problem == "random[0] RandomResizedCrop: Scale and ratio should be of kind (min, max)."


@pytest.mark.parametrize(
    "entries",
    [
        [{"name": "Pad", "padding": 4}, {"name": "RandomCrop", "size": [32, 32]}],
        [{"name": "ScaleJitter", "target_size": [64, 64]}, {"name": "RandomCrop", "size": 64, "pad_if_needed": True}],
        [{"name": "Resize", "size": [40, 40]}, {"name": "RandomCrop", "size": 32}],
        [{"name": "RandomRotation", "degrees": 5}],
        [{"name": "RandomRotation", "degrees": [90, 90], "expand": True, "p": 0.5}],
        [{"name": "RandomCrop", "size": [1000, 1000]}],
    ],
)
def test_a_chain_that_ends_with_one_size_is_sound(entries):
    assert not problems(random=entries)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "RandomHorizontalFlip", "p": 0.5}, "fixed[0] RandomHorizontalFlip: p = 0.5, but 'fixed' applies to"),
        ({"name": "ColorJitter", "brightness": 0.3}, "fixed[0] ColorJitter: changes images at random. Narrow its"),
        ({"name": "RandomApply", "transforms": [*FLIPS]}, "fixed[0]: RandomApply chooses at random. Move it to"),
        ({"name": "Compose", "transforms": [*FLIPS]}, "fixed[0] Compose: changes images at random."),
    ],
)
def test_fixed_takes_no_random_transform(entry, message):
    (problem,) = problems(fixed=[entry])
    assert problem.startswith(message)


def test_all_problems_come_at_once():
    wrong = {"name": "RandomErasing", "a": 1, "b": 2}
    found = problems(fixed=[{"name": "Blurr"}], random=[{"name": "Blurr"}, wrong])
    assert [text.split(":")[0] for text in found] == ["fixed[0]", "random[0]", *["random[1] RandomErasing"] * 2]
