"""Open a finished run to predict: its target, members, blend and post-processing, from its own folder."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compete.api.caller import warn
from compete.blending.past_run import past_config, past_dataset
from compete.data.columns import encode_columns
from compete.data.images import Images, ImagesByRow, ImageSet
from compete.errors import CompeteError, ConfigError, DataError
from compete.jobs.events import read_result
from compete.model.device import choose_device, choose_precision, make_fabric
from compete.model.network import build_network
from compete.predict.parquet import read_predictions
from compete.predict.postprocessing import Step, fit_steps
from compete.predict.top_k import known_rows
from compete.session import OpenRun, RunRows, Session
from compete.stages.blend import join_members
from compete.stages.predictions import OOF, RESULT, TEST, load_member, predicts_test
from compete.store import read_json
from compete.text import format_list, plural
from compete.types import Tables, TopK

if TYPE_CHECKING:
    from torch import nn

    from compete.config.load import Config
    from compete.data.columns import TableColumns
    from compete.data.dataset import Dataset
    from compete.predict.inference import Scaler
    from compete.scores import Scores
    from compete.types import Member, Predictions


@dataclass(frozen=True)
class FinishedRun:
    """A finished run with all that predicts: networks and scalers on the device, and what its blend is fitted on.

    `network_of` is the number of the network that predicts for each member: its own, or that of its seed's refit.
    `oof` M x (N, C) are the members' OOF predictions, `test` M x (T, C) those of the run's own test rows.
    """

    run: OpenRun
    networks: list[nn.Module]
    scalers: list[Scaler]
    network_of: list[int]
    oof: list[Any]
    test: list[Any]

    @cached_property
    def postprocess(self) -> Step:
        """`[[postprocess]]`, fitted on the blended OOF as the run did."""
        run = self.run
        if not run.config.many("postprocessors") or isinstance(self.oof[0], TopK):
            return lambda predictions: predictions
        blended: Any = join_members(run, self.oof, self.test)[0]
        known, labels = known_rows(blended), run.dataset.labels
        return fit_steps(run.config, blended[known], labels[known], run.metric, run.target)

    @cached_property
    def comparing(self) -> str:
        """What compares rows with each other, so that predictions depend on which are predicted together.

        Found by trying: half of the run's own test rows alone must get the same values as among the others.
        """
        run = self.run

        def join(test: list[Any]) -> Any:  # noqa: ANN401 - predictions of either form
            return join_members(_first_test_rows(run, len(test[0])), self.oof, test)[1]

        readable = [part[known_rows(self.test[0])] for part in self.test]
        return what_compares(run.config, readable, join, lambda joined: self.postprocess(joined))


def what_compares(
    config: Config, test: list[Any], join: Callable[[list[Any]], Any], postprocess: Callable[[Any], Any]
) -> str:
    """Name what gives half of the test rows M x (T, C) alone other values than among all of them; "" if nothing does.

    `join` blends M x (R, C) of the first R rows.
    """
    ensemble = config.one("ensembles")
    half = len(test[0]) // 2 if test else 0
    if not half or (ensemble.component.traits.row_by_row and not config.many("postprocessors")):
        return ""
    joined, few = join(test), join([part[:half] for part in test])
    if not _same(joined[:half], few):
        return f'[ensemble] name = "{ensemble.name}"'
    return "" if _same(postprocess(joined)[:half], postprocess(joined[:half])) else "[[postprocess]]"


def _first_test_rows(run: OpenRun, rows: int) -> OpenRun:
    """Return the run with the columns of its first test rows only."""
    columns = run.dataset.columns
    if columns is None:
        return run
    return replace(run, dataset=replace(run.dataset, columns=replace(columns, test=columns.test[:rows])))


def open_finished(folder: Path, scores: Scores, device: str | None = None) -> FinishedRun:
    """Open a finished run. It needs its folder and the plugin files of its TOML: no images, no hub.

    Raise `CompeteError` where it does not fit together any more.
    """
    config = config_on(folder, device)
    run = _open(folder, config, scores)
    predict = predicts_test(run.members, _members(folder, scores.refit))
    distinct = list(dict.fromkeys(predict))
    networks, scalers = zip(*(load_member(run, member) for member in distinct), strict=True)
    oof = _predictions(run, OOF, run.tables.train, run.members)
    there = all((run.member_folder(member) / TEST).is_file() for member in predict)
    test = _predictions(run, TEST, run.tables.test, predict) if there and run.tables.has_test else []
    return FinishedRun(run, list(networks), list(scalers), [distinct.index(member) for member in predict], oof, test)


def config_on(folder: Path, device: str | None) -> Config:
    """Return a run's configuration on a device, by default its own; where that lacks the precision, it is chosen."""
    if device is None:
        return past_config(folder, [], warn)
    config = past_config(folder, [f"training.device={device}"], warn)
    there = choose_device(device)
    try:
        choose_precision(config.training.precision, there)
    except ConfigError:
        warn(f'{folder}: trained with precision = "{config.training.precision}", predicts with "auto" on {there}')
        return replace(config, training=config.training.model_copy(update={"precision": "auto"}))
    return config


