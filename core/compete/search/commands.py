"""The command `search`: try values of a TOML's keys, and say honestly what the best of them is worth."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compete.text import aligned, echo, plural

if TYPE_CHECKING:
    from compete.search.select import Selection
    from compete.search.trials import Search


def add_search_commands(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(rich_help_panel="Run", epilog="$ compete search my.toml --trials 30")(search)


def search(
    file: Annotated[Path, typer.Argument(help="A TOML with [search.space].")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a value of the TOML; may be repeated."),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials in all; default: [search] trials.")] = None,
    hours: Annotated[
        float | None, typer.Option(help="Begin no trial that does not fit; what ran before a kill counts.")
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, max=256, help="Processes that make trials at the same time.")] = 1,
    blend: Annotated[int, typer.Option(min=0, max=100, help="Blend so many of the best runs at the end.")] = 0,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Also run the winner without each of its values: what matters?")
    ] = False,
) -> None:
    """Search the values of [search.space]: each trial is a run, pruned after a fold where it falls behind.

    Stopped or killed, it goes on when you run the same command again, also from several terminals or machines that
    share the disk.
    """
    from compete.search.flow import prepare_search, run_search

    made = prepare_search(file, overrides or [], trials, hours, interactive=sys.stdout.isatty())
    executor = made.config.one("executors")
    shared = executor.component.traits.shared
    with shared(**executor.options) if shared else nullcontext():
        selection = run_search(made, parallel)
        if ablate:
            _ablate(made, selection)
        if blend:
            _blend(made, selection, blend)


def _ablate(made: Search, selection: Selection) -> None:
    from compete.search.importance import ablate_winner

    if not selection.winner.values:
        echo("the TOML as it is won: there is nothing to take back")
        return
    cells = [("value of the winner", "verdict on it", "difference without it", "std. error")]
    for value, found in ablate_winner(made, selection.winner, echo):
        mean, error = ("-" if each is None else f"{each:+.4f}" for each in (found.mean, found.standard_error))
        cells.append((value, found.verdict, mean, error.lstrip("+")))
    echo("", *aligned(cells, left=2))
    echo("the winner was chosen on these folds, which favours its values; each is compared with the TOML's own")


def _blend(made: Search, selection: Selection, count: int) -> None:
    from compete.blending.blend_runs import blend_data, blend_runs
    from compete.search.results import ranked_runs

    folders = ranked_runs(made, selection, count)
    if len(folders) < 2:
        echo(f"nothing to blend: {plural(len(folders), 'different run')}")
        return
    echo("", f"blend of the best {len(folders)}, which their CV has chosen: its gain is a little too good for that")
    blend_runs(blend_data(folders, {}), interactive=made.interactive)
