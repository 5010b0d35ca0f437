"""The commands from CV to the leaderboard: `submit`, `score`, `runs`, `download`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[str, typer.Argument(metavar="RUN_OR_CSV", help="A run's name or folder, or a CSV file.")]


def add_commands(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(submit)
    # Without this, a score such as -0.5 would be read as an option.
    app.command(context_settings={"ignore_unknown_options": True})(score)
    app.command()(runs)
    app.command()(download)


def submit(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN_OR_CSV", help="A run's name or folder, or a CSV file.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="The TOML that says where to; default: the run's own.")] = None,
    message: Annotated[str, typer.Option(help="A note to send along, after the run's name and CV.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent; send nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the score.")] = True,
    deadline_minutes: Annotated[float, typer.Option(min=0, help="Longest wait for the score.")] = 30.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish what an earlier call began; without RUN_OR_CSV, all of it.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Submit although this file was submitted before, or is being submitted.")
    ] = False,
) -> None:
    """Submit a run's file, or any CSV file, and wait for its score.

    It is checked first, and nothing is sent when no submission is left today.
    """
    from compete.errors import UserError
    from compete.leaderboard.flow import Order, resume_all, resume_one, submit_one
    from compete.leaderboard.records import find_candidate

    deadline_seconds = deadline_minutes * 60 if wait else None
    if run is None:
        if not resume:
            raise UserError("say what to submit: a run's name or folder, or a CSV file. `compete runs` lists the runs.")
        with _interrupted("compete submit --resume"):
            resume_all(config, deadline_seconds, typer.echo)
        return
    order = Order(find_candidate(run), config, message, deadline_seconds, typer.echo)
    with _interrupted(f"compete submit {run} --resume"):
        if resume:
            resume_one(order)
        else:
            submit_one(order, again=again, dry_run=dry_run)


def score(
    run: Run,
    value: Annotated[float, typer.Argument(help="The public leaderboard's score.")],
    private: Annotated[float | None, typer.Option(help="The private leaderboard's score.")] = None,
) -> None:
    """Enter the score of the newest submission where the platform does not tell it."""
    from compete.leaderboard.flow import BY_HAND, enter_score
    from compete.leaderboard.ledger import open_ledger
    from compete.leaderboard.records import find_candidate
    from compete.leaderboard.setup import root_of

    candidate = find_candidate(run)
    record = enter_score(candidate, value, private)
    by_hand = f"; no submission of it was known, so it counts as one {BY_HAND}" if record.platform == BY_HAND else ""
    with open_ledger(root_of(candidate)) as ledger:
        ledger.note_candidate(candidate)
    typer.echo(f"{candidate.name}: {value:g} noted{by_hand}")
    typer.echo(f"next: compete runs {record.competition}")


def runs(
    competition: Annotated[str | None, typer.Argument(help="Default: every competition.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make the ledger anew from the run folders.")] = False,
    export: Annotated[Path | None, typer.Option(help="Write the table to this .csv or .json file.")] = None,
) -> None:
    """List runs and submissions, best CV first, with CV against the leaderboard."""
    from compete.leaderboard.ledger import open_ledger
    from compete.leaderboard.records import SUBMISSIONS
    from compete.leaderboard.setup import known_competition
    from compete.leaderboard.standings import export as write_export
    from compete.leaderboard.standings import picks_of, standings, table_lines

    if not SUBMISSIONS.is_dir():
        typer.echo(f"no run in {SUBMISSIONS} yet; make one: compete run competitions/<name>.toml")
        return
    with open_ledger(SUBMISSIONS, repair=rebuild) as ledger:
        if ledger.trouble:
            typer.echo(f"warning: {ledger.trouble}", err=True)
        if rebuild:
            typer.echo(f"ledger made anew from {ledger.rebuild()} run folders")
        ledger.refresh()
        names = ledger.competitions()
        if competition is not None:
            names = [known_competition(competition, names)]
        tables = {name: (ledger.runs(name), ledger.submissions(name)) for name in names}
    if export is not None:
        rows = [row for table in tables.values() for row in standings(*table)]
        write_export(rows, export)
        typer.echo(f"{export}: {len(rows)} rows")
        return
    for name, table in tables.items():
        for line in table_lines(name, standings(*table), picks_of(table[0])):
            typer.echo(line)


def download(
    competition: Annotated[str, typer.Argument(help="The competition's name in its address, or the address.")],
    folder: Annotated[Path | None, typer.Argument(help="Default: data/<competition>.")] = None,
    platform: Annotated[str, typer.Option("--from", help="The platform: `compete options uploads` lists them.")] = (
        "kaggle"
    ),
) -> None:
    """Fetch and unpack a competition's files; after a stop, the same command goes on."""
    from compete.leaderboard.download import download as fetch
    from compete.leaderboard.download import slug_of
    from compete.leaderboard.setup import open_platform

    slug = slug_of(competition)
    folder = folder or Path("data") / slug.rpartition("/")[2]
    with _interrupted(f"compete download {competition}"), open_platform(platform, slug) as uploader:
        files = fetch(uploader, folder, platform, say=typer.echo, progress=_tell_tenths())
    typer.echo(f"{folder}: {files} files")
    typer.echo(f"next: compete init {folder} -o competitions/{folder.name}.toml")


@contextmanager
def _interrupted(command: str) -> Iterator[None]:
    """After Ctrl-C, say what goes on from here; the exit status is 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; what was done is noted. Go on with: {command}", err=True)
        raise typer.Exit(130) from None


def _tell_tenths() -> Callable[[int], None]:
    """Return a function that prints each tenth of a download once."""
    told = 0

    def tell(percent: int) -> None:
        nonlocal told
        if percent // 10 > told:
            told = percent // 10
            typer.echo(f"{told * 10} %", err=True)

    return tell
