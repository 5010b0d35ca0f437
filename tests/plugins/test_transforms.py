"""Per-image transforms: reproducible by seed, checked when the TOML is read."""

from __future__ import annotations

import itertools
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from compete import DataError
from compete.config.options import bind
from compete.config.registry import Component
from compete_plugins import transforms

COMPONENTS = transforms.register_transforms()
POLICIES = ("auto_augment", "rand_augment", "trivial_augment", "aug_mix")
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
FLIPS = ({"name": "HorizontalFlip", "p": 0.5}, {"name": "VerticalFlip", "p": 0.5})
BUSY = (
    *FLIPS,
    {"name": "RandomResizedCrop", "size": [24, 20], "scale": [0.5, 1.0]},
    {"name": "OneOf", "p": 0.9, "transforms": [{"name": "Blur"}, {"name": "GaussNoise"}]},
)


def bound(name, **table):
    found, problems = bind(Component("transforms", name, COMPONENTS[name], "test"), table, "[[transforms]]")
    return found, [problem.message for problem in problems]


def problems(**table):
    return bound("albumentations", **table)[1]


def build(name, **table):
    found, messages = bound(name, **table)
    assert not messages
    return found.build()


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_policy_gives_the_same_image_for_the_same_seed(name, channels):
    random = build(name).random
    image = IMAGE[..., :channels]
    first = [random(image, seed) for seed in range(12)]
    again = [random(image, seed) for seed in reversed(range(12))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({a.tobytes() for a in first}) > 6
    assert all(a.shape == image.shape and a.dtype == np.uint8 for a in first)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_leaves_the_global_generator_and_the_image_alone(name):
    state, image = torch.get_rng_state(), IMAGE.copy()
    image.flags.writeable = False  # as a page of the cache is
    for seed in range(5):
        build(name).random(image, seed)
    assert torch.equal(state, torch.get_rng_state())


def test_policies_take_their_options():
    weak = build("rand_augment", num_ops=1, magnitude=0).random
    strong = build("rand_augment", num_ops=3, magnitude=30).random

    def change(random):
        return np.mean([np.abs(random(IMAGE, s).astype(float) - IMAGE).mean() for s in range(20)])

    assert change(weak) < change(strong)
    digits, photos = build("auto_augment", policy="svhn").random, build("auto_augment").random
    assert any(not np.array_equal(digits(IMAGE, s), photos(IMAGE, s)) for s in range(5))
    one, deep = build("aug_mix", chain_depth=1).random, build("aug_mix", chain_depth=3, severity=10).random
    assert any(not np.array_equal(one(IMAGE, s), deep(IMAGE, s)) for s in range(5))


def test_policies_work_on_float_images():
    image = (IMAGE / 255).astype(np.float32)
    for seed in range(5):
        result = build("trivial_augment").random(image, seed)
        assert result.dtype == np.float32 and result.shape == image.shape


def test_policies_refuse_other_channel_numbers():
    with pytest.raises(DataError, match="RandAugment needs images with 1 or 3 channels, not 4"):
        build("rand_augment").random(np.zeros((8, 8, 4), np.uint8), 0)


def test_none_does_nothing():
    transform = build("none")
    assert transform.fixed is None and transform.random is None


def test_albumentations_gives_the_same_image_for_the_same_seed_in_any_order_and_thread():
    random = build("albumentations", random=BUSY).random
    first = [random(IMAGE, seed) for seed in range(40)]
    other = build("albumentations", random=BUSY).random
    backwards = [other(IMAGE, seed) for seed in reversed(range(40))][::-1]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda seed: random(IMAGE, seed), range(40)))
    sent = pickle.loads(pickle.dumps(random))
    for results in (backwards, threaded, [sent(IMAGE, seed) for seed in range(40)]):
        assert all(np.array_equal(a, b) for a, b in zip(first, results, strict=True))
    assert len({a.tobytes() for a in first}) > 30


def test_each_thread_has_transforms_of_its_own():
    random = build("albumentations", random=FLIPS).random
    built = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: (random(IMAGE, 0), built.append(random.steps())))
        thread.start()
        thread.join()
    assert built[0][0][1] is not built[1][0][1]


def test_transforms_of_one_image_are_drawn_independently():
    random = build("albumentations", random=FLIPS).random
    ways = {
        IMAGE[::vertical, ::horizontal].tobytes(): (vertical, horizontal)
        for vertical, horizontal in itertools.product((1, -1), repeat=2)
    }
    counts = dict.fromkeys(ways.values(), 0)
    for seed in range(200):
        counts[ways[random(IMAGE, seed).tobytes()]] += 1
    assert min(counts.values()) > 25  # 50 each if the two coins are independent


def test_fixed_is_done_always_and_the_same_way():
    fixed = build(
        "albumentations",
        fixed=[{"name": "CenterCrop", "height": 8, "width": 6}, {"name": "CLAHE", "clip_limit": [4, 4]}],
    ).fixed
    result = fixed(IMAGE)
    assert result.shape == (8, 6, 3)  # CLAHE alone has p = 0.5 in albumentations
    assert not np.array_equal(result, IMAGE[8:16, 7:13])
    assert np.array_equal(result, fixed(IMAGE))
    assert build("albumentations", random=FLIPS).fixed is None
    assert build("albumentations", fixed=[{"name": "HorizontalFlip"}]).random is None


def test_a_single_channel_stays():
    random = build("albumentations", random=[{"name": "Resize", "height": 9, "width": 7}, {"name": "Blur"}]).random
    assert random(IMAGE[..., :1], 0).shape == (9, 7, 1)


