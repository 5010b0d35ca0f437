"""The command that blends finished runs: `blend`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def add_blend_commands(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(rich_help_panel="Run", epilog="$ compete blend run-001 run-002 run-003")(blend)


def blend(
    runs: Annotated[list[str], typer.Argument(help="Finished runs, by name or folder; the first one's rows count.")],
    files: Annotated[
        list[str] | None,
        typer.Option("--file", metavar="NAME=OOF,TEST", help="Predictions from elsewhere: CSV or Parquet, by id."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="An ensemble (`compete options ensemble`); auto: the best that is clearly better.")
    ] = "auto",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of the first run.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder; default: run-001, run-002, ...")] = None,
) -> None:
    """Blend finished runs into a new one, joined by id and judged on folds that the blend was not fitted on.

    The result is submitted, reported and blended like any other run.
    """
    from compete.blending.blend_runs import blend_data, blend_runs
    from compete.errors import UserError
    from compete.leaderboard.records import find_candidate

    folders = [find_candidate(run).folder for run in runs]
    csv = [run for run, folder in zip(runs, folders, strict=True) if folder is None]
    if csv:
        raise UserError(f"{', '.join(csv)}: a CSV file, not a run. Give its OOF too: --file NAME=oof.csv,test.csv.")
    data = blend_data([folder for folder in folders if folder is not None], _named(files or []), method)
    blend_runs(data, overrides or [], method=method, name=name, interactive=sys.stdout.isatty())


def _named(files: list[str]) -> dict[str, list[str]]:
    """Return `{name: [oof, test]}` of `NAME=OOF,TEST`. Raise `UserError` for another form or a file that is missing."""
    from compete.errors import UserError

    found: dict[str, list[str]] = {}
    problems = []
    for text in files:
        name, _, paths = text.partition("=")
        if not name or not paths or name in found:
            problems.append(f"--file {text}: write NAME=oof.csv,test.csv, with another NAME for each.")
            continue
        found[name] = [path.strip() for path in paths.split(",")]
        problems += [f"--file {text}: no such file: {path}." for path in found[name] if not Path(path).is_file()]
    if problems:
        raise UserError(problems)
    return found
