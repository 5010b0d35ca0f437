"""From the TOML to data that can be trained on: tables, target, folds, pictures, and every check before training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compete.errors import ConfigError, DataError, did_you_mean
from compete.files import Files
from compete.foldfile import group_leaks, make_folds, missing_classes
from compete.images import Decoder, Opened, PictureList, open_pictures, options_text, refuse_unreadable
from compete.loaders import group_pictures
from compete.runfolder import competition_folder
from compete.runs import Data, Prepared, Run
from compete.store import fingerprint
from compete.types import Member, Metric, Tables, Target, Transform

if TYPE_CHECKING:
    import pandas as pd

    from compete.config import Config
    from compete.types import Array, Image

SHOWN = 5


def read_tables(config: Config) -> Tables:
    """Read the competition's rows and check what every later stage relies on."""
    root = Path(config.competition.root)
    tables: Tables = config.one("datasets").build(root)
    problems = _table_problems(tables)
    if not config.writes_own_ids:
        problems += _sample_problems(tables)
    if problems:
        raise DataError(problems)
    return tables


def _table_problems(tables: Tables) -> list[str]:
    problems = []
    for name, table in (("train", tables.train), ("test", tables.test)):
        lacking = [column for column in ("id", "image") if column not in table]
        if lacking:
            problems.append(f"[dataset]: the {name} table has no column {' and no column '.join(lacking)}")
        elif table.empty:
            problems.append(f"[dataset]: the {name} table has no rows")
        elif table["id"].duplicated().any():
            twice = table.loc[table["id"].duplicated(), "id"].head(SHOWN).tolist()
            problems.append(f"[dataset]: ids occur twice in the {name} table: {', '.join(map(str, twice))}")
    return problems


def _sample_problems(tables: Tables) -> list[str]:
    """Test ids that do not match the sample submission are found before training, not after."""
    if "id" not in tables.test:
        return []
    known = set(tables.test["id"])
    unknown = [identity for identity in tables.sample.iloc[:, 0] if identity not in known]
    if not unknown:
        return []
    return [
        f"[dataset]: {len(unknown)} of {len(tables.sample)} ids of the sample submission are not in the test table: "
        f"{', '.join(map(str, unknown[:SHOWN]))}.{did_you_mean(unknown[0], list(map(str, known))[:10_000])}"
    ]


def check_folds(run: Run, train: pd.DataFrame, folds: Array, answers: Array, target: Target) -> None:
    """Stop before training when the folds would mislead."""
    leaks = group_leaks(train, folds)
    if leaks:
        raise DataError(leaks)
    lacking = missing_classes(folds, answers, target)
    if lacking and run.config.checks.missing_class == "error":
        raise DataError(
            [
                *(f"[folds]: {problem}" for problem in lacking),
                '[folds]: use fewer folds (n = ...) or stratified ones, or write [checks] missing_class = "warn".',
            ]
        )
    for problem in lacking:
        run.warn(problem)


def try_metric(metric: Metric, answers: Array, classes: int) -> None:
    """Score perfect predictions, so that a metric that does not suit the target is found before training."""
    perfect = np.eye(classes)[answers] if answers.ndim == 1 and classes > 1 else answers.reshape(len(answers), -1)
    metric.score(answers, perfect.astype(np.float64))


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
    """Stage 1: tables, target, encoded targets, answers, folds and the folds' fingerprint."""
    config = run.config
    tables = read_tables(config)
    target: Target = config.one("targets").build(tables.train)
    encoded, answers = target.encode(tables.train), target.answers(tables.train)
    try_metric(run.metric, answers, len(target.classes))
    folds, key = make_folds(config, tables.train, answers, competition_folder(config) / "folds")
    check_folds(run, tables.train, folds, answers, target)
    run.members = choose_members(config, folds)
    return Prepared(tables, target, encoded, answers, folds, key)


def open_data(run: Run, prepared: Prepared) -> Data:
    """Stage 2: open the pictures; what cannot be read stops the run or, if the TOML says so, is left out."""
    tables, target, encoded, answers, folds, key = prepared
    config = run.config
    bounds = config.many("transforms")
    transforms: list[Transform] = [bound.build() for bound in bounds]
    decoder = _decoder(config, transforms)
    options = options_text([(bound.name, bound.options.get("fixed", bound.options)) for bound in bounds])
    opened = {
        name: _open(run, name, PictureList.of(table), decoder, options)
        for name, table in (("train", tables.train), ("test", tables.test))
    }
    (train, train_rows), (test, test_rows) = opened["train"], opened["test"]
    return Data(
        tables=tables,
        target=target,
        encoded=encoded,
        answers=answers,
        folds=folds,
        train=train,
        test=test,
        train_rows=train_rows,
        test_rows=test_rows,
        random=_chain([t.random for t in transforms if t.random is not None]),
        fingerprint=fingerprint(train.key, "\n".join(tables.train["id"]), encoded),
        folds_fingerprint=key,
    )


def _decoder(config: Config, transforms: list[Transform]) -> Decoder:
    readers: dict[str, Any] = {name: c.factory for name, c in config.plugins.registry["readers"].items()}
    chosen = config.images.reader
    if chosen and chosen not in readers:
        raise ConfigError(f'[images] reader = "{chosen}": there is none.{did_you_mean(chosen, readers)}')
    files = Files(Path(config.competition.root))
    return Decoder(files, readers, config.images, [t.fixed for t in transforms if t.fixed is not None])


def _open(run: Run, name: str, listed: PictureList, decoder: Decoder, options: str) -> tuple[Opened, list[Array]]:
    opened = open_pictures(listed.paths, decoder, options, run.progress(f"decode {name}"))
    rows = int(listed.rows[-1]) + 1
    of_row = group_pictures(listed.rows, rows)
    if opened.unreadable:
        if run.config.images.unreadable == "error":
            refuse_unreadable(name, opened)
        bad = np.array(sorted(opened.unreadable))
        of_row = [pictures[~np.isin(pictures, bad)] for pictures in of_row]
        lost = sum(len(pictures) == 0 for pictures in of_row)
        run.warn(f"{len(bad)} {name} pictures cannot be read and are left out; {lost} rows have no picture left")
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
