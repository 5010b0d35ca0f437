"""Open a run's images: the contents of their files, how they are decoded, and which are unreadable."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from compete.data.decoder import READER_SETTINGS, Bytes, Decoder, reader_parameters
from compete.data.images import ImageIndex, Images, ImageSet, open_image_set, unreadable_problem
from compete.data.loaders import augmented
from compete.errors import ConfigError, DataError
from compete.files.contents import Contents
from compete.files.root import Files
from compete.files.scan import spread
from compete.identity import digest, digest_bytes, digest_of_mark, pixels_key
from compete.predict.inference import views_of
from compete.text import format_first, plural, unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from compete.config.load import Config
    from compete.session import Session
    from compete.types import Image, Tables, Transform

MOST_LISTED, MOST_TRIED = 5, 8
MOST_SEEDS, LONGEST_TRY_S = 200, 2.0  # of the augmentation's try
Augment = Callable[["Image", int], "Image"]


@dataclass(frozen=True)
class ImageContents:
    """The digests of both tables' image files, in the order of their `ImageIndex`."""

    train: list[str]
    test: list[str]


def read_contents(session: Session, tables: Tables, files: Files) -> ImageContents:
    """Read the digests of the image files; unchanged files are not read again."""
    train, test = (ImageIndex.of(table).paths for table in (tables.train, tables.test))
    memory = Path(session.config.images.cache_dir) / "contents" / f"{digest(files.where)}.parquet"
    digests = Contents(memory, digest_bytes, digest_of_mark).digests(
        files, train + test, session.progress("read image files")
    )
    return ImageContents(digests[: len(train)], digests[len(train) :])


def try_images(config: Config, tables: Tables, files: Files) -> None:
    """Read and augment a few images, so that what would fail for all is found before all are read and decoded."""
    decoder, augment = _pipeline(config, files)
    for name, table in (("train", tables.train), ("test", tables.test)):
        paths = spread(ImageIndex.of(table).paths, MOST_TRIED)
        images: list[Image] = []
        reasons: list[str] = []
        for path in paths:
            try:
                images.append(decoder(path))
            except ValueError as error:
                reasons.append(str(error))
        if reasons and not images and config.images.unreadable == "error":
            raise DataError(unreadable_problem(name, reasons, f"{plural(len(paths), f'{name} image')} tried"))
        if name == "train" and images and augment is not None:
            _try_augment(augment, images[0])


def try_views(config: Config) -> None:
    """Refuse a TTA that cannot make its views before training, not after it."""
    images = torch.zeros(1, config.images.channels, *config.images.size)
    for view in views_of([bound.build() for bound in config.many("tta")])(images):
        if view.shape != images.shape:
            raise ConfigError(f"[[tta]]: a view has shape {tuple(view.shape)}, not {tuple(images.shape)} as its image")


def open_images(
    session: Session, tables: Tables, files: Files, contents: ImageContents, sources: Mapping[str, str]
) -> Images:
    """Open the images. Unreadable ones raise `DataError` or, with `unreadable = "skip"`, are left out and reported."""
    config = session.config
    decoder, augment = _pipeline(config, files)

    def opened(name: str, table: pd.DataFrame, digests: list[str]) -> ImageSet:
        key = pixels_key(config, sources, digests, ImageIndex.of(table).paths)
        return open_image_set(table, decoder, key, session.progress(f"decode {name}"))

    train, test = opened("train", tables.train, contents.train), opened("test", tables.test, contents.test)
    _report_unreadable(session, {"train": train, "test": test})
    for name, images in (("train", train), ("test", test)):
        if images.damaged:
            session.warn(f"the cache of the {name} images was damaged, and they are decoded again")
        for text, note in images.notes.items():
            count, total = note["count"], len(images.images)
            share = f"{count:,} of {plural(total, f'{name} image')} ({count / total:.1%})"
            session.warn(f"{text}: {share}: {format_first(note['first'], total=count)}")
    return Images(train, test, augment)


def _pipeline(config: Config, files: Files) -> tuple[Decoder, Augment | None]:
    transforms: list[Transform] = [bound.build() for bound in config.many("transforms")]
    return make_decoder(config, transforms, files), augmentation(transforms)


def make_decoder(config: Config, transforms: list[Transform], files: Bytes) -> Decoder:
    """Return the decoder of the TOML for `files`, with the fixed transforms."""
    readers: dict[str, Any] = {name: c.factory for name, c in config.plugins.registry["readers"].items()}
    chosen = config.images.reader
    if chosen and chosen not in readers:
        raise ConfigError(f'[images] reader = "{chosen}": {unknown_name("reader", chosen, readers)}')
    set_by_hand = config.images.model_fields_set.intersection(READER_SETTINGS) - {"channels"}
    unused = set_by_hand - reader_parameters(readers[chosen]) if chosen else set()
    if unused:
        raise ConfigError(
            f'[images] {name}: the reader "{chosen}" does not use it. Remove it.' for name in sorted(unused)
        )
    return Decoder(files, readers, config.images, [t.fixed for t in transforms if t.fixed is not None])


def _try_augment(augment: Augment, image: Image) -> None:
    """Augment an image with many seeds, as a part that is drawn rarely may be the faulty one."""
    end = time.monotonic() + LONGEST_TRY_S
    for seed in range(MOST_SEEDS):
        augmented(augment, image, seed)
        if time.monotonic() > end:
            return


def _report_unreadable(session: Session, tables: Mapping[str, ImageSet]) -> None:
    damaged = {name: images for name, images in tables.items() if images.unreadable}
    refused = [
        name
        for name, images in damaged.items()
        if session.config.images.unreadable == "error" or not images.by_row.counts.any()
    ]
    if refused:
        raise DataError(
            unreadable_problem(
                name, [*damaged[name].unreadable.values()], plural(len(damaged[name].images), f"{name} image")
            )
            for name in refused
        )
    for name, images in damaged.items():
        lost, rows = plural(len(images.unreadable), f"unreadable {name} image"), int((images.by_row.counts == 0).sum())
        session.warn(f"{lost} left out; {plural(rows, 'row')} without a readable image")
        for reason in list(images.unreadable.values())[:MOST_LISTED]:
            session.warn(f"unreadable: {reason}")


def augmentation(transforms: list[Transform]) -> Augment | None:
    """Chain the random parts of transforms, each with a seed of its own."""
    parts = [transform.random for transform in transforms if transform.random is not None]
    if len(parts) <= 1:
        return parts[0] if parts else None

    def run_all(image: Image, seed: int) -> Image:
        for number, part in enumerate(parts):
            image = part(image, (seed + number * 7919) % 2**31)
        return image

    return run_all
