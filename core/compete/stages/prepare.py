"""From the TOML to data that can be trained on: tables, target, folds, images, and every check before training."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compete.data.columns import encode_columns
from compete.data.folds import group_leaks, make_folds, missing_classes
from compete.data.images import Decoder, ImageIndex, ImageSet, open_image_set, options_text, refuse_unreadable
from compete.data.loaders import ImagesByRow, augmented
from compete.data.row_checks import label_problems, label_warnings, sample_problems, sample_warnings, table_problems
from compete.errors import ConfigError, DataError, SubmissionError
from compete.files.root import Files
from compete.predict.top_k import TopK
from compete.run import Data, Prepared, Run, metric_for
from compete.stages.rehearse import rehearse_submission
from compete.stages.run_folder import competition_folder
from compete.store import fingerprint
from compete.text import did_you_mean
from compete.types import Member, Metric, Tables, Target, Transform

if TYPE_CHECKING:
    import pandas as pd

    from compete.config.load import Config
    from compete.types import Array, Image

SHOWN = 5


def read_tables(config: Config) -> Tables:
    """Read the competition's rows and check what every later stage relies on."""
    root = Path(config.competition.root)
    tables: Tables = config.one("datasets").build(root)
    problems = table_problems(tables)
    if not config.writes_own_ids:
        problems += sample_problems(tables)
    if problems:
        raise DataError([*problems, *tables.warnings])  # rows that the dataset has lost may be those that are missing
    return tables


def check_rows(run: Run, tables: Tables, labels: Array, target: Target) -> None:
    """Stop before training where labels are not those of the submission; warn of rows that go nowhere."""
    allowed = run.config.checks.allowed
    problems = label_problems(allowed, tables.train, labels, target.classes)
    if problems:
        raise DataError(problems)
    warnings = [*tables.warnings, *label_warnings(allowed, labels, target.classes)]
    for warning in [*warnings, *([] if run.config.writes_own_ids else sample_warnings(tables))]:
        run.warn(warning)


def check_folds(run: Run, train: pd.DataFrame, folds: Array, labels: Array, target: Target) -> None:
    """Stop before training when the folds would mislead."""
    leaks = group_leaks(train, folds)
    if leaks:
        raise DataError(leaks)
    lacking = missing_classes(folds, labels, target, train["id"])
    if lacking and run.config.checks.missing_class == "error":
        raise DataError(
            [
                *(f"[folds]: {problem}" for problem in lacking),
                '[folds]: use fewer folds (n = ...) or stratified ones, or write [checks] missing_class = "warn".',
            ]
        )
    for problem in lacking:
        run.warn(problem)


def check_titles(titles: Mapping[str, str], target: Target) -> None:
    """Refuse titles of classes that there are not, and one title for two classes."""
    unknown = [name for name in titles if name not in target.classes]
    if unknown:
        raise ConfigError(
            f"[competition] titles.{name}: there is no such class.{did_you_mean(name, target.classes)}"
            for name in unknown
        )
    shown = [titles.get(name, name) for name in target.classes]
    twice = sorted({title for title in shown if shown.count(title) > 1}) if titles else []
    if twice:
        raise ConfigError(f"[competition] titles: several classes would be called {', '.join(map(repr, twice))}")


def try_metric(metric: Metric, labels: Array, classes: int, top: int = 0) -> None:
    """Score perfect predictions, so that a metric that does not suit the target is found before training."""
    if labels.ndim > 1 or classes == 1:
        metric.score(labels, labels.reshape(len(labels), -1).astype(np.float64))
    elif top:
        metric.score(labels, TopK(labels[:, None], np.ones((len(labels), 1), np.float32), classes))
    else:
        some = np.unique(labels, return_index=True)[1]  # each class once: all rows would make (N, C)
        metric.score(labels[some], np.eye(classes)[labels[some]])


def check_scale(config: Config, metric: Metric, rows: int, target: Target) -> None:
    """Refuse what the best classes alone cannot serve, and predictions of so many rows that memory cannot hold."""
    top, classes = config.inference.keep_top, len(target.classes)
    if not top:
        _refuse_too_large(rows, classes)
        return
    problems = []
    if not metric.top:
        problems.append(f'[metric] name = "{config.one("metrics").name}" needs every probability')
    elif metric.top > min(top, classes):
        problems.append(f"the metric looks at the {metric.top} best classes")
    if len(target.heads) > 1 or classes < 2:
        problems.append(f'[target] name = "{config.one("targets").name}" is no choice of one class among many')
    if not config.one("ensembles").component.traits.row_by_row:
        problems.append(f'[ensemble] name = "{config.one("ensembles").name}" does not work row by row. Use "mean"')
    if config.many("postprocessors"):
        problems.append("[[postprocess]] is fitted on every probability")
    if config.writes_own_ids:
        problems.append(f'[submission] name = "{config.one("submissions").name}" writes every probability')
    if problems:
        raise ConfigError([f"[inference] keep_top = {top}: {problem}." for problem in problems])


def _refuse_too_large(rows: int, classes: int) -> None:
    needed = rows * classes * 4
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ConfigError(
            f"[inference]: the members' predictions, {rows:,} rows of {classes:,} classes, take about "
            f"{needed / 2**30:,.0f} GiB, and this machine has {there / 2**30:,.0f}. "
            "Write keep_top = 20 to keep the best 20 classes of a row."
        )


