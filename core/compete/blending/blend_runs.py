"""From finished runs to a blended one: a run folder that is submitted, reported and blended like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compete.blending.fold_checks import fold_notes
from compete.blending.judge import (
    Judged,
    Members,
    Stack,
    apply,
    choose_method,
    compare_methods,
    correlations,
    disagreement,
    judge,
    judge_inputs,
    together,
)
from compete.blending.lines import input_lines, method_lines
from compete.blending.past_run import past_dataset
from compete.blending.sources import (
    Source,
    digest_sources,
    disagreements,
    finished_scores,
    kept_note,
    kinds_agree,
    read_all,
    shared_rows,
)
from compete.config.load import Config, check_config
from compete.data.folds import write_folds
from compete.errors import ConfigError, call_hook
from compete.identity import read_sources
from compete.model.device import make_fabric
from compete.predict.parquet import label_columns, write_predictions
from compete.predict.postprocessing import submission_frame
from compete.predict.top_k import in_all_rows, join_top
from compete.scores import BlendFacts, CvScores, MethodFacts, Scores, write_scores
from compete.session import RunOptions, RunRows, Session, metric_for
from compete.stages.finish import common_scores, fit_postprocessing, nested_parts, store_tables, write_checked
from compete.stages.run_folder import check_name, choose_folder, claim_folder, environment, update_state
from compete.stages.runner import events
from compete.store import write_json
from compete.text import echo, plural
from compete.toml.read import read_toml
from compete.types import TopK

if TYPE_CHECKING:
    from compete.config.options import BoundComponent
    from compete.data.dataset import Dataset
    from compete.types import Array, Predictions

AUTO = "auto"


@dataclass(frozen=True)
class Prepared:
    """A blend's inputs, read and checked, and side by side in the rows that they share, bool (N,)."""

    config: Config
    dataset: Dataset
    sources: list[Source]
    stack: Stack
    shared: Array
    notes: list[str]


@dataclass(frozen=True)
class JudgedBlend:
    """A blend that is judged: its inputs, and what was found."""

    prepared: Prepared
    whole: Judged
    facts: BlendFacts


def blend_data(runs: Sequence[Path], files: Mapping[str, Sequence[str]], method: str = AUTO) -> dict[str, Any]:
    """Return the TOML data of a blend: the first run's, with the inputs and the method."""
    if not runs:
        raise ConfigError("name a finished run: its rows, folds and metric count. `compete runs` lists the runs.")
    data = read_toml(runs[0] / "config.toml")[0]
    data = {name: table for name, table in data.items() if name not in ("blend", "variants")}
    model = data.get("model", {})
    if isinstance(model, dict) and model.get("weights"):
        data["model"] = {**model, "weights": ""}  # nothing is trained
    return {
        **data,
        "ensemble": {"name": "mean" if method == AUTO else method},
        "blend": {
            "runs": [run.as_posix() for run in runs],
            "files": {name: list(file) for name, file in files.items()},
        },
    }


def blend_runs(
    data: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    method: str = AUTO,
    name: str | None = None,
    interactive: bool = False,
) -> RunRows:
    """Blend by TOML data from `blend_data`; `auto` judges every method and takes the best that is clearly better."""
    config = check_config(data, overrides)
    prepared = prepare_blend(config)
    if method != AUTO:
        return _blend_into_new_folder(judge_blend(prepared), name, False, interactive)
    methods = judge_methods(prepared)
    chosen = choose_method(methods)
    echo(*method_lines(methods, config.one("metrics").name, chosen))
    config = check_config({**data, "ensemble": {"name": chosen}}, overrides)
    return _blend_into_new_folder(judge_blend(replace(prepared, config=config), methods), name, False, interactive)


def repeat_blend(config: Config, name: str | None = None, fresh: bool = False, interactive: bool = False) -> RunRows:
    """Blend as a TOML with `[blend]` says, by its `[ensemble]`."""
    return _blend_into_new_folder(judge_blend(prepare_blend(config)), name, fresh, interactive)


def _blend_into_new_folder(blend: JudgedBlend, name: str | None, fresh: bool, interactive: bool) -> RunRows:
    config = blend.prepared.config
    check_name(name)
    sources = read_sources(config) | digest_sources(config.blend)
    with ExitStack() as held:
        folder = claim_folder(config, sources, held, lambda: choose_folder(config, sources, name, fresh))
        return write_blend(blend, folder, interactive)


def judge_methods(prepared: Prepared) -> list[MethodFacts]:
    """Judge every ensemble on the inputs."""
    return list(compare_methods(_candidates(prepared.config), prepared.stack))


def _candidates(config: Config) -> dict[str, BoundComponent]:
    """Return every ensemble with its default options; the plain mean first."""
    from compete.config.options import bind

    bound = {name: bind(each, {}, "[ensemble]")[0] for name, each in config.plugins.registry["ensembles"].items()}
    known = {name: found for name, found in bound.items() if found is not None}
    return {name: known[name] for name in sorted(known, key=lambda name: (name != "mean", name))}


def prepare_blend(config: Config) -> Prepared:
    """Read the inputs of `[blend]` by id. Raise `CompeteError` with all problems before anything is written."""
    first, notes = Path(config.blend.runs[0]), list[str]()
    dataset = past_dataset(first, config, finished_scores(first))
    sources = read_all(config.blend, dataset, notes.append)
    if len(sources) < 2:
        raise ConfigError("[blend]: name at least two inputs: runs, or files with --file NAME=oof.csv,test.csv.")
    kinds_agree(sources)
    if isinstance(sources[0].oof, TopK):
        notes.append(kept_note(sources))
    notes += [*disagreements(sources), *fold_notes(config.blend.runs, sources, dataset)]
    shared = shared_rows(sources, notes.append)
    return Prepared(config, dataset, sources, _side_by_side(config, dataset, sources, shared), shared, notes)


