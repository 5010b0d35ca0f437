"""The printer for notebooks: what a terminal shows, in a display for each member that is redrawn in place."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rich.console import Console

from compete import hookimpl

from ._pace import Throttle
from ._terminal import Screen, Terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from compete import RunView, Scores, TrainerView

COLUMNS = 100
SECONDS_BETWEEN_REDRAWS = 1.0  # each one is a message through the kernel's socket
PAGE = '<pre style="line-height: 1.3; white-space: pre">{}</pre>'


class Page(Console):
    """A console whose lines are one output of the notebook; `begin` starts the next output."""

    def __init__(self) -> None:
        super().__init__(file=StringIO(), record=True, width=COLUMNS, highlight=False, force_jupyter=False)
        self.begin()

    def begin(self) -> None:
        """Leave the present output as it is."""
        self._html, self._text, self._id = "", "", ""
        self.file = StringIO()  # nobody reads it

    def print(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401 - as rich has it
        """Add to the output."""
        super().print(*objects, **options)
        html, text = self._taken()
        self._html, self._text = self._html + html, self._text + text
        self.draw()

    def draw(self, line: RenderableType | None = None) -> None:
        """Draw the output again, with a line below that goes with the next drawing."""
        from IPython.display import display, update_display

        if line is not None:
            super().print(line)
        html, text = self._taken()
        data = {"text/html": PAGE.format(self._html + html), "text/plain": self._text + text}
        if self._id:
            update_display(data, raw=True, display_id=self._id)  # type: ignore[no-untyped-call]
        else:
            self._id = uuid4().hex
            display(data, raw=True, display_id=self._id)  # type: ignore[no-untyped-call]

    def _taken(self) -> tuple[str, str]:
        """Return what was printed since the last time, as HTML and as text."""
        text = self.export_text(clear=False)
        return self.export_html(inline_styles=True, code_format="{code}"), text


class PageScreen(Screen):
    """Live lines in the outputs of a notebook."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._page = page

    def draw(self, lines: RenderableType) -> None:
        """Draw the output again, with the live lines below it."""
        self._page.draw(lines)

    def hide(self) -> None:
        """Leave the live lines to the next line printed."""


class Notebook(Terminal):
    """Shows a run's events; a long run leaves an output for each member, not one for each line."""

    def __init__(self, run: RunView) -> None:
        self._page = Page()
        super().__init__(run, PageScreen(self._page))
        self._throttle = Throttle(SECONDS_BETWEEN_REDRAWS)

    @hookimpl
    def on_member_start(self, trainer: TrainerView) -> None:
        """Begin the member's output."""
        self._page.begin()
        super().on_member_start(trainer)

    @hookimpl
    def on_run_end(self, run: RunView, scores: Scores) -> None:
        """Begin the output of the results."""
        self._page.begin()
        super().on_run_end(run, scores)

    @hookimpl
    def on_run_error(self) -> None:
        """Remove the live line; Python shows the error."""
        self._page.draw()