def _predictions(run: OpenRun, name: str, table: pd.DataFrame, members: Sequence[Member]) -> list[Predictions]:
    """Return each member's stored predictions of a table's rows."""
    files, ids = [run.member_folder(member) / name for member in members], table["id"].tolist()
    return [read_predictions(file, ids, run.target.classes) for file in files]


def _open(folder: Path, config: Config, scores: Scores) -> OpenRun:
    dataset = past_dataset(folder, config, scores)
    session = Session(config, folder, make_fabric(config.training), config.plugins.new_manager())
    network = build_network(config, dataset.target.outputs, dataset.column_count, seed=0, weights=False)
    none = ImageSet([], ImagesByRow(np.zeros(0, np.int64), 0), {})
    return OpenRun(session, dataset, Images(none, none, None), _members(folder, scores.members), network)


def _members(folder: Path, names: Iterable[str]) -> tuple[Member, ...]:
    """Return members by name, in their order."""
    files = [folder / "members" / name / RESULT for name in names]
    missing = [str(file.parent) for file in files if not file.is_file()]
    if missing:
        raise CompeteError(f"{folder}: members are missing: {format_list(missing)}. Copy the whole folder.")
    return tuple(read_result(read_json(file)).member for file in files)


def _same(first: Predictions, second: Predictions) -> bool:
    return bool(np.allclose(np.asarray(first), np.asarray(second), rtol=1e-4, atol=1e-6, equal_nan=True))


def with_rows(finished: FinishedRun, rows: pd.DataFrame, images: ImageSet) -> OpenRun:
    """Return the run with other test rows and their images."""
    return replace(finished.run, dataset=dataset_with(finished.run, rows), images=Images(images, images, None))


def dataset_with(run: RunRows, rows: pd.DataFrame) -> Dataset:
    """Return a run's dataset with other test rows."""
    tables = replace(run.tables, test=rows)
    return replace(run.dataset, tables=tables, columns=_columns(run, tables))


def _columns(run: RunRows, tables: Tables) -> TableColumns | None:
    """Encode the rows' columns as the run did; its own test rows help to decide which features there are."""
    own, settings = run.dataset.columns, run.config.columns
    if own is None:
        return None
    rows = tables.test.drop(columns="image").astype(object)
    before = [run.tables.test] if run.tables.has_test else []
    both = pd.concat([*before, rows.where(rows.notna(), "")], join="inner", ignore_index=True)
    found = encode_columns(settings, replace(tables, test=both))
    if found is None or found.names != own.names:
        new = sorted(set(found.names if found else ()) - set(own.names))
        raise DataError(f"[columns]: {format_list(new)} in these rows, and the network has no input for it: fill them")
    for name in (name for pattern in settings.categorical for name in fnmatch.filter(map(str, both), pattern)):
        _warn_of_unseen(name, tables, {str(token) for token in settings.missing})
    return replace(found, test=found.test[len(run.tables.test) :])


def _warn_of_unseen(name: str, tables: Tables, missing: set[str]) -> None:
    values = tables.test[name].astype(str)
    unseen = set(values) - set(tables.train[name].astype(str)) - missing
    if unseen:
        rows = plural(int(values.isin(unseen).sum()), "row")
        warn(
            f'[columns] categorical = "{name}": {rows} with a value that no training row has, which counts as missing: '
            f"{format_list(unseen, 5)}"
        )