def _side_by_side(config: Config, dataset: Dataset, sources: Sequence[Source], shared: Array) -> Stack:
    columns = dataset.columns
    return Stack(
        names=tuple(source.name for source in sources),
        oof=together([source.oof[shared] for source in sources]),
        labels=dataset.labels[shared],
        parts=nested_parts(dataset, shared, config.training.seed)[shared],
        metric=metric_for(config, dataset.target),
        test=together([source.oof[:0] if source.test is None else source.test for source in sources]),
        columns=None if columns is None else (columns.train[shared], columns.test),
    )


def judge_blend(prepared: Prepared, methods: Sequence[MethodFacts] = ()) -> JudgedBlend:
    """Judge the blend by `[ensemble]` and its inputs, and print what was found."""
    ensemble, metric = prepared.config.one("ensembles"), prepared.config.one("metrics").name
    echo(*(f"note: {note}" for note in prepared.notes))
    whole = judge(ensemble, prepared.stack)
    facts = _facts(prepared, whole, methods)
    echo(*input_lines(facts, metric, ensemble.name, whole.score))
    return JudgedBlend(prepared, whole, facts)


def write_blend(blend: JudgedBlend, folder: Path, interactive: bool = False) -> RunRows:
    """Post-process and write a blend into a run folder that is held."""
    config = blend.prepared.config
    manager, options = config.plugins.new_manager(), RunOptions(interactive)
    session = Session(config, folder, make_fabric(config.training), manager, options)
    session.warnings.extend(blend.prepared.notes)
    run = RunRows(session, blend.prepared.dataset)
    with events(session):
        scores = _write(run, blend)
        call_hook(session.hook.on_run_end, run=session, scores=scores)
    return run


def _write(run: RunRows, blend: JudgedBlend) -> Scores:
    """Write predictions, the checked submission and the scores of a blend."""
    config, dataset, session, whole = run.config, run.dataset, run.session, blend.whole
    stack, shared = blend.prepared.stack, blend.prepared.shared
    classes, tables = dataset.target.classes, dataset.tables
    write_json(run.folder / "environment.json", environment(config, session.device, session.precision))
    write_folds(run.folder / "folds.csv", tables.train, dataset.folds)
    oof = _in_all_rows(whole.oof, shared)
    keys = {"fold": dataset.folds, **label_columns(dataset.labels, classes)}
    write_predictions(run.folder / "oof.parquet", tables.train["id"].tolist(), oof, classes, **keys)
    fitted, submission = fit_postprocessing(run, oof), None
    if tables.has_test:
        test = blend_test(config.one("ensembles"), stack, stack.test)
        write_predictions(run.folder / "test.parquet", tables.test["id"].tolist(), test, classes)
        submission = write_checked(run, submission_frame(config, tables, fitted.apply(test), run.target))
    store_tables(run)
    names = [f"part{part}" for part in np.unique(stack.parts)]
    scores = Scores(
        **common_scores(run, oof, submission),
        cv=CvScores(
            mean=float(np.mean(whole.parts)),
            std=float(np.std(whole.parts, ddof=1)) if len(whole.parts) > 1 else None,
            folds=dict(zip(names, whole.parts.tolist(), strict=True)),
            oof=whole.score,
            oof_postprocessed=fitted.nested_score,
        ),
        members={},
        model=f"blend of {plural(len(stack.names), 'input')}",
        seconds=sum(source.seconds for source in blend.prepared.sources),
        next=(f"compete submit {run.folder}",) if submission is not None and config.components["uploads"] else (),
        blend=blend.facts,
    )
    write_scores(run.folder, scores)
    if submission is not None:
        call_hook(run.hook.on_submission_written, run=session, scores=scores)
    update_state(run.folder, finished=True)
    return scores


def _in_all_rows(predictions: Predictions, rows: Array) -> Predictions:
    """Return predictions (n, C) of some rows, bool (N,), for all: float32 (N, C), NaN in the others."""
    if isinstance(predictions, TopK):
        return in_all_rows(predictions, rows)
    whole = np.full((len(rows), predictions.shape[1]), np.nan, np.float32)
    whole[rows] = predictions
    return whole


def blend_test(ensemble: BoundComponent, stack: Stack, predictions: Members) -> Predictions:
    """Blend predictions of test rows (M, T, C) by an ensemble fitted on all rows; float32, as runs store them."""
    if isinstance(predictions, tuple):
        return join_top(ensemble, predictions, stack.labels, stack.metric, test=True)
    return apply(ensemble, stack, np.ones(len(stack.labels), bool), predictions, None).astype(np.float32)


def _facts(prepared: Prepared, whole: Judged, methods: Sequence[MethodFacts]) -> BlendFacts:
    stack = prepared.stack
    models = {source.name: source.model for source in prepared.sources}
    inputs = [
        facts.model_copy(update={"model": models[facts.name]})
        for facts in judge_inputs(prepared.config.one("ensembles"), stack, whole)
    ]
    return BlendFacts(
        inputs=tuple(inputs),
        methods=tuple(methods),
        rows=len(stack.labels),
        correlation=tuple(map(tuple, correlations(stack.oof).tolist())),
        disagreement=tuple(map(tuple, disagreement(stack.oof, stack.labels).tolist())),
    )
