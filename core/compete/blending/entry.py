"""What `compete run` does with TOMLs: train a run, several that are blended, or blend finished ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
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
from compete.config.settings import Blend
from compete.errors import ConfigError
from compete.identity import read_sources
from compete.stages.run_folder import check_name, choose_folder, claim_folder
from compete.stages.runner import run_competition
from compete.text import echo, format_list

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.session import RunRows


def run_entry(
    config: Config, name: str | None = None, fresh: bool = False, interactive: bool = False, doctor: bool = True
) -> RunRows:
    """Run a TOML to a checked submission; see `run_competition`.

    One with `[[variants]]` trains a run for each and blends them; one with `[blend]` trains nothing.
    """
    if config.variants:
        return _run_variants(config, name, fresh, interactive, doctor)
    if not (config.blend.runs or config.blend.files):
        return run_competition(config, name, fresh, interactive, doctor)
    if not config.blend.runs:
        raise ConfigError("[blend] runs: name at least one finished run: its rows, folds and metric count.")
    return repeat_blend(config, name, fresh, interactive)


def run_entries(
    configs: Sequence[Config],
    name: str | None = None,
    fresh: bool = False,
    interactive: bool = False,
    doctor: bool = True,
) -> RunRows:
    """Run one TOML, or several of one competition one after the other, which are blended; `name` is the blend's."""
    if len(configs) == 1:
        return run_entry(configs[0], name, fresh, interactive, doctor)
    names = sorted({config.competition.name for config in configs})
    if len(names) > 1:
        raise ConfigError(f"[competition] name: TOMLs of several competitions cannot be blended: {format_list(names)}")
    folders = [run_entry(config, None, fresh, interactive, doctor).folder for config in configs]
    return blend_runs(blend_data(folders, {}), name=name, interactive=interactive)


def _run_variants(config: Config, name: str | None, fresh: bool, interactive: bool, doctor: bool) -> RunRows:
    """Train each variant into a run folder beside this one's, `<run>-<variant>`, then blend them by `[ensemble]`."""
    if name is not None:
        check_name(name)
    if config.inference.keep_top:
        raise ConfigError(f"[inference] keep_top = {config.inference.keep_top}: a blend needs every probability.")
    sources = read_sources(config)
    with ExitStack() as held:
        folder = claim_folder(config, sources, held, lambda: choose_folder(config, sources, name, fresh))
        runs = []
        for number, variant in enumerate(config.variants, 1):
            own = folder.with_name(f"{folder.name}-{variant.name}")
            echo(f"variant {variant.name}, {number} of {len(config.variants)}: {own}")
            again = fresh and not own.exists()
            runs.append(run_competition(variant.config, own.name, again, interactive, doctor).folder.as_posix())
        prepared = prepare_blend(replace(config, blend=Blend(runs=runs)))
        methods, used = judge_methods(prepared), config.one("ensembles").name
        echo(*method_lines(methods, config.one("metrics").name), fixed_line(used, choose_method(methods)))
        return write_blend(judge_blend(prepared, methods), folder, interactive)
