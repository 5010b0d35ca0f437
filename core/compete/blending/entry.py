"""What `compete run` does with TOMLs: train a run, several that are blended, or blend finished ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compete.blending.blend_runs import (
    blend_data,
    blend_runs,
    judge_blend,
    judge_methods,
    prepare_blend,
    repeat_blend,
    write_blend,
)
from compete.blending.judge import choose_method
from compete.blending.lines import fixed_line, method_lines
from compete.blending.together import PlannedRun, run_all
from compete.config.settings import Blend
from compete.errors import ConfigError, UserError
from compete.files.root import Files
from compete.identity import config_key, read_sources
from compete.model.network import build_network
from compete.session import DEFAULT_OPTIONS, RunOptions
from compete.stages.members import may_be_finished
from compete.stages.open_images import try_images
from compete.stages.prepare import check_root, choose_members, prepare
from compete.stages.run_folder import (
    FOLDS,
    STATE,
    check_name,
    choose_folder,
    claim_folder,
    competition_folder,
    find_run,
    next_folder,
    read_state,
    run_folders,
    update_state,
)
from compete.stages.runner import run_competition
from compete.text import echo, format_list
from compete.train.fit import refuse_steps

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.config.options import BoundComponent
    from compete.session import Run, RunRows
    from compete.stages.run_folder import RunState


def run_entry(
    config: Config,
    name: str | None = None,
    fresh: bool = False,
    options: RunOptions = DEFAULT_OPTIONS,
) -> RunRows:
    """Run a TOML to a checked submission; see `run_competition`.

    One with `[[variants]]` trains a run for each and blends them; one with `[blend]` trains nothing.
    """
    if config.variants:
        return _run_variants(config, name, fresh, options)
    if not (config.blend.runs or config.blend.files):
        return run_competition(config, name, fresh, options)
    if not config.blend.runs:
        raise ConfigError("[blend] runs: name at least one finished run: its rows, folds and metric count.")
    return repeat_blend(config, name, fresh, options.interactive)


def run_entries(
    configs: Sequence[Config],
    name: str | None = None,
    fresh: bool = False,
    options: RunOptions = DEFAULT_OPTIONS,
) -> RunRows:
    """Run one TOML, or several of one competition, which are blended; `name` is the blend's. See `run_all`."""
    if len(configs) == 1:
        return run_entry(configs[0], name, fresh, options)
    names = sorted({config.competition.name for config in configs})
    if len(names) > 1:
        raise ConfigError(f"[competition] name: TOMLs of several competitions cannot be blended: {format_list(names)}")
    keys = [config_key(config, read_sources(config)) for config in configs]
    twice = sorted({str(config.path) for config, key in zip(configs, keys, strict=True) if keys.count(key) > 1})
    if twice:
        raise ConfigError(f"{format_list(twice)}: the same run more than once. Name each once.")
    _refuse_unblendable({str(config.path): config for config in configs})
    if any(config.variants or config.blend.runs or config.blend.files for config in configs):
        folders = [run_entry(config, None, fresh, options).folder for config in configs]
    else:
        planned = [PlannedRun(config, str(config.path), fresh=fresh) for config in configs]
        folders = [run.folder for run in run_all(planned, options)]
    return blend_runs(blend_data(folders, {}), name=name, interactive=options.interactive)


def _run_variants(config: Config, name: str | None, fresh: bool, options: RunOptions) -> RunRows:
    """Train each variant into a run folder beside this one's, `<run>-<variant>`, then blend them by `[ensemble]`."""
    check_name(name)
    check_root(config)
    named = {f'[[variants]] name = "{variant.name}"': variant.config for variant in config.variants}
    _refuse_unblendable(named, config.one("ensembles"))
    sources = read_sources(config)
    with ExitStack() as held:
        folder = claim_folder(config, sources, held, lambda: choose_folder(config, sources, name, fresh))
        _rehearse(config, folder)
        planned = []
        for number, variant in enumerate(config.variants, 1):
            own = folder.with_name(f"{folder.name}-{variant.name}")
            line = f"variant {variant.name}, {number} of {len(config.variants)}: {own}"
            chosen, again = _free_name(own, variant.config), fresh and not own.exists()
            planned.append(PlannedRun(variant.config, variant.name, chosen, again, line))
        runs = run_all(planned, options)
        folder = _of_same_data(config, sources, held, folder, runs[0])
        prepared = prepare_blend(replace(config, blend=Blend(runs=[run.folder.as_posix() for run in runs])))
        methods, used = judge_methods(prepared), config.one("ensembles").name
        echo(*method_lines(methods, config.one("metrics").name), fixed_line(used, choose_method(methods)))
        return write_blend(judge_blend(prepared, methods), folder, options.interactive)


