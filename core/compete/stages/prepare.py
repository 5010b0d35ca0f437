"""From the TOML to a dataset to train on: tables, target, labels and folds, and every check before training."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import psutil

from compete.config.settings import STREAMS
from compete.data.columns import encode_columns
from compete.data.dataset import Dataset
from compete.data.folds import class_counts, missing_classes, split, split_once
from compete.data.leaks import (
    group_leaks,
    image_notes,
    linked_rows,
    placeholders,
    same_content,
    straddling,
    weights_leaks,
)
from compete.data.look_alikes import label_look_alikes, row_look_alikes
from compete.data.row_checks import label_problems, label_warnings, sample_problems, sample_warnings, table_problems
from compete.errors import ConfigError, DataError, PluginError, SubmissionError, code_of_others, error_location
from compete.files.root import Files
from compete.identity import folds_key
from compete.session import metric_for
from compete.stages.rehearse import rehearse_scores, rehearse_submission, rehearse_training
from compete.stages.run_folder import competition_folder
from compete.text import format_list, unknown_name
from compete.types import Member, Metric, Tables, Target, TopK
from compete.urls.stores import is_url, place_of

if TYPE_CHECKING:
    from torch import nn

    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.config.settings import Competition
    from compete.types import Array


def read_tables(config: Config) -> Tables:
    """Read the competition's rows, and check what all later stages rely on. Raise `DataError`."""
    try:
        tables: Tables = config.one("datasets").build(place_of(config.competition.root))
    except DataError as error:
        if is_url(config.competition.root) or Path(config.competition.root).is_dir():
            raise
        raise DataError([*error.problems, *_where_it_may_be(config)]) from None
    if not isinstance(tables, Tables):
        name, owner = config.one("datasets").name, config.one("datasets").component.owner
        raise PluginError(f"plugin {owner}: the dataset '{name}' returned {type(tables).__name__}: {STREAMS}.")
    problems = table_problems(tables)
    if not config.writes_own_ids:
        problems += sample_problems(tables)
    if problems:
        raise DataError([*problems, *tables.warnings])  # rows that the dataset dropped may be the missing ones
    return tables


def check_root(config: Config) -> None:
    """Raise `CompeteError` where the root is not there, before a run folder is made, maybe in the wrong place."""
    if is_url(config.competition.root):
        Files(config.competition.root)
    elif not Path(config.competition.root).is_dir():
        read_tables(config)


def _where_it_may_be(config: Config) -> list[str]:
    """Return where a missing root was looked for, and where the data may be or comes from."""
    root, toml = Path(config.competition.root), config.path
    if not root.is_absolute() and toml.name and (toml.parent / root).is_dir():
        place = shlex.quote(str(toml.parent))
        return [f'[competition] root = "{root}" is relative to the folder where you run compete: cd {place}']
    from_here = "" if root.is_absolute() else f" is relative to {Path.cwd()}, where you run compete; it"
    hint = f'[competition] root = "{root}"{from_here} must be the folder of the data: --set competition.root=FOLDER'
    return where_to_get(config.competition) or [hint]


def where_to_get(competition: Competition) -> list[str]:
    """Return where a competition's data comes from and where to put it; nothing when the TOML does not say."""
    root, url = competition.root, competition.url
    if "kaggle.com/competitions/" in url:
        return [f"put the data at {root}: compete download {url} {root}"]
    origin = ", ".join(part for part in (competition.source, url) if part)
    return [f"put the data at {root}. It comes from: {origin}"] if origin else []


def row_warnings(config: Config, tables: Tables, labels: Array, target: Target) -> list[str]:
    """Return warnings about rows and labels. Raise `DataError` for labels that the submission must not hold."""
    allowed = config.checks.allowed
    unseen, alike = _label_look_alikes(config, tables, labels, target)
    refused = unseen if config.checks.look_alike == "error" else []
    problems = [*refused, *label_problems(allowed, tables.train, labels, target.classes)]
    if problems:
        raise DataError(problems)
    warnings = [*tables.warnings, *unseen, *alike, *row_look_alikes(tables)]
    warnings += label_warnings(allowed, labels, target.classes)
    own_ids = config.writes_own_ids or not tables.has_test
    return warnings if own_ids else [*warnings, *sample_warnings(tables)]


def _label_look_alikes(config: Config, tables: Tables, labels: Array, target: Target) -> tuple[list[str], list[str]]:
    counts = class_counts(labels, len(target.classes))
    rows = {} if counts is None else dict(zip(target.classes, counts.tolist(), strict=True))
    return label_look_alikes(tables, rows, "replace" in config.one("datasets").component.option_names)