def test_float_images_stay_floats():
    random = build("albumentations", random=[{"name": "Rotate", "p": 1.0}, {"name": "ColorJitter", "p": 1.0}]).random
    result = random((IMAGE / 255).astype(np.float32), 1)
    assert result.dtype == np.float32 and result.min() >= 0 and result.max() <= 1


def test_a_transform_that_fails_on_an_image_is_named():
    random = build("albumentations", random=[{"name": "HorizontalFlip"}, {"name": "CLAHE", "p": 1.0}]).random
    with pytest.raises(DataError, match=r"transform CLAHE failed on .*\(8, 8, 4\) and type uint8: .*channel"):
        random(np.zeros((8, 8, 4), np.uint8), 0)


def test_a_transform_that_changes_the_channels_is_an_error():
    random = build("albumentations", random=[{"name": "ToGray", "num_output_channels": 1, "p": 1.0}]).random
    with pytest.raises(
        DataError, match=r"transform ToGray turned an image .*\(24, 20, 3\) .* into shape \(24, 20, 1\)"
    ):
        random(IMAGE, 0)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "HorizontlFlip"}, "random[0]: unknown albumentations transform 'HorizontlFlip'. Did you mean "),
        ({"name": "Rotate", "limt": 5}, "random[0] Rotate: unknown option 'limt'. Did you mean 'limit'? Options: "),
        ({"name": "RandomResizedCrop", "size": 128}, "random[0] RandomResizedCrop: size = 128: Input should be a"),
        ({"name": "RandomResizedCrop"}, "random[0] RandomResizedCrop: option 'size' is required."),
        ({"name": "HorizontalFlip", "p": 3}, "random[0] HorizontalFlip: p = 3: Input should be less than or equal"),
        ({"p": 0.5}, "random[0]: each transform is a table with a name"),
        ({"name": "Normalize"}, "random[0]: Normalize is not needed: images are scaled and normalised on"),
        ({"name": "ToTensorV2"}, "random[0]: ToTensorV2 is not needed"),
        ({"name": "ToFloat"}, "random[0]: ToFloat is not needed"),
        ({"name": "MaskDropout"}, "random[0]: MaskDropout needs masks, boxes, functions or other images"),
        ({"name": "OneOf"}, "random[0] OneOf: needs a list 'transforms' of tables"),
        ({"name": "OneOf", "transforms": [{"name": "Blr"}]}, "random[0] OneOf.transforms[0]: unknown albument"),
        (
            {"name": "OneOf", "transforms": [{"name": "Sequential", "transforms": [{"name": "Blur", "limit": 3}]}]},
            "random[0] OneOf.transforms[0] Sequential.transforms[0] Blur: unknown option 'limit'. Did you mean",
        ),
        (
            {"name": "SomeOf", "n": 3, "transforms": [{"name": "Blur"}]},
            "random[0] SomeOf: `n` is greater than number of transforms.",
        ),
        ({"name": "ShiftScaleRotate"}, "random[0] ShiftScaleRotate: ShiftScaleRotate is a special case of Affine"),
    ],
)
def test_a_wrong_entry_is_found_when_the_toml_is_read(entry, message):
    (problem,) = problems(random=[entry])
    assert problem.startswith(message)
    assert "\n" not in problem and "pydantic" not in problem


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "HorizontalFlip", "p": 0.5}, "fixed[0] HorizontalFlip: p = 0.5, but 'fixed' applies to"),
        ({"name": "RandomRotate90"}, "fixed[0] RandomRotate90: changes images at random. Narrow its ranges"),
        ({"name": "ChannelShuffle"}, "fixed[0] ChannelShuffle: changes images at random."),
        ({"name": "OneOf", "transforms": [{"name": "Blur"}]}, "fixed[0]: OneOf chooses at random. Move it to"),
        ({"name": "Blurr"}, "fixed[0]: unknown albumentations transform 'Blurr'. Did you mean 'Blur'?"),
    ],
)
def test_fixed_takes_no_random_transform(entry, message):
    (problem,) = problems(fixed=[entry])
    assert problem.startswith(message)


def test_fixed_accepts_a_crop_larger_than_the_trial_image():
    assert not problems(fixed=[{"name": "CenterCrop", "height": 2000, "width": 2000}])


@pytest.mark.parametrize(
    ("entries", "refused"),
    [
        ([{"name": "RandomScale", "p": 1.0}], True),
        ([{"name": "Pad", "padding": 4, "p": 1.0}], True),
        ([{"name": "RandomScale", "p": 1.0}, {"name": "RandomResizedCrop", "size": [64, 64], "p": 1.0}], False),
        ([{"name": "D4", "p": 1.0}], False),
        ([{"name": "RandomCrop", "height": 64, "width": 32, "p": 1.0}], False),
    ],
)
def test_a_size_that_varies_is_refused(entries, refused):
    found = problems(random=entries)
    assert bool(found) == refused
    assert all(problem.startswith("random: changes the size of images, 512 x 512 became ") for problem in found)


def test_all_problems_come_at_once():
    found = problems(fixed=[{"name": "Blurr"}], random=[{"name": "Blurr"}, {"name": "Blur", "a": 1, "b": 2}])
    assert [text.split(":")[0] for text in found] == ["fixed[0]", "random[0]", "random[1] Blur", "random[1] Blur"]


def test_albumentations_is_imported_without_its_search_for_a_newer_version():
    import subprocess
    import sys

    code = (
        "import socket, urllib.request\n"
        "def refuse(*a, **k): raise SystemExit('asked the network')\n"
        "urllib.request.OpenerDirector.open = refuse\n"
        "from compete.config.registry import Component\n"
        "from compete_plugins.transforms import albumentations\n"
        "check = Component('transforms', 'albumentations', albumentations, 'test').traits.check\n"
        "print(list(check(fixed=(), random=({'name': 'Blur'},))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