def _refuse_unblendable(configs: Mapping[str, Config], ensemble: BoundComponent | None = None) -> None:
    """Raise `ConfigError` for runs that could not be blended, by where they stand, before any of them is trained.

    `ensemble` blends them; without it, the best one is chosen.
    """
    problems = list[str]()
    whole = [where for where, config in configs.items() if not config.inference.keep_top]
    if 0 < len(whole) < len(configs):
        problems.append(
            f"[inference] keep_top: {format_list(whole)} keeps every probability and others the best classes: these "
            "cannot be blended. Set it in all, or in none."
        )
    if not whole and ensemble is not None and not ensemble.component.traits.row_by_row:
        problems.append(
            f'[inference] keep_top: [ensemble] name = "{ensemble.name}" does not work row by row. Use "mean".'
        )
    chosen = [folds for config in configs.values() if (folds := set(config.training.only_folds))]
    if chosen and not set.intersection(*chosen):
        named = format_list(configs)
        problems.append(
            f"[training] only_folds: no fold is validated by all of {named}, so nothing scores their blend."
        )
    if problems:
        raise ConfigError(problems)


def _rehearse(config: Config, folder: Path) -> None:
    """Try the rows, some images and the network of every variant that is not finished, before the first one trains.

    Trained weights are fetched. Raise `ConfigError` with the problems of all variants.
    """
    problems: list[str] = []
    for variant in config.variants:
        state = read_state(folder.with_name(f"{folder.name}-{variant.name}"))
        if state is None or not state.finished:
            try:
                _try_start(variant.config)
            except UserError as error:
                problems += [f'[[variants]] name = "{variant.name}": {problem}' for problem in error.problems]
    if problems:
        raise ConfigError(problems)


def _try_start(config: Config) -> None:
    parent = competition_folder(config)
    dataset = prepare(config, read_sources(config), parent / FOLDS)
    weights = not may_be_finished(choose_members(config, dataset.folds), list(run_folders(parent)))
    network = build_network(config, dataset.target.outputs, dataset.column_count, 0, weights)
    refuse_steps(config, network)
    try_images(config, dataset.tables, Files(config.competition.root))


def _free_name(own: Path, config: Config) -> str | None:
    """Return the name of a variant's folder, or None if another run has it, which is kept: the run gets another."""
    state = read_state(own)
    free = not (own / STATE).exists() or (
        state is not None and state.config == config_key(config, read_sources(config))
    )
    if not free:
        echo(f"{own} holds a run of another configuration, which is kept as it is")
    return own.name if free else None


def _of_same_data(config: Config, sources: Mapping[str, str], held: ExitStack, folder: Path, first: Run) -> Path:
    """Return the entry's folder or, where that holds the blend of other data, another: it is kept as it is.

    That one has the number of the `first` variant's run.
    """
    data = first.identity

    def suits(state: RunState) -> bool:
        return state.can_be_of(data.data, data.submission)

    state = read_state(folder)
    if state is not None and not suits(state):
        echo(f"the data or the test set has changed since {folder.name}, which is kept as it is")

        def choose() -> Path:
            beside = first.folder.with_name(first.folder.name.removesuffix(f"-{config.variants[0].name}"))
            free = beside != first.folder and not (beside / STATE).exists()
            return find_run(config, sources, suits) or (beside if free else next_folder(competition_folder(config)))

        folder = claim_folder(config, sources, held, choose)
    update_state(folder, data=data.data, test=data.submission)
    return folder
