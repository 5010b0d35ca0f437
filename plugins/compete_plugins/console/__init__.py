"""What a run prints: live on a terminal and in a notebook, one plain record per line everywhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console

from compete import hookimpl

from ._notebook import Notebook
from ._records import Records
from ._terminal import Screen, Terminal

if TYPE_CHECKING:
    from compete import RunView


@hookimpl
def on_run_start(run: RunView) -> None:
    """Register the printer for this run; it prints the run's name at once."""
    console = Console(highlight=False)
    if console.is_jupyter:
        run.register(Notebook(run))
    else:
        screen = run.together.setdefault("console", Screen(console))
        run.register(Terminal(run, screen) if _is_live(run, console) else Records(run, sys.stdout))


def _is_live(run: RunView, console: Console) -> bool:
    """Return whether lines can be redrawn here; a dumb or ASCII terminal gets plain records, like a pipe."""
    return run.interactive and console.is_interactive and not console.options.ascii_only
