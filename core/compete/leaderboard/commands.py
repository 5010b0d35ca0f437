"""The commands around submitting: `download`, `score`, `runs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from compete.errors import is_a_stop
from compete.text import echo

Run = Annotated[str, typer.Argument(metavar="RUN_OR_CSV", help="A run's name or folder, or a CSV file.")]


def add_commands(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    panel = "Submit"
    app.command(rich_help_panel=panel, epilog="$ compete download leaf-classification")(download)
    # Without this, a score such as -0.5 would be read as an option.
    negative = {"ignore_unknown_options": True}
    app.command(rich_help_panel=panel, epilog="$ compete score run-001 0.913", context_settings=negative)(score)
    app.command(rich_help_panel=panel, epilog="$ compete runs mask")(runs)


def score(
    run: Run,
    value: Annotated[
        float | None, typer.Argument(help="The public leaderboard's score; without it, the platform is asked.")
    ] = None,
    private: Annotated[float | None, typer.Option(help="The private leaderboard's score.")] = None,
) -> None:
    """Enter the score of the newest submission, where the platform does not report it; or ask for every score."""
    from compete.errors import UserError
    from compete.leaderboard.flow import BY_HAND, Request, enter_score, resume_one
    from compete.leaderboard.records import find_candidate

    candidate = find_candidate(run)
    if value is None:
        if private is not None:
            raise UserError(f"--private {private:g}: enter the public score as well: compete score {run} VALUE")
        resume_one(Request(candidate, None, "", 0.0, echo), only_scores=True)
        return
    record = enter_score(candidate, value, private)
    by_hand = f"; no submission of it was known, so it counts as one {BY_HAND}" if record.platform == BY_HAND else ""
    echo(f"{candidate.name}: {value:g} recorded{by_hand}")
    echo(f"next: compete runs {record.competition}")


def runs(
    competition: Annotated[str | None, typer.Argument(help="Default: every competition.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write the table to this .csv or .json file.")] = None,
) -> None:
    """List runs and submissions, best CV first, with CV against the leaderboard."""
    from shutil import get_terminal_size

    from compete.errors import UserError
    from compete.leaderboard.history import final_picks_of, metrics_of, read_run, read_submissions
    from compete.leaderboard.records import SUBMISSIONS, UNFINISHED, run_folders
    from compete.leaderboard.standings import export as write_export
    from compete.leaderboard.standings import standings, table_lines
    from compete.text import plural, unknown_name

    if not SUBMISSIONS.is_dir():
        echo(f"no run in {SUBMISSIONS} yet; make one: compete run competitions/<name>.toml")
        return
    folders = list(run_folders(SUBMISSIONS))
    records = [item.record for item in read_submissions(SUBMISSIONS, _warn)]
    names = sorted({folder.parent.name for folder in folders} | {record.competition for record in records})
    if competition is not None and competition not in names:
        raise UserError(unknown_name("competition", competition, names))
    rows = []
    for name in names if competition is None else [competition]:
        of_name = [read_run(folder, _warn) for folder in folders if folder.parent.name == name]
        of_records = [record for record in records if record.competition == name]
        table = standings(of_name, of_records, metrics_of(of_name, _warn))
        rows += table
        picks = final_picks_of(SUBMISSIONS / name, of_name)
        for line in table_lines(name, table, picks, get_terminal_size((0, 0)).columns) if export is None else ():
            echo(line)
        waiting = [record for record in of_records if record.phase in UNFINISHED]
        if waiting and export is None:
            echo(f"{plural(len(waiting), 'submission')} not finished; to finish: compete submit --resume")
    if export is not None:
        write_export(rows, export)
        echo(f"{export}: {plural(len(rows), 'row')}")


def download(
    competition: Annotated[str, typer.Argument(help="The competition's name in its address, or the address.")],
    folder: Annotated[Path | None, typer.Argument(help="Default: data/<competition>.")] = None,
    platform: Annotated[str, typer.Option("--from", help="The platform: `compete options uploads` lists them.")] = (
        "kaggle"
    ),
) -> None:
    """Fetch and unpack a competition's files; run it again to resume after a stop."""
    from compete.leaderboard.download import download as fetch
    from compete.leaderboard.download import slug_of
    from compete.leaderboard.setup import open_platform

    slug = slug_of(competition)
    folder = folder or Path("data") / slug.rpartition("/")[2]
    with resumable(f"compete download {competition}"), open_platform(platform, slug) as uploader:
        files = fetch(uploader, folder, platform, log=echo, progress=report_tenths())
    echo(f"{folder}: {files} files")
    echo(f"next: compete init {quote(str(folder))} -o {quote(f'competitions/{folder.name}.toml')}")


@contextmanager
def resumable(command: str) -> Iterator[None]:
    """After Ctrl-C, print how to resume; the exit status is 130."""
    try:
        yield
    except KeyboardInterrupt as error:
        if not is_a_stop(error):
            raise
        echo(f"\nstopped; what was done is recorded. Resume with: {command}", err=True)
        raise typer.Exit(130) from None


def report_tenths() -> Callable[[int], None]:
    """Return a function that prints each tenth of a download once."""
    reported = 0

    def report(percent: int) -> None:
        nonlocal reported
        if percent // 10 > reported:
            reported = percent // 10
            echo(f"{reported * 10} %", err=True)

    return report


def _warn(message: str) -> None:
    echo(f"warning: {message}", err=True)
