"""Go through a run of a TOML without training: its rows, target, folds, some images, and a made-up submission."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compete.config.load import load_config
from compete.data.folds import group_leaks, missing_classes
from compete.errors import CompeteError, UserError
from compete.init.scan import spread
from compete.run import metric_for
from compete.stages.open_images import make_decoder
from compete.stages.prepare import check_scale, read_tables, try_metric
from compete.stages.rehearse import rehearse_submission

if TYPE_CHECKING:
    from pathlib import Path

    from compete.config.load import Config
    from compete.files.root import Files
    from compete.types import Array, Tables, Target

MOST_CELLS, MOST_IMAGES = 20_000_000, 8


def rehearse(path: Path, files: Files) -> tuple[list[str], str]:
    """Return what would stop a run of the TOML, and what was seen where nothing would; `files` reads below its root."""
    try:
        config = load_config(path)
        tables = read_tables(config)
        target: Target = config.one("targets").build(tables.train)
        metric, rows = metric_for(config, target), len(tables.train) + len(tables.test)
        check_scale(config, metric, rows * config.one("folds").options.get("n", 1) * config.training.seeds, target)
        problems = _image_problems(config, tables, files)
        if config.inference.keep_top or rows * len(target.classes) <= MOST_CELLS:
            labels = target.labels(tables.train)
            problems += _fold_problems(config, tables, target, labels)
            try_metric(metric, labels, len(target.classes), config.inference.keep_top)
            problems += rehearse_submission(config, tables, target, labels, metric)
    except UserError as error:
        return error.problems, ""
    except CompeteError as error:
        return [str(error)], ""
    seen = f"{len(tables.train)} training rows, {len(tables.test)} test rows, {len(target.classes)} predictions each"
    return problems, "" if problems else seen


def _fold_problems(config: Config, tables: Tables, target: Target, labels: Array) -> list[str]:
    folds = config.one("folds").build(tables.train, labels, config.training.seed)
    lacking = (
        missing_classes(folds, labels, target, tables.train["id"]) if config.checks.missing_class == "error" else []
    )
    return [*group_leaks(tables.train, folds), *lacking]


def _image_problems(config: Config, tables: Tables, files: Files) -> list[str]:
    """Decode a few images of both tables."""
    decode = make_decoder(config, [bound.build() for bound in config.many("transforms")], files)
    problems = []
    for table in (tables.train, tables.test):
        for image in spread([image for image in table["image"] if image], MOST_IMAGES):
            try:
                decode(image[0] if isinstance(image, list) else image)
            except ValueError as error:
                problems.append(f"unreadable image: {error}")
    return problems
