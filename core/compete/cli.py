"""The command line. Commands import what they need when they run, so that `compete --help` answers at once."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from compete import __version__
from compete.api.commands import add_api_commands
from compete.blending.commands import add_blend_commands
from compete.bundle.commands import add_bundle_commands
from compete.catalog.commands import add_catalog_commands
from compete.errors import FAULTS, CompeteError, ConfigError, Stopped, UserError, memory_limit
from compete.leaderboard.commands import add_commands
from compete.search.commands import add_search_commands
from compete.study.commands import add_study_commands
from compete.text import echo

if TYPE_CHECKING:
    from compete.config.load import Config

GROUPS = ("Start", "Run", "Look", "Submit", "Choose and extend")
REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG, errno.ELOOP)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Print errors as sentences, never as a traceback, and exit with their status."""
    try:
        yield
    except UserError as error:
        for problem in error.problems:
            _complain(problem)
        raise SystemExit(error.exit_status) from None
    except CompeteError as error:
        _complain(str(error))
        raise SystemExit(error.exit_status) from None
    except Stopped:
        with suppress(OSError):  # after a hangup, the terminal is gone
            echo("\nstopped; finished work is kept. Run the same command again to resume.", err=True)
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone, as after `| head`
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno not in REFUSALS or error.filename is None:
            _complain(_unexpected(error))
        else:
            _complain(f"{error.filename}: {os.strerror(error.errno)}")
        raise SystemExit(1) from None
    except FAULTS as error:  # a plugin may end Python itself, which must not end the command as if all were well
        # typer's own: a wrong option, --help, --version; rich's: nobody reads on, as after `--help | head`
        if hasattr(error, "exit_code") or isinstance(error.__context__, BrokenPipeError):
            raise
        _complain(_unexpected(error))
        raise SystemExit(1) from None


