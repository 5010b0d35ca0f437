"""What `compete run --only` does: some members of a TOML, of each of its variants or of some."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from compete.errors import ConfigError
from compete.identity import read_sources
from compete.session import DEFAULT_OPTIONS, RunOptions
from compete.stages.run_folder import check_name, choose_folder, claim_folder
from compete.text import echo
from compete.workers.only import Only, read_only
from compete.workers.part import describe_part, train_part

if TYPE_CHECKING:
    from compete.config.load import Config


def run_part(
    configs: Sequence[Config],
    written: Sequence[str],
    name: str | None,
    fresh: bool,
    hours: float | None,
    options: RunOptions = DEFAULT_OPTIONS,
) -> list[str]:
    """Train the members that `--only` names, and return what is left and the command for it.

    Raise `ConfigError` for options that do not go with it, and for members that there are not.
    """
    problems = _problems(configs, fresh, hours)
    if problems:
        raise ConfigError(problems)
    config, only = configs[0], read_only(written, configs[0])
    whole = ["compete", "run", str(config.path), *(part for text in config.overrides for part in ("--set", text))]
    whole += ["--name", name] if name else []
    if not config.variants:
        return describe_part(train_part(config, only, name, options), whole)
    return [*_variants(config, only, name, options), f"to blend them: {shlex.join(whole)}"]


def _problems(configs: Sequence[Config], fresh: bool, hours: float | None) -> list[str]:
    problems = []
    if len(configs) > 1:
        problems.append("--only: for one TOML at a time. Run it for each of them, then all of them together.")
    if fresh:
        problems.append("--only and --fresh: every process would start a run of its own. Name one run: --name NAME.")
    if hours is not None:
        problems.append("--only and --hours: a budget is for the whole run. Remove one of them.")
    if any(config.blend.runs or config.blend.files for config in configs):
        problems.append("--only: a [blend] trains no member.")
    if any(config.training.nodes > 1 for config in configs):
        problems.append("--only: trains members on one machine each. Add --set training.nodes=1.")
    return problems


def _variants(config: Config, only: Only, name: str | None, options: RunOptions) -> list[str]:
    """Train members of some variants, in the folders that the whole run has for them."""
    check_name(name)
    sources, lines = read_sources(config), []
    with ExitStack() as held:
        entry = claim_folder(config, sources, held, lambda: choose_folder(config, sources, name, False), shared=True)
    for variant in config.variants:
        if not only.variants or variant.name in only.variants:
            own = f"{entry.name}-{variant.name}"
            echo(f"variant {variant.name}: {entry.with_name(own)}")
            run = train_part(variant.config, only, own, options)
            lines.append(f"variant {variant.name}: {describe_part(run, [])[0]}")
    return lines
