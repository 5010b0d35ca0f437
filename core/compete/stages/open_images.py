"""Open a run's images: the contents of their files, how they are decoded, and which are unreadable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compete.data.decoder import Decoder
from compete.data.images import ImageIndex, Images, ImageSet, open_image_set, unreadable_problem
from compete.data.loaders import augmented
from compete.errors import ConfigError, DataError
from compete.files.contents import Contents
from compete.files.root import Files
from compete.identity import digest, digest_bytes, pixels_key
from compete.text import plural, unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from compete.config.load import Config
    from compete.run import Session
    from compete.types import Image, Tables, Transform

MOST_LISTED = 5


@dataclass(frozen=True)
class ImageContents:
    """The digests of both tables' image files, in the order of their `ImageIndex`."""

    train: list[str]
    test: list[str]


def read_contents(session: Session, tables: Tables, files: Files) -> ImageContents:
    """Read the digests of the image files; unchanged files are not read again."""
    train, test = (ImageIndex.of(table).paths for table in (tables.train, tables.test))
    memory = Path(session.config.images.cache_dir) / "contents" / f"{digest(str(files.root))}.parquet"
    digests = Contents(memory, digest_bytes).digests(files, train + test, session.progress("read image files"))
    return ImageContents(digests[: len(train)], digests[len(train) :])


def open_images(
    session: Session, tables: Tables, files: Files, contents: ImageContents, sources: Mapping[str, str]
) -> Images:
    """Open the images. Unreadable ones raise `DataError` or, with `unreadable = "skip"`, are left out and reported."""
    config = session.config
    transforms: list[Transform] = [bound.build() for bound in config.many("transforms")]
    decoder = make_decoder(config, transforms, files)
    augment = augmentation(transforms)
    _try_augment(decoder, augment, tables.train)

    def opened(name: str, table: pd.DataFrame, digests: list[str]) -> ImageSet:
        key = pixels_key(config, sources, digests, ImageIndex.of(table).paths)
        return open_image_set(table, decoder, key, session.progress(f"decode {name}"))

    train, test = opened("train", tables.train, contents.train), opened("test", tables.test, contents.test)
    _report_unreadable(session, {"train": train, "test": test})
    return Images(train, test, augment)


def make_decoder(config: Config, transforms: list[Transform], files: Files) -> Decoder:
    """Return the decoder of the TOML for `files`, with the fixed transforms."""
    readers: dict[str, Any] = {name: c.factory for name, c in config.plugins.registry["readers"].items()}
    chosen = config.images.reader
    if chosen and chosen not in readers:
        raise ConfigError(f'[images] reader = "{chosen}": {unknown_name("reader", chosen, readers)}')
    return Decoder(files, readers, config.images, [t.fixed for t in transforms if t.fixed is not None])


def _try_augment(decoder: Decoder, augment: Callable[[Image, int], Image] | None, train: pd.DataFrame) -> None:
    """Augment the first readable image, so that a faulty transform raises before all images are decoded."""
    for path in ImageIndex.of(train.head(MOST_LISTED)).paths:
        try:
            image = decoder(path)
        except ValueError:  # unreadable images are reported together
            continue
        augmented(augment, image, seed=0)
        return


def _report_unreadable(session: Session, tables: Mapping[str, ImageSet]) -> None:
    damaged = {name: images for name, images in tables.items() if images.unreadable}
    if damaged and session.config.images.unreadable == "error":
        raise DataError(unreadable_problem(name, images) for name, images in damaged.items())
    for name, images in damaged.items():
        lost, rows = plural(len(images.unreadable), f"unreadable {name} image"), int((images.by_row.counts == 0).sum())
        session.warn(f"{lost} left out; {plural(rows, 'row')} without a readable image")
        for reason in list(images.unreadable.values())[:MOST_LISTED]:
            session.warn(f"unreadable: {reason}")


def augmentation(transforms: list[Transform]) -> Callable[[Image, int], Image] | None:
    """Chain the random parts of transforms, each with a seed of its own."""
    parts = [transform.random for transform in transforms if transform.random is not None]
    if len(parts) <= 1:
        return parts[0] if parts else None

    def run_all(image: Image, seed: int) -> Image:
        for number, part in enumerate(parts):
            image = part(image, (seed + number * 7919) % 2**31)
        return image

    return run_all
