"""What can go wrong, in words a user can act on.

`UserError` and its children mean that the input is wrong (exit status 2); any other `CompeteError` means
that the work failed (exit status 1). Both are printed as plain sentences, never as a traceback.
"""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

LONGEST_NAME = 200  # characters; comparing longer ones with thousands of names would take minutes
MOST_CHARACTERS = 10_000  # of one message; what a table's cell holds has no limit
_LONG_WORD = re.compile(r"\S{1000,}")


class CompeteError(Exception):
    """The work failed for a reason that the message explains."""

    exit_status = 1


class PluginFault(CompeteError):  # noqa: N818 - a fault of the plugin, met while it worked
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


def printable(message: str) -> str:
    """Make a message fit to be printed, for names, cells and paths can hold anything, of any length.

    Endless words are cut, so is the middle of what is still too long, and what a terminal would obey becomes an escape.
    """
    message = _LONG_WORD.sub(lambda word: f"{word[0][:100]}... ({len(word[0]):,} characters)", message)
    if len(message) > MOST_CHARACTERS:
        left_out, half = len(message) - MOST_CHARACTERS, MOST_CHARACTERS // 2
        message = f"{message[:half]} ... ({left_out:,} characters left out) ... {message[-half:]}"
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in message)


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a name, if one is like it at all."""
    names = [known_name for known_name in known if len(known_name) <= LONGEST_NAME]
    if len(str(name)) > LONGEST_NAME:
        return None
    by_lower = {known_name.lower(): known_name for known_name in names}
    near = get_close_matches(str(name).lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or an empty string."""
    near = nearest(name, known)
    return "" if near is None else f" Did you mean '{near}'?"


def choices(names: Iterable[str], most: int = 12) -> str:
    """Write names as a readable list, cut to `most`: "a, b, c and 30 more"."""
    ordered: Sequence[str] = sorted(names)
    shown = ", ".join(ordered[:most])
    return shown if len(ordered) <= most else f"{shown} and {len(ordered) - most} more"


def unknown_name(what: str, name: object, known: Iterable[str]) -> str:
    """Explain that a name is not known: the nearest one, then what there is."""
    names = list(known)
    return f"there is no {what} '{name}'.{did_you_mean(name, names)} Known: {choices(names)}."


def fault_place(error: BaseException) -> str:
    """Return "file:line" of where an error comes from: the innermost frame that is not a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    libraries = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    own = [frame for frame in frames if not frame.filename.startswith((*libraries, "<"))]
    innermost = (own or frames)[-1:]
    return f"{innermost[0].filename}:{innermost[0].lineno}" if innermost else "?"
