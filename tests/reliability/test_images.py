"""Images that cannot be read: named and refused, or counted and left out; a test row never disappears."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compete.api.result import Result
from compete.config.load import load_config
from compete.errors import DataError
from compete.stages.runner import run_competition

FAST = ("training.epochs=1", "training.workers=0")
SKIP = "images.unreadable=skip"


def jpeg(path: Path) -> bytes:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path, "JPEG")
    return path.read_bytes()


DAMAGES = {
    "cut PNG": lambda path: path.write_bytes(path.read_bytes()[:90]),
    "cut JPEG": lambda path: path.write_bytes(jpeg(path)[:-400]),
    "empty": lambda path: path.write_bytes(b""),
    "a page of HTML": lambda path: path.write_text("<!doctype html><title>404</title>"),
}
# p03 is validated in one fold and trained on in the two others.
IMAGES = {"train": "train/p03_1.png", "test": "test/t2.png"}


def run(tiny: Path, *overrides: str, **options: object):
    return Result.of(run_competition(load_config(tiny / "tiny.toml", [*FAST, *overrides]), **options))


@pytest.mark.promise("An unreadable image in train, valid or test: refused with its path (n: damages and ways to read)")
@pytest.mark.parametrize("table", IMAGES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_an_unreadable_image_is_refused(tiny, count, damage, table):
    DAMAGES[damage](tiny / "data" / IMAGES[table])
    for cache in ("true", "false"):
        with pytest.raises(DataError, match=IMAGES[table]):
            run(tiny, f"images.cache={cache}", "training.only_folds=[0]", fresh=True)
    count(2)


@pytest.mark.promise("An unreadable image in train, valid or test: refused with its path (n: damages and ways to read)")
@pytest.mark.parametrize("table", IMAGES)
def test_an_unreadable_image_is_found_before_training_without_a_cache_too(tiny, compete, table):
    DAMAGES["cut PNG"](tiny / "data" / IMAGES[table])
    status, text = compete("run", "tiny.toml", "--set", "images.cache=false", "--set", "training.workers=2")
    assert status == 2 and f"images cannot be read:\n  {IMAGES[table]}: " in text and "epoch" not in text


@pytest.mark.promise("An unreadable image in train, valid or test: refused with its path (n: damages and ways to read)")
def test_an_image_that_is_damaged_while_a_loader_process_reads_is_refused(tiny, make_run):
    from compete.train.loop import train_epoch
    from compete.train.trainer import build_trainer
    from compete.types import Member

    run = make_run("images.cache=false", "training.workers=2")
    fold = int(run.dataset.folds[run.tables.train["image"].tolist().index(IMAGES["train"])])
    DAMAGES["cut PNG"](tiny / "data" / IMAGES["train"])
    with pytest.raises(DataError, match=f"unreadable image: {IMAGES['train']}: "):
        train_epoch(build_trainer(run, Member((fold + 1) % 3, 42)))


@pytest.mark.promise("An unreadable image in train, valid or test: refused with its path (n: damages and ways to read)")
def test_an_unreadable_validation_image(tiny, make_run):
    from compete.train.loop import train_epoch, validate
    from compete.train.trainer import build_trainer
    from compete.types import Member

    run = make_run("images.cache=false")
    fold = int(run.dataset.folds[run.tables.train["image"].tolist().index(IMAGES["train"])])
    DAMAGES["cut PNG"](tiny / "data" / IMAGES["train"])
    trainer = build_trainer(run, Member(fold, 42))
    train_epoch(trainer)
    with pytest.raises(DataError, match=IMAGES["train"]):
        validate(trainer)


@pytest.mark.promise(
    'unreadable = "skip": counted and listed, left out of training; every test row is in the submission'
)
@pytest.mark.parametrize("damage", DAMAGES)
def test_unreadable_images_are_left_out(tiny, count, damage):
    for path in IMAGES.values():
        DAMAGES[damage](tiny / "data" / path)
    for cache in ("true", "false"):
        done = run(tiny, SKIP, f"images.cache={cache}", fresh=True)
        for table, path in IMAGES.items():
            assert f"1 unreadable {table} image left out; 1 row without a readable image" in done.warnings
            assert any(warning.startswith(f"unreadable: {path}: ") for warning in done.warnings)
        oof = pd.read_parquet(done.folder / "oof.parquet").set_index("id")
        assert oof["a"].isna().sum() == 1 and np.isnan(oof.loc["p03_1", "a"])
        assert len(pd.read_csv(done.folder / "submission.csv")) == 7
        assert "1 test row has no readable image and got the mean prediction: t2" in done.warnings
        test = pd.read_parquet(done.folder / "test.parquet").set_index("id")
        assert np.allclose(test.loc["t2"], test.drop("t2").mean(), atol=1e-6)
    count(2)


@pytest.mark.promise("An unreadable image is tried again at the next start")
def test_what_could_not_be_read_is_tried_again(tiny):
    """Size and time are the same afterwards, as after a bad moment of a network drive."""
    image = tiny / "data" / IMAGES["train"]
    times, good = image.stat(), image.read_bytes()
    image.write_bytes(bytes(len(good)))
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DataError, match=r"1 of 24 train images cannot be read:\n  train/p03_1.png: "):
        run(tiny)
    caches = set((tiny / ".compete/cache").glob("*.npy"))
    image.write_bytes(good)
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    done = run_competition(load_config(tiny / "tiny.toml", FAST))
    assert not any("readable" in warning for warning in done.session.warnings)
    assert caches < set((tiny / ".compete/cache").glob("*.npy"))
    assert all(image.any() for image in done.images.train.images)
