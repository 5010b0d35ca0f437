"""The commands that take a run elsewhere: `submit` and `bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compete.leaderboard.commands import resumable
from compete.text import echo


def add_bundle_commands(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(rich_help_panel="Submit", epilog="$ compete submit run-001")(submit)
    app.command(rich_help_panel="Submit", epilog="$ compete bundle run-001 -o bundle")(bundle)


def submit(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN_OR_CSV", help="A run's name or folder, or a CSV file.")
    ] = None,
    code: Annotated[
        bool, typer.Option("--code", help="Enter a code competition: its machines predict, with the run's bundle.")
    ] = False,
    wheels: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="With --code: packages that those machines lack.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="The TOML with the platform; default: the run's own.")] = None,
    message: Annotated[str, typer.Option(help="A note to send along, after the run's name and CV.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent; send nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the score.")] = True,
    deadline_minutes: Annotated[
        float, typer.Option(min=0, help="Longest wait for the code, then for the score.")
    ] = 30.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish what an earlier call began; without RUN_OR_CSV, all of it.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Submit although these bytes were submitted before, or changed after the run."),
    ] = False,
) -> None:
    """Submit a run's file, or any CSV file, and wait for its score.

    It is checked first, and nothing is sent when no submission is left today. With --code, the run's bundle goes into
    a private dataset, and the output of a notebook that predicts with it is submitted.
    """
    from compete.bundle.entry import write_entry
    from compete.errors import UserError
    from compete.leaderboard.flow import Request, resume_all, resume_one, submit_one
    from compete.leaderboard.records import find_candidate

    if code and resume:
        raise UserError("--resume goes on with what was begun, as a file or as code: leave out --code.")
    if wheels is not None and not code:
        raise UserError("--wheels belongs to --code: a file needs no packages.")
    deadline_seconds = deadline_minutes * 60 if wait else None
    if run is None:
        if not resume:
            raise UserError("name a run, its folder, or a CSV file to submit. `compete runs` lists the runs.")
        with resumable("compete submit --resume"):
            resume_all(config, deadline_seconds, echo)
        return
    candidate = find_candidate(run)
    pack = (lambda folder: write_entry(folder, wheels)) if code else None
    request = Request(candidate, config, message, deadline_seconds, echo, pack)
    with resumable(f"compete submit {run} --resume"):
        if resume:
            resume_one(request)
        else:
            submit_one(request, again=again, dry_run=dry_run)


def bundle(
    run: Annotated[str, typer.Argument(help="Name or folder of a finished run or blend.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The folder to write.")],
) -> None:
    """Collect all that predicts without a network in one folder: for code competitions, or to pass a model on.

    It holds the members' weights, the TOML, compete's own code, a script, a notebook and the list of wheels.
    """
    from compete.bundle.write import write_bundle
    from compete.errors import UserError
    from compete.leaderboard.records import find_candidate

    folder = find_candidate(run).folder
    if folder is None:
        raise UserError(f"{run}: a CSV file, not a run. `compete runs` lists the runs.")
    echo(*write_bundle(folder, output))
