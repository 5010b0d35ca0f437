"""The command `ablate`: what each augmentation, or anything else of a TOML, is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compete.text import aligned, echo, plural


def ablate(
    file: Annotated[Path, typer.Argument(help="The competition's TOML.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a value of the TOML; may be repeated."),
    ] = None,
    off: Annotated[
        list[str] | None,
        typer.Option(
            "--off", metavar="KEY", help="Switch this off instead: a table or key, such as tta; may be repeated."
        ),
    ] = None,
) -> None:
    """Run a TOML without each random transform and batch transform in turn, and without all, on the same folds.

    Members of the base are reused where they are the same. Stopped, it resumes when you run the same command again.
    A cheap start: --set training.epochs=3 --set "training.only_folds=[0, 1]".
    """
    import sys

    from compete.config.load import load_config
    from compete.errors import UserError
    from compete.identity import read_sources
    from compete.scores import read_scores
    from compete.session import RunOptions
    from compete.stages.prepare import choose_members, prepare
    from compete.stages.runner import run_competition
    from compete.study import ablation
    from compete.study.differences import CONFIDENCE
    from compete.study.dry_run import without_variants

    config = without_variants(load_config(file, overrides or []))
    switches, notes = (ablation.named_switches(off), []) if off else ablation.augmentation_switches(config)
    for note in notes:
        echo(f"note: {note}")
    if not switches:
        raise UserError(f"{file}: has no random transform or batch transform. Name what to switch off: --off sampler")
    others = ablation.variants(config, switches)
    members = choose_members(config, prepare(config, read_sources(config), None).folds)
    echo(ablation.cost(config, switches, others, len(members)))
    options = RunOptions(sys.stdout.isatty(), doctor=False)
    base, outcomes = ablation.ablate(
        config, switches, echo, lambda other, name: run_competition(other, name, options=options)
    )
    scores = read_scores(base.folder)
    better = "higher" if scores.higher_is_better else "lower"
    echo("", f"{scores.metric} ({better} is better), {plural(len(members), 'member')}, base {base.folder.name}")
    for line in aligned(list(ablation.table(scores.cv.mean, outcomes)), left=2):
        echo(line)
    clear = len(outcomes) * (1 - CONFIDENCE)
    echo(
        f"difference: without it minus base, paired by fold; std. error corrected for folds that share training rows. "
        f"Of {plural(len(outcomes), 'comparison')}, {clear:.2g} would look clear by chance"
    )
    path = ablation.results_path(config, switches)
    echo(f"written: {path.with_suffix('.json')}, {path.with_suffix('.csv')}")
