"""A process that another process of compete started: it reports on its output, and ends when its input does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, NoReturn

from compete.errors import Stopped

STOPPED = 130


@contextmanager
def report_stream() -> Iterator[IO[str]]:
    """Yield the output for reports, and have the signals that end a process raise `Stopped`.

    All else that is printed goes to stderr from now on: what plugins print must not look like a report.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        yield out


def end_this_process(grace_seconds: float) -> NoReturn:
    """Stop the work of the main thread, and end without it if it does not hear the signal in time."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_seconds)
    os._exit(STOPPED)


def _stop(_number: int, _frame: object) -> None:
    raise Stopped