class _Commands(TyperGroup):
    """Runs commands with plain errors, where typer would swallow Ctrl-C, and lists them by what a person wants."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as typer has it
        """Write the help: the commands by group, each as an example to type and what it does."""
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
        for command in self.commands.values():
            example = (command.epilog or "").removeprefix("$ ")
            groups[command.rich_help_panel].append((example, command.get_short_help_str(200)))  # type: ignore[attr-defined]
        formatter.write_usage(ctx.command_path, "COMMAND ...")
        formatter.write_paragraph()
        formatter.write_text(self.help or "")
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows, col_max=46)
        formatter.write_paragraph()
        formatter.write_text("compete COMMAND --help shows a command's options; compete --version the version.")

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as typer has it
        """Run the command."""
        with _plain_errors():
            return super().invoke(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - as typer has it
        """Return a command by its name; an error names the new name of a renamed one."""
        command = super().get_command(ctx, cmd_name)
        if command is None:
            from compete.config.settings import RENAMED

            new = RENAMED.get(f"compete {cmd_name}")
            if new is not None:
                ctx.fail(f"`compete {cmd_name}` was renamed. Use {new}.")
        return command


app = typer.Typer(
    cls=_Commands,
    help="Image competitions from one TOML: folds, training, OOF, ensemble and a checked submission.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a value of the TOML; may be repeated."),
]


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    # Threads that do not spin while they wait: measured as fast on an idle machine, far faster on a shared one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _stop_at_signals()
    app()


def _stop_at_signals() -> None:
    """Stop as after Ctrl-C at SIGTERM, which a preempted machine sends, and at SIGHUP, when the terminal closes.

    Forked processes stop without a word. A signal that is ignored from the start, as under nohup, stays ignored.
    """
    import signal

    owner = os.getpid()

    def stop(number: int, _frame: object) -> None:
        if os.getpid() == owner:
            raise Stopped
        if number == signal.SIGTERM:  # the others reach the owner too, which then ends its loader processes
            os._exit(128 + number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def _complain(message: str) -> None:
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    echo(message, err=True)
    if hint := memory_limit(message):
        echo(hint, err=True)


def _unexpected(error: BaseException) -> str:
    """Describe an error and where it was raised; save its traceback to a file if possible."""
    import traceback

    from compete.errors import error_location

    path = Path(".compete/last-error.txt")
    kept = f"; the traceback is in {path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")
    except OSError:
        kept = ""
    return f"{type(error).__name__}: {error} (at {error_location(error)}{kept})"


@app.command(rich_help_panel="Run", epilog="$ compete run mask")
def run(
    files: Annotated[
        list[Path],
        typer.Argument(help="The competition's TOML, or a folder, whose TOML is written first; several are blended."),
    ],
    overrides: Sets = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder; default: run-001, run-002, ...")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start a new run folder and reuse no member.")] = False,
    doctor: Annotated[bool, typer.Option("--doctor/--no-doctor", help="Look for classic mistakes first.")] = True,
    hours: Annotated[float | None, typer.Option(help="Cut epochs, folds, seeds, variants to what fits.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="fold=K", help="Train only these (fold=, seed=, variant=), beside other processes."),
    ] = None,
) -> None:
    """Train the folds, ensemble them and write a checked submission.

    A run that was stopped resumes when you run the same command again.
    """
    from compete.session import RunOptions

    configs = [_read_config(file.expanduser(), overrides or []) for file in files]
    options = RunOptions(interactive=sys.stdout.isatty(), doctor=doctor)
    if only:
        from compete.blending.part_entry import run_part

        echo(*run_part(configs, only, name, fresh, hours, options))
        return
    from compete.nodes.entry import run_on_nodes

    run_on_nodes(configs, hours, name, fresh, options)


def _read_config(file: Path, overrides: list[str]) -> Config:
    """Read a TOML, or the one that is written for a folder first."""
    from compete.config.load import load_config

    if file.is_dir():
        from compete.api.sources import toml_of

        file = toml_of(file, "compete init '{folder}' -o other.toml, then compete run other.toml")
    config = load_config(file, overrides)
    _say_where_from(file, config.path)
    return config


def _say_where_from(given: Path, found: Path) -> None:
    if found != given:
        echo(f"note: no file {given} here; this is the gallery's. `compete new {given}` makes a copy to edit")


@app.command(rich_help_panel="Run", epilog="$ compete validate my.toml")
def validate(
    files: Annotated[list[Path], typer.Argument(help="TOML files to check.")],
    overrides: Sets = None,
    submission: Annotated[Path | None, typer.Option(help="Also check this CSV against the sample submission.")] = None,
) -> None:
    """Check TOML files and print every problem at once."""
    from compete.search.space import load_with_space

    problems: list[str] = []
    for file in files:
        try:
            config = load_with_space(file, overrides or [])
        except ConfigError as error:
            problems += error.problems
            continue
        _say_where_from(file, config.path)
        for note in config.notes:
            echo(f"note: {note}")
        if submission is not None:
            from compete.stages.check_file import check_file

            for warning in check_file(config, submission):
                echo(f"warning: {warning}")
            echo(f"{submission}: matches the sample submission")
        else:
            echo(f"{file}: no problem found; its data was not checked")
    if problems:
        raise ConfigError(problems)


@app.command(rich_help_panel="Start", epilog="$ compete init data/leaves")
def init(
    folder: Annotated[
        Path | None, typer.Argument(help="The competition's files, unpacked or zipped; never changed.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Default: <folder name>.toml in the current folder."),
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", metavar="FILE", help="A plugin file with a dataset; may be given many times."),
    ] = None,
    from_ini: Annotated[
        Path | None,
        typer.Option("--from-ini", metavar="FILE", help="Convert an old program's .ini (ConfigParser) instead."),
    ] = None,
    timed: Annotated[
        bool, typer.Option("--time/--no-time", help="Time a step, to tell how long a run takes: some seconds.")
    ] = True,
) -> None:
    """Inspect a competition's folder and write a TOML that runs, with the reason for each choice."""
    from compete.catalog.convert import first_toml

    for line in first_toml(folder, output, plugin or [], from_ini, timed):
        echo(line)


add_catalog_commands(app)
add_commands(app)
add_study_commands(app)
add_blend_commands(app)
add_search_commands(app)
add_api_commands(app)
add_bundle_commands(app)


def _version(value: bool) -> None:
    if value:
        echo(f"compete {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
