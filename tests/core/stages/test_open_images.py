"""A run's images: what would stop all of them is found on a few, before any is cached; what is doubtful is counted."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from compete.errors import ConfigError, DataError

CROP = 'transforms=[{{name="albumentations", {}=[{{name="RandomCrop", height={}, width=4, p={}}}]}}]'


def nothing_read(tiny):
    return not (tiny / ".compete/cache").exists()


def empty(tiny, *names):
    for name in names:
        (tiny / f"data/{name}.png").write_bytes(b"")


@pytest.mark.parametrize(("overrides", "message"), [
    (("images.channels=1", 'model={name="resnet9",width=4}'),
     r"8 of 8 train images tried cannot be read:\n  train/p00_0.png: its shape is \(8, 8, 3\), but \[images\] channels = 1"),
    ((CROP.format("random", 9, 0.02),), "transform RandomCrop failed on an image of shape .*Crop size"),
    ((CROP.format("random", 4, 0.02),), r"an image of shape \(8, 8, 3\) became \(4, 4, 3\)"),
    (('transforms=[{name="albumentations", fixed=[{name="CenterCrop", height=9, width=9}]}]',),
     r"8 of 8 train images tried cannot be read:\n  train/p00_0.png: transform CenterCrop failed"),
    (('transforms=[{name="channels", keep=[3, 3, 3]}]',), "keep = 3: images have 3 channels, from 0"),
    (("images.reader=raw", "images.value_range=[0,4095]"), r'\[images\] value_range: the reader "raw" does not use it'),
    (("images.reader=nope",), r'\[images\] reader = "nope": unknown reader'),
    (('transforms=[{name="wrong"}]',), "an image of type uint8 became float64. Its type must stay"),
    (('transforms=[{name="listed"}]',), "an image of type uint8 became list"),
])  # fmt: skip
def test_what_fails_for_all_images_is_found_before_all_are_read(tiny, make_run, overrides, message):
    plugin = tiny / "tiny_plugin.py"
    plugin.write_text(
        plugin.read_text()
        + """

from compete import Transform

def wrong():
    return Transform(random=lambda image, seed: image / 1.0 if seed == 30 else image)

def listed():
    return Transform(random=lambda image, seed: image.tolist())

@hookimpl
def register_transforms():
    return {"wrong": wrong, "listed": listed}
"""
    )
    with pytest.raises((ConfigError, DataError), match=message):
        make_run(*overrides)
    assert nothing_read(tiny)


def test_weights_and_size_are_checked_before_images_are_read(tiny, make_run):
    empty(tiny, "train/p03_1")
    model = 'model={name="timm", backbone="BACKBONE", weights="none.pth"}'
    with pytest.raises(ConfigError, match=r"weights = 'none.pth': no such file"):
        make_run(model.replace("BACKBONE", "resnet10t"))
    with pytest.raises(ConfigError, match=r"cannot take images of shape \(3, 8, 8\)"):
        make_run('model={name="timm", backbone="test_vit"}')
    assert nothing_read(tiny)


def test_an_empty_file_is_called_empty_and_the_advice_is_for_its_table(tiny, make_run):
    empty(tiny, "train/p03_1", "test/t2")
    with pytest.raises(DataError) as caught:
        make_run()
    train, test = caught.value.problems
    assert train == (
        "1 of 24 train images cannot be read:\n  train/p03_1.png: the file is empty.\n"
        '  Repair or replace them. Or leave them out of training: set [images] unreadable = "skip".'
    )
    assert test == (
        "1 of 7 test images cannot be read:\n  test/t2.png: the file is empty.\n  Repair or replace them. A test row "
        'cannot be left out: with [images] unreadable = "skip" one without a readable image gets the mean prediction.'
    )


@pytest.mark.parametrize("table", ["train", "test"])
@pytest.mark.parametrize("cache", ["true", "false"])
def test_a_table_without_a_readable_image_is_refused_before_training(tiny, make_run, table, cache):
    paths = sorted((tiny / f"data/{table}").glob("*.png"))
    empty(tiny, *(f"{table}/{path.stem}" for path in paths))
    with pytest.raises(DataError, match=rf"{len(paths)} of {len(paths)} {table} images cannot be read"):
        make_run("images.unreadable=skip", f"images.cache={cache}")


def test_doubtful_images_are_counted_with_share_and_names(tiny, make_run):
    for path in sorted((tiny / "data/train").glob("*.png")):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)).save(path)
    Image.new("RGBA", (8, 8)).save(tiny / "data/train/p03_1.png")
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tiny / "data/train/p02_0.png", format="GIF", save_all=True, append_images=frames[1:])
    for cache in ("true", "true", "false", "false"):  # the second of each from what is known
        warnings = make_run(f"images.cache={cache}").session.warnings
        assert (
            "images whose pixels all have one value; for drawings on a transparent ground see [images] background: "
            "1 of 24 train images (4.2%): train/p03_1.png"
        ) in warnings
        expected = "files of several frames, of which the first is read: 1 of 24 train images (4.2%): train/p02_0.png"
        assert expected in warnings


def test_a_damaged_cache_is_reported_and_built_again(tiny, make_run):
    images = [*map(np.array, make_run().images.train.images)]
    for path in (tiny / ".compete/cache").glob("*.npy"):
        path.write_bytes(path.read_bytes().replace(b"|u1", b"|O1"))
    run = make_run()
    assert "the cache of the train images was damaged, and they are decoded again" in run.session.warnings
    np.testing.assert_array_equal(run.images.train.images, images)
    assert not any("damaged" in warning for warning in make_run().session.warnings)
