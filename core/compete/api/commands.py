"""The commands before a run, `advise`, and after it: `report` and `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from compete.text import echo

if TYPE_CHECKING:
    from compete.api.result import Result


def add_api_commands(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(rich_help_panel="Look", epilog="$ compete advise my.toml --similar yes")(advise)
    app.command(rich_help_panel="Look", epilog="$ compete report run-001")(report)
    app.command(rich_help_panel="Run", epilog="$ compete predict run-001 photos -o predicted.csv")(predict)


def advise(
    what: Annotated[Path, typer.Argument(metavar="FILE_OR_DIR", help="A TOML, or a competition's folder.")],
    similar: Annotated[
        Literal["yes", "no"] | None,
        typer.Option(help="Are the images like ImageNet's photographs? Default: a guess by what they are."),
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", metavar="FILE", help="A plugin file with a dataset; may be given many times."),
    ] = None,
) -> None:
    """Say what to freeze of a pretrained network, by images per class and similarity, with the lines to paste.

    Nothing is trained or written.
    """
    from compete.api.advising import advice_lines

    for line in advice_lines(what, None if similar is None else similar == "yes", plugin or []):
        echo(line)


def report(run: Annotated[str, typer.Argument(help="Name or folder of a run.")]) -> None:
    """Write the report page of a finished run again."""
    from compete.config.plugins import load_plugins
    from compete.errors import UserError, call_hook
    from compete.leaderboard.records import find_candidate
    from compete.stages.run_folder import check_format, read_state

    folder = find_candidate(run).folder
    if folder is None or not (folder / "scores.json").is_file():
        raise UserError(f"{folder or run}: not a finished run. `compete runs` lists the runs.")
    state = read_state(folder)
    if state is not None:
        check_format(folder, state)
    call_hook(load_plugins().manager.hook.write_report, folder=folder)
    echo(str(folder / "report.html"))


def predict(
    run: Annotated[str, typer.Argument(help="Name or folder of a finished run.")],
    images: Annotated[
        str, typer.Argument(help="A folder or archive of images, one image, a URL, or a CSV with a column `image`.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="The .csv or .parquet table to write: id, classes, label."),
    ],
    sample: Annotated[
        Path | None, typer.Option(help="A sample submission: write its submission instead of the table.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or mps; default: the run's own.")] = None,
) -> None:
    """Predict other images with a finished run: all members, TTA, ensemble and post-processing.

    Paths in a CSV are relative to its folder. The run's own training data is not needed.
    """
    from compete.api.caller import warnings_as_lines
    from compete.api.calls import load_run
    from compete.api.given import read_rows
    from compete.errors import UserError
    from compete.leaderboard.records import find_candidate
    from compete.store import write_atomic, write_text
    from compete.urls.stores import is_url

    folder = find_candidate(run).folder
    if folder is None:
        raise UserError(f"{run}: a CSV file, not a run. `compete runs` lists the runs.")
    if output.exists():
        raise UserError(f"{output} exists already. Name another file with -o, or remove it.")
    known = (".csv",) if sample is not None else (".csv", ".parquet")
    if output.suffix.lower() not in known:
        what = "a submission" if sample is not None else "the table"
        raise UserError(f"-o {output}: {what} is written as {' or '.join(known)}: end its name so.")
    is_table = images.lower().endswith(".csv") and not is_url(images)
    given, root = (read_rows(Path(images)), Path(images).parent) if is_table else (images, Path())
    with warnings_as_lines():
        finished = load_run(folder, device=device)
        if sample is not None:
            rows = len(finished.write_submission(output, given, sample=sample, root=root))
        else:
            table = finished.predict(given, root=root)
            rows = len(table)
            if output.suffix.lower() == ".parquet":
                write_atomic(output, lambda file: table.reset_index().to_parquet(file, index=False))
            else:
                write_text(output, table.reset_index().to_csv(index=False, lineterminator="\n"))
    echo(f"{output}: {rows:,} rows, predicted by {_members(finished)} of {folder}")


def _members(finished: Result) -> str:
    from compete.text import plural

    blended = finished.scores.blend
    if blended is not None:
        return plural(len(blended.inputs), "run")
    return plural(len(finished.scores.refit or finished.scores.members), "member")
