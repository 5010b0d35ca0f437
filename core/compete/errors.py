"""What can go wrong, in words a user can act on.

`UserError` and its children mean that the input is wrong (exit status 2); any other `CompeteError` means
that the work failed (exit status 1). Both are printed as plain sentences, never as a traceback.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterable
from dataclasses import dataclass

from compete.text import printable


class CompeteError(Exception):
    """The work failed for a reason that the message explains."""

    exit_status = 1


class PluginRuntimeError(CompeteError):
    """A plugin raised while it worked; the message names it with its file and line."""


class RunBusyError(CompeteError):
    """Another process is working in this run folder."""


class TrainingError(CompeteError):
    """A member could not be trained to its end; what was finished is kept."""


class UserError(CompeteError):
    """The user's input is wrong; every problem found is in `problems`."""

    exit_status = 2

    def __init__(self, problems: str | Iterable[object]) -> None:
        self.problems = [printable(str(p)) for p in ([problems] if isinstance(problems, str) else problems)]
        super().__init__("\n".join(self.problems))


class PluginError(UserError):
    """A plugin could not be loaded; the message names it with its file and line."""


class ConfigError(UserError):
    """The TOML, or an override of it, is wrong."""


class DataError(UserError):
    """The competition's files are not what the TOML says."""


class SubmissionError(UserError):
    """A submission does not fit the sample submission."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one place of a TOML: `[table] key = value: message`."""

    where: str
    message: str
    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.where}: {self.message}" if place else f"{self.where}: {self.message}"


def error_location(error: BaseException) -> str:
    """Return "file:line" of where an error comes from: the innermost frame that is not a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    libraries = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    own = [frame for frame in frames if not frame.filename.startswith((*libraries, "<"))]
    innermost = (own or frames)[-1:]
    return f"{innermost[0].filename}:{innermost[0].lineno}" if innermost else "?"
