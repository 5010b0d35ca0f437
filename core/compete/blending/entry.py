"""What `compete run` does with a TOML: train a run, or blend the finished ones that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compete.blending.blend_runs import repeat_blend
from compete.errors import ConfigError
from compete.stages.runner import run_competition

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.session import RunRows


def run_entry(
    config: Config, name: str | None = None, fresh: bool = False, interactive: bool = False, doctor: bool = True
) -> RunRows:
    """Run a TOML to a checked submission; see `run_competition`. One with `[blend]` trains nothing."""
    if not (config.blend.runs or config.blend.files):
        return run_competition(config, name, fresh, interactive, doctor)
    if not config.blend.runs:
        raise ConfigError("[blend] runs: name at least one finished run: its rows, folds and metric count.")
    return repeat_blend(config, name, fresh, interactive)
