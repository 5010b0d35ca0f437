"""What `compete run` does on each of the machines that train together: the first one runs, the others follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from compete.budget.timed_run import run_within, units_of
from compete.errors import ConfigError
from compete.nodes.follow import follow
from compete.nodes.lead import gathered, settings_of
from compete.ranks.place import read_place
from compete.session import DEFAULT_OPTIONS, RunOptions

if TYPE_CHECKING:
    from compete.config.load import Config


def run_on_nodes(
    configs: Sequence[Config],
    hours: float | None,
    name: str | None = None,
    fresh: bool = False,
    options: RunOptions = DEFAULT_OPTIONS,
) -> None:
    """Run TOMLs as `run_within`; with `[training] nodes` above 1, do it on the first node, and elsewhere follow it.

    Raise `ConfigError` where the environment does not say which node this is.
    """
    counts = {each.training.nodes for config in configs for each in units_of(config)}
    if len(counts - {1}) > 1:
        raise ConfigError(f"[training] nodes: set one number for all that runs together, not {sorted(counts)}.")
    if max(counts) == 1:
        run_within(configs, hours, name, fresh, options)
        return
    place = read_place(max(counts))
    given = {"--hours": hours, "--name": name, "--fresh": fresh, "--no-doctor": not options.doctor}
    settings = settings_of(configs, given)
    if place.node:
        follow(place, configs, settings)
        return
    with gathered(place, settings) as nodes:
        run_within(configs, hours, name, fresh, replace(options, nodes=nodes))
