"""`report.html`: one self-contained page about a run, written from the files of its folder at any time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from compete import duration, hookimpl

from ._files import RunFiles, read_run

if TYPE_CHECKING:
    from compete import RunView

PAGE = "report.html"


@hookimpl(tryfirst=True)  # the console's last screen names the page, so it has to be there by then
def on_run_end(run: RunView) -> None:
    """Write the page into the run's folder."""
    write_report(run.folder)


@hookimpl
def write_report(folder: Path) -> Path:
    """Write `report.html` from a run folder's files and return its path.

    Raise `DataError` naming every file that is missing or damaged. An earlier page is only ever replaced by a
    whole one.
    """
    page = render(read_run(folder))
    path = folder / PAGE
    temporary = folder / f".{PAGE}.{os.getpid()}.tmp"
    # A file name that is not valid UTF-8 holds surrogates, which cannot be encoded.
    temporary.write_bytes(page.encode("utf-8", "replace"))
    temporary.replace(path)
    return path


def render(files: RunFiles) -> str:
    """Return the page as HTML. Every string is escaped, except the plots that are drawn here."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from . import _words
    from ._content import content

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "decimal": _words.decimal,
        "signed": _words.signed,
        "percent": _words.percent,
        "count": _words.count,
        "duration": duration,
    }
    return str(environment.get_template("template.html.j2").render(content(files)))
