"""Errors whose messages tell a user what to do; the command line prints them without a traceback.

CompeteError                   the work failed (exit status 1)
  x PluginRuntimeError         a plugin raised
  x RunBusyError               another process uses the run folder
  x StoreError                 a store behind a URL does not answer
  x TrainingError              a member could not be trained
  x PrunedError                ends a trial of a search that falls behind
  x OutOfTimeError             ends a trial when the time of a search is over
  x ReplanError                ends a run that goes on with another plan of --hours
  x PlatformError              a competition platform failed, or refused
    - BusyError                it refused for now: try again later
    - PendingError             it is still at work: ask again later
    - UnreachableError         it could not be reached
  x UserError                  the input is wrong (exit status 2)
    - AccessError              the platform refused the user: log in, or accept the rules
    - ConfigError              the TOML, or a `--set`
    - DataError                the competition's files
    - PluginError              a plugin that does not load
    - SubmissionError          a submission
"""

from __future__ import annotations

import re
import signal
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compete.text import printable


class CompeteError(Exception):
    """The work failed; the message explains why."""

    exit_status = 1

    def _render_traceback_(self) -> list[str]:
        """Let a notebook show the message alone, as the command line does: IPython asks for this."""
        return [f"{type(self).__name__}: {self}"]


class PluginRuntimeError(CompeteError):
    """A plugin raised an exception; the message names the plugin, its file and line."""


class RunBusyError(CompeteError):
    """Another process is using this run folder."""


class StoreError(CompeteError):
    """A store behind a URL does not answer, after every retry; finished work is kept."""


class TrainingError(CompeteError):
    """A member could not be trained to the end; finished work is kept."""


class Stopped(KeyboardInterrupt):
    """The user, or the system, stopped a command: Ctrl-C, SIGTERM."""


class UserError(CompeteError):
    """The input is wrong; `problems` holds every problem found."""

    exit_status = 2

    def __init__(self, problems: str | Iterable[object]) -> None:
        self.problems = [printable(str(p)) for p in ([problems] if isinstance(problems, str) else problems)]
        super().__init__("\n".join(self.problems))


class PluginError(UserError):
    """A plugin could not be loaded; the message names the plugin, its file and line."""


class ConfigError(UserError):
    """The TOML, or an override of it, is wrong."""


class DataError(UserError):
    """The competition's files are wrong, or do not match the TOML."""


class SubmissionError(UserError):
    """A submission does not match the sample submission."""


@dataclass(frozen=True)
class Problem:
    """A problem in one place of a TOML: `file:line: [table] key = value: message`; `is_unknown` tells of an option."""

    where: str
    message: str
    file: str = ""
    line: int | None = None
    is_unknown: bool = False

    @property
    def key(self) -> str:
        """The key in "[table] key = value", or an empty string."""
        return self.where.partition("] ")[2].partition(" = ")[0].partition(".")[0]

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.where}: {self.message}" if place else f"{self.where}: {self.message}"


FAULTS = (Exception, SystemExit, KeyboardInterrupt)  # all that code of others may raise, unless the user stopped it


@contextmanager
def code_of_others(
    explain: Callable[[BaseException], CompeteError], expected: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Run a plugin's code: whatever it raises, `sys.exit()` too, becomes the error that `explain` returns.

    Our own errors and the `expected` ones pass through, and so does the user's Ctrl-C.
    """
    passed: tuple[type[Exception], ...] = (CompeteError, *expected)
    try:
        yield
    except passed:
        raise
    except BaseException as error:  # a panic of an extension in Rust is no Exception either
        if is_a_stop(error) or isinstance(error, GeneratorExit):
            raise
        raise explain(error) from error


def call_hook(caller: Callable[..., Any], **arguments: object) -> Any:  # noqa: ANN401 - what the hook returns
    """Call a hook; an exception from a plugin becomes a `PluginRuntimeError` that names where it was raised."""
    name = getattr(caller, "name", "a hook")

    def raised(error: BaseException) -> PluginRuntimeError:
        return PluginRuntimeError(f"hook {name}: a plugin raised {error!r} at {error_location(error)}")

    with code_of_others(raised):
        return caller(**arguments)


def is_a_stop(error: BaseException) -> bool:
    """Return whether an error is the user's Ctrl-C; where Python's own handler raises it, nothing tells it apart."""
    by_python = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, Stopped) or (isinstance(error, KeyboardInterrupt) and by_python)


def error_location(error: BaseException) -> str:
    """Return "file:line" of the innermost frame of an error that is not in a library."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not is_library(frame.filename)]
    innermost = (own or frames)[-1:]
    return f"{innermost[0].filename}:{innermost[0].lineno}" if innermost else "?"


def is_library(filename: str) -> bool:
    """Return whether a source file is Python's own, or of an installed package."""
    if {"site-packages", "dist-packages"} & set(Path(filename).parts):  # of any environment: --user, --target, a .pth
        return True
    return filename.startswith((*(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")), "<"))


def memory_limit(message: str) -> str:
    """Return what to say of a limit on address space, if an error may come from it; libraries fail in many ways."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return ""
    most_bytes = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most_bytes == resource.RLIM_INFINITY or not re.search(r"map segment|memory|MemoryError|SystemError", message):
        return ""
    limit = f"this process may map at most {most_bytes / 2**30:.1f} GiB of memory (`ulimit -v`)"
    return f"{limit}; PyTorch alone maps about 5. Raise the limit, or remove it: ulimit -v unlimited"