def fold_warnings(config: Config, train: pd.DataFrame, folds: Array, labels: Array, target: Target) -> list[str]:
    """Return the classes that some fold lacks. Raise `DataError` if its scores would mislead."""
    leaks = group_leaks(train, folds)
    if leaks:
        raise DataError(leaks)
    lacking = missing_classes(folds, labels, target, train["id"])
    if lacking and config.checks.missing_class == "error":
        raise DataError(
            [
                *(f"[folds]: {problem}" for problem in lacking),
                '[folds]: use fewer folds (n = ...) or stratified ones, or set [checks] missing_class = "warn".',
            ]
        )
    return lacking


def check_titles(titles: Mapping[str, str], target: Target) -> None:
    """Raise `ConfigError` for titles of unknown classes, and for a title of several classes."""
    unknown = [name for name in titles if name not in target.classes]
    if unknown:
        raise ConfigError(
            f"[competition] titles.{name}: {unknown_name('class', name, target.classes)}" for name in unknown
        )
    counts = Counter(titles.get(name, name) for name in target.classes) if titles else {}
    shared = [repr(title) for title, count in counts.items() if count > 1]
    if shared:
        raise ConfigError(f"[competition] titles: several classes have the title {format_list(shared)}")


def try_metric(metric: Metric, labels: Array, classes: int, top: int = 0) -> None:
    """Score perfect predictions, so that a metric that does not fit the target raises before training."""
    if labels.ndim > 1 or classes == 1:
        metric.score(labels, labels.reshape(len(labels), -1).astype(np.float64))  # (N,) or (N, C) -> (N, C)
    elif top:
        metric.score(labels, TopK(labels[:, None], np.ones((len(labels), 1), np.float32), classes))
    else:
        some = np.unique(labels, return_index=True)[1]  # one row per class: all rows would make (N, C)
        metric.score(labels[some], np.eye(classes)[labels[some]])


def check_scale(config: Config, metric: Metric, rows: int, target: Target) -> None:
    """Raise `ConfigError` if a component needs more than the best classes, or the predictions exceed the memory."""
    top, classes = config.inference.keep_top, len(target.classes)
    if not top:
        _refuse_too_large(rows, classes)
        return
    problems = []
    if not metric.top:
        problems.append(f'[metric] name = "{config.one("metrics").name}" needs every probability')
    elif metric.top > min(top, classes):
        problems.append(f'[metric] name = "{config.one("metrics").name}" uses the {metric.top} best classes')
    if len(target.heads) > 1 or classes < 2:
        problems.append(f'[target] name = "{config.one("targets").name}" does not choose one class among many')
    if not config.one("ensembles").component.traits.row_by_row:
        problems.append(f'[ensemble] name = "{config.one("ensembles").name}" does not work row by row. Use "mean"')
    if config.many("postprocessors"):
        problems.append("[[postprocess]] is fitted on every probability")
    if config.writes_own_ids:
        problems.append(f'[submission] name = "{config.one("submissions").name}" writes every probability')
    if problems:
        raise ConfigError([f"[inference] keep_top = {top}: {problem}." for problem in problems])


def _refuse_too_large(rows: int, classes: int) -> None:
    needed_bytes = rows * classes * 4
    memory_bytes = psutil.virtual_memory().total
    if needed_bytes > memory_bytes:
        raise ConfigError(
            f"[inference]: the members' predictions, {rows:,} rows of {classes:,} classes, take about "
            f"{needed_bytes / 2**30:,.0f} GiB, and this machine has {memory_bytes / 2**30:,.0f}. "
            "Set keep_top = 20 to keep the best 20 classes of a row."
        )


def choose_members(config: Config, folds: Array) -> list[Member]:
    """Return the members to train: every fold, or those of `only_folds`, with each seed."""
    known = sorted(set(folds[folds >= 0].tolist()))
    unknown = sorted(set(config.training.only_folds) - set(known))
    if not known:
        raise ConfigError(f'[folds] name = "{config.one("folds").name}": no row is in a fold, so nothing is validated')
    if unknown:
        raise ConfigError(f"[training] only_folds = {unknown}: the folds are {known}")
    chosen = config.training.only_folds or known
    seeds = [config.training.seed + number for number in range(config.training.seeds)]
    return [Member(fold, seed) for seed in seeds for fold in sorted(set(chosen))]


