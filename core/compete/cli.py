"""The command line. Every command imports what it needs inside, so that `compete --help` answers at once."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from compete import __version__
from compete.errors import CompeteError, ConfigError, UserError
from compete.leaderboard.commands import add_commands

REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Print what went wrong as sentences, never as a traceback."""
    try:
        yield
    except UserError as error:
        for problem in error.problems:
            _complain(problem)
        raise SystemExit(error.exit_status) from None
    except CompeteError as error:
        _complain(str(error))
        raise SystemExit(error.exit_status) from None
    except KeyboardInterrupt:
        typer.echo("\nstopped; what was computed is kept. The same command goes on where it was.", err=True)
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away, for example `| head`
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno not in REFUSALS or error.filename is None:
            _complain(_unexpected(error))
        else:
            _complain(f"{error.filename}: {os.strerror(error.errno)}")
        raise SystemExit(1) from None
    except Exception as error:
        if hasattr(error, "exit_code"):  # the command line's own: a wrong option, --help, --version
            raise
        _complain(_unexpected(error))
        raise SystemExit(1) from None


class _Commands(TyperGroup):
    """Runs a command so that its errors are sentences; typer on its own would swallow Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as typer has it
        """Run the command that was asked for."""
        with _plain_errors():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Image competitions from one TOML: folds, training, OOF, ensemble and a checked submission.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a value of the TOML; may be given many times."),
]


def main() -> None:
    """Run the command line; the exit status is 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    import signal

    # Threads that wait without spinning: as fast alone (measured), and far faster on a machine shared with others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a machine that is taken away says so like Ctrl-C
    app()


def _complain(message: str) -> None:
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(message, err=True)


def _unexpected(error: Exception) -> str:
    """Say where an error was raised, and keep its traceback in a file where that can be written."""
    import traceback

    from compete.errors import error_location

    path = Path(".compete/last-error.txt")
    kept = f"; the traceback is in {path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        kept = ""
    return f"{type(error).__name__}: {error} (at {error_location(error)}{kept})"


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="The competition's TOML.")],
    overrides: Sets = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder; default: run-001, run-002, ...")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start a new run folder that takes nothing over.")] = False,
) -> None:
    """Train the folds, ensemble them and write a checked submission.

    The same command again goes on where the last one stopped.
    """
    from compete.config.load import load_config

    config = load_config(file, overrides or [])
    from compete.stages.runner import run_competition

    run_competition(config, name, fresh, interactive=sys.stdout.isatty())


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="TOML files to check.")],
    overrides: Sets = None,
    submission: Annotated[Path | None, typer.Option(help="Also check this CSV against the sample submission.")] = None,
) -> None:
    """Check TOML files, and print every problem at once."""
    from compete.config.load import load_config

    problems: list[str] = []
    for file in files:
        try:
            config = load_config(file, overrides or [])
        except ConfigError as error:
            problems += error.problems
            continue
        for note in config.notes:
            typer.echo(f"note: {note}")
        if submission is not None:
            from compete.stages.check_file import check_file

            warnings = check_file(config, submission)
            for warning in warnings:
                typer.echo(f"warning: {warning}")
            typer.echo(f"{submission}: fits the sample submission")
        else:
            typer.echo(f"{file}: no problem found; the data it names was not looked at")
    if problems:
        raise ConfigError(problems)


@app.command()
def demo(
    name: Annotated[str, typer.Argument(help="The competition whose layout to draw, for example `mask`.")],
    folder: Annotated[Path, typer.Argument(help="The folder to draw into.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the demo data.")
    ] = None,
) -> None:
    """Draw a small stand-in data set in a competition's exact layout."""
    from compete.config.options import bind
    from compete.config.plugins import load_plugins
    from compete.config.registry import find
    from compete.config.toml import apply_overrides

    component = find(load_plugins().registry, "demos", name)
    bound, problems = bind(component, apply_overrides({}, overrides or []), f"demo {name}")
    if bound is None or problems:
        raise ConfigError(problems)
    bound.build(folder)
    typer.echo(f"{folder}: a drawn stand-in for {name}; see {folder / 'DRAWN.txt'}")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The competition's files, unpacked or still zipped; only read.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: <folder's name>.toml, here.")
    ] = None,
) -> None:
    """Look at a competition's folder and write a TOML that runs, with the reason for each choice."""
    from compete.init import write_toml

    for line in write_toml(folder, output).lines:
        typer.echo(line)


@app.command()
def plugins(
    file: Annotated[Path | None, typer.Argument(help="Also load the plugins that this TOML names.")] = None,
) -> None:
    """List the loaded plugins: name, where from, which hooks."""
    from compete.config.listing import plugin_lines

    for line in plugin_lines(file):
        typer.echo(line)


@app.command()
def options(
    kind: Annotated[str | None, typer.Argument(help="A kind or a TOML table: losses, loss, ...")] = None,
    name: Annotated[str | None, typer.Argument(help="One component; default: all of the kind.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Also load the plugins that this TOML names.")] = None,
) -> None:
    """Print the components of a kind with their options, types, defaults and docstrings."""
    from compete.config.listing import option_lines

    for line in option_lines(kind, name, file):
        typer.echo(line)


@app.command()
def report(run: Annotated[str, typer.Argument(help="A run's name, or its folder.")]) -> None:
    """Write the report page of a finished run anew."""
    from compete.config.plugins import load_plugins
    from compete.leaderboard.records import find_candidate
    from compete.stages.run_folder import check_format
    from compete.store import read_json

    folder = find_candidate(run).folder
    if folder is None or not (folder / "scores.json").is_file():
        raise UserError(f"{folder or run}: no finished run is there. `compete runs` lists the runs.")
    check_format(folder, read_json(folder / "run.json"))
    load_plugins().manager.hook.write_report(folder=folder)
    typer.echo(str(folder / "report.html"))


add_commands(app)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"compete {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