def choose_members(config: Config, folds: Array) -> list[Member]:
    """Return the members to train: every fold, or those asked for, with each seed."""
    there = sorted(set(folds[folds >= 0].tolist()))
    unknown = sorted(set(config.training.only_folds) - set(there))
    if unknown or not there:
        raise ConfigError(f"[training] only_folds = {unknown}: the folds are {there}")
    chosen = config.training.only_folds or there
    seeds = [config.training.seed + number for number in range(config.training.seeds)]
    return [Member(fold, seed) for seed in seeds for fold in sorted(set(chosen))]


def prepare(run: Run) -> Prepared:
    """Stage 1: tables, target, encoded targets, labels, folds; and whatever can be known to fail after training."""
    config = run.config
    tables = read_tables(config)
    target: Target = config.one("targets").build(tables.train)
    check_titles(config.competition.titles, target)
    encoded, labels = target.encode(tables.train), target.labels(tables.train)
    if (config.columns.numeric or config.columns.categorical) and config.many("batch_transforms"):
        raise ConfigError("[columns] and [[batch_transforms]] exclude each other: a mixed image has no columns")
    columns = encode_columns(config.columns, tables)
    check_rows(run, tables, labels, target)
    folds, key = make_folds(config, tables.train, labels, competition_folder(config) / "folds")
    check_folds(run, tables.train, folds, labels, target)
    run.members = choose_members(config, folds)
    metric = metric_for(config, target)
    check_scale(config, metric, (len(tables.train) + len(tables.test)) * len(run.members), target)
    try_metric(metric, labels, len(target.classes), config.inference.keep_top)
    problems = rehearse_submission(config, tables, target, labels, metric)
    if problems:
        raise SubmissionError(problems)
    return Prepared(tables, target, encoded, labels, folds, key, columns)


def open_data(run: Run, prepared: Prepared) -> Data:
    """Stage 2: open the images; what cannot be read stops the run or, if the TOML says so, is left out."""
    tables, target, encoded, labels, folds, key, columns = prepared
    config = run.config
    bounds = config.many("transforms")
    transforms: list[Transform] = [bound.build() for bound in bounds]
    decoder = make_decoder(config, transforms, Files(Path(config.competition.root)))
    components = [*(bound.component for bound in bounds), *config.plugins.registry["readers"].values()]
    chain = [(bound.name, bound.options.get("fixed", bound.options)) for bound in bounds]
    random = _chain([t.random for t in transforms if t.random is not None])
    _try_random(decoder, random, tables.train)
    options = options_text([chain, config.hashes_of(components)])
    opened = {
        name: _open(run, name, table, decoder, options)
        for name, table in (("train", tables.train), ("test", tables.test))
    }
    (train, train_rows), (test, test_rows) = opened["train"], opened["test"]
    train_columns, test_columns = (columns.train, columns.test) if columns else (None, None)
    return Data(
        tables=tables,
        target=target,
        encoded=encoded,
        labels=labels,
        folds=folds,
        train=train,
        test=test,
        train_rows=train_rows,
        test_rows=test_rows,
        columns=columns,
        random=random,
        fingerprint=_table_fingerprint(tables.train, train, train_rows, encoded, target.classes, train_columns),
        test_fingerprint=_table_fingerprint(tables.test, test, test_rows, test_columns),
        folds_fingerprint=key,
    )


def _try_random(decoder: Decoder, random: Callable[[Image, int], Image] | None, train: pd.DataFrame) -> None:
    """Augment the first image, so that a transform that changes its size is found before all are decoded."""
    for path in ImageIndex.of(train.head(SHOWN)).paths:
        try:
            image = decoder(path)
        except ValueError:  # unreadable images are told together
            continue
        augmented(random, image, seed=0)
        return


def _table_fingerprint(table: pd.DataFrame, opened: ImageSet, of_row: ImagesByRow, *more: object) -> str:
    """Sum up a table's ids and images, which of them belong together, and what else is known of its rows."""
    return fingerprint("\n".join(table["id"]), opened.key, of_row.numbers, of_row.starts, *more)


def make_decoder(config: Config, transforms: Sequence[Transform], files: Files) -> Decoder:
    """Make what reads images from `files` as the TOML says, fixed transforms included."""
    readers: dict[str, Any] = {name: c.factory for name, c in config.plugins.registry["readers"].items()}
    chosen = config.images.reader
    if chosen and chosen not in readers:
        raise ConfigError(f'[images] reader = "{chosen}": there is none.{did_you_mean(chosen, readers)}')
    return Decoder(files, readers, config.images, [t.fixed for t in transforms if t.fixed is not None])


def _open(run: Run, name: str, table: pd.DataFrame, decoder: Decoder, options: str) -> tuple[ImageSet, ImagesByRow]:
    listed = ImageIndex.of(table)
    opened = open_image_set(listed.paths, decoder, options, run.progress(f"decode {name}"))
    of_row = ImagesByRow(listed.rows, len(table))
    if opened.unreadable:
        if run.config.images.unreadable == "error":
            refuse_unreadable(name, opened)
        bad = np.array(sorted(opened.unreadable))
        of_row = of_row.without(bad)
        lost = int((of_row.counts == 0).sum())
        run.warn(f"{len(bad)} {name} images cannot be read and are left out; {lost} rows have no image left")
        for reason in list(opened.unreadable.values())[:SHOWN]:
            run.warn(f"unreadable: {reason}")
    return opened, of_row


def _chain(parts: list[Callable[[Image, int], Image]]) -> Callable[[Image, int], Image] | None:
    """Run several random transforms one after the other, each with a seed of its own."""
    if len(parts) <= 1:
        return parts[0] if parts else None

    def run_all(image: Image, seed: int) -> Image:
        for number, part in enumerate(parts):
            image = part(image, (seed + number * 7919) % 2**31)
        return image

    return run_all