def refuse_weights_leaks(config: Config, train: pd.DataFrame, folds: Array, members: Sequence[Member]) -> None:
    """Raise `ConfigError` for weights of a member of a run that was trained on rows that are now validated."""
    model, validated = config.one("models"), sorted({member.fold for member in members})
    runs = competition_folder(config)
    named = {Path(value).resolve(): name for name, value in model.options.items() if isinstance(value, str)}
    leaks = [(file, weights_leaks(file, runs, train["id"], folds, validated)) for file in model.files]
    if problems := [f'[model] {named.get(file.resolve(), "")} = "{file}": {leak}' for file, leak in leaks if leak]:
        raise ConfigError(problems)


def prepare(config: Config, sources: Mapping[str, str], folds_folder: Path | None) -> Dataset:
    """Return rows, labels and folds. Raise `CompeteError` for all that is known to fail later.

    Runs share their folds through files in `folds_folder`; without it the folds are only drawn.
    """
    tables = read_tables(config)
    target: Target = config.one("targets").build(tables.train)
    check_titles(config.competition.titles, target)
    targets, labels = target.encode(tables.train), target.labels(tables.train)
    if (config.columns.numeric or config.columns.categorical) and config.many("batch_transforms"):
        raise ConfigError("[columns] and [[batch_transforms]] exclude each other: a mixed image has no columns")
    columns = encode_columns(config.columns, tables)
    warnings = row_warnings(config, tables, labels, target)
    folds, key = _folds(config, sources, tables.train, labels, folds_folder)
    warnings += fold_warnings(config, tables.train, folds, labels, target)
    warnings += image_notes(linked_rows(tables.train["image"].tolist()), tables.train["id"], folds, labels)
    metric, members = metric_for(config, target), choose_members(config, folds)
    refuse_weights_leaks(config, tables.train, folds, members)
    check_scale(config, metric, (len(tables.train) + len(tables.test)) * len(members), target)
    try_metric(metric, labels, len(target.classes), config.inference.keep_top)
    rehearse_scores(config, target, labels, folds, metric, members)
    rehearse_training(config, target, targets, labels, folds, members)
    if tables.has_test:
        rehearsed = rehearse_submission(config, tables, target, labels, metric)
        if rehearsed.problems:
            raise SubmissionError(rehearsed.problems)
        warnings += rehearsed.warnings
    return Dataset(tables, target, targets, labels, columns, folds, key, tuple(warnings))


def with_copies_together(
    config: Config, sources: Mapping[str, str], dataset: Dataset, digests: Sequence[str], folds_folder: Path
) -> Dataset:
    """Split again where files with the same bytes are in more than one fold; `digests` are those of all images.

    The dataset that is returned has the warnings of this alone.
    """
    train, folds, key = dataset.tables.train, dataset.folds, dataset.folds_key
    known, images = linked_rows(train["image"].tolist()), same_content(train["image"].tolist(), digests)
    linked = linked_rows(images)
    warnings = placeholders(images, train["id"])
    if linked is None or (known is not None and len(set(linked.tolist())) == len(set(known.tolist()))):
        return replace(dataset, warnings=tuple(warnings))
    if len(straddling(linked, folds)):
        together = train.assign(image=pd.Series(images, index=train.index, dtype=object))
        with suppress(DataError):  # too few different images for the folds
            found, new_key = _folds(config, sources, together, dataset.labels, folds_folder)
            if _is_no_worse(found, dataset):
                folds, key = found, new_key
    warnings += image_notes(linked, train["id"], folds, dataset.labels)
    return replace(dataset, folds=folds, folds_key=key, warnings=tuple(warnings))


def _is_no_worse(folds: Array, dataset: Dataset) -> bool:
    """Return whether every fold is there, and no more classes are missing in some."""
    before, after = (
        missing_classes(each, dataset.labels, dataset.target, dataset.tables.train["id"])
        for each in (dataset.folds, folds)
    )
    return set(folds.tolist()) == set(dataset.folds.tolist()) and len(after) <= len(before)


def _folds(
    config: Config, sources: Mapping[str, str], train: pd.DataFrame, labels: Array, folder: Path | None
) -> tuple[Array, str]:
    """Return the fold of each row (N,), and the key of the split."""
    bound, seed, key = config.one("folds"), config.fold_seed, folds_key(config, sources, train, labels)
    if folder is None:
        return split(bound, train, labels, seed), key
    return split_once(folder / f"{bound.name}-{key}.csv", bound, train, labels, seed), key


def match_hook(hook: BoundComponent, network: nn.Module) -> None:
    """Refuse a hook whose modules the network does not have."""

    def unfit(error: BaseException) -> ConfigError:
        return ConfigError(
            f'[[hooks]] name = "{hook.name}": does not suit the network: {error!r} at {error_location(error)}'
        )

    with code_of_others(unfit):
        watcher = hook.build()
        if hasattr(watcher, "match"):
            watcher.match(network)
