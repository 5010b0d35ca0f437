"""Go through a run of a TOML without training: what it prepares, and some images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compete.config.load import load_config
from compete.errors import CompeteError, UserError
from compete.files.scan import spread
from compete.identity import read_sources
from compete.stages.open_images import make_decoder
from compete.stages.prepare import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from compete.config.load import Config
    from compete.files.root import Files
    from compete.types import Tables

MOST_IMAGES = 8


def rehearse(path: Path, files: Files) -> tuple[list[str], str, list[str]]:
    """Return what would stop a run of the TOML, or else what it would work on, and what is doubtful about its cells.

    `files` reads below its root.
    """
    try:
        config = load_config(path)
        dataset = prepare(config, read_sources(config), folds_folder=None)
        problems = list(_unreadable(config, dataset.tables, files))
    except UserError as error:
        return error.problems, "", []
    except CompeteError as error:
        return [str(error)], "", []
    train, test = len(dataset.tables.train), len(dataset.tables.test)
    tests = f"{test} test rows" if test else "no test set"
    seen = f"{train} training rows, {tests}, {len(dataset.target.classes)} predictions each"
    doubts = [warning for warning in dataset.warnings if warning.startswith("[submission]")]
    return problems, seen, [*dataset.tables.warnings, *doubts]


def _unreadable(config: Config, tables: Tables, files: Files) -> Iterator[str]:
    """Decode a few images of both tables, and yield what is wrong with them, each fault once."""
    known: set[str] = set()
    decode = make_decoder(config, [bound.build() for bound in config.many("transforms")], files)
    for table in (tables.train, tables.test):
        for image in spread([image for image in table["image"] if image], MOST_IMAGES):
            path = image[0] if isinstance(image, list) else image
            try:
                decode(path)
            except ValueError as error:
                fault = str(error).removeprefix(f"{path}: ")
                if fault not in known:
                    known.add(fault)
                    yield f"unreadable image: {path}: {fault}"
