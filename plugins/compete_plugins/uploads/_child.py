"""A client library in a process of its own: a silent server cannot hang us, and what it prints stays there.

The child runs a module that calls `_serve.serve`. One request is one JSON line, as is its answer.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

PERCENT = re.compile(rb"(\d{1,3})%\|")


class ChildFailure(Exception):  # noqa: N818 - reported by the child, not an error of ours
    """A request that failed. `kind` is what the child reports, or "silent" or "died".

    `foreign` describes an HTTP failure that is not the platform's own; not `sent` is what never left this machine.
    """

    def __init__(
        self,
        kind: str,
        message: str = "",
        code: int = 0,
        wait_seconds: float | None = None,
        foreign: str = "",
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.code = code
        self.wait_seconds = wait_seconds
        self.foreign = foreign
        self.sent = sent


class Child:
    """A module that serves, in a child process: started at the first request, and again after it was killed.

    `start` names the action that every new child runs first.
    """

    def __init__(self, module: str, *, start: str | None = None) -> None:
        self._module = module
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._heard = 0.0
        self._on_percent: Callable[[int], None] | None = None

    def call(
        self,
        do: str,
        timeout_seconds: float,
        on_percent: Callable[[int], None] | None = None,
        **arguments: object,
    ) -> Any:  # noqa: ANN401 - any JSON
        """Return the answer. Raise `ChildFailure`; after `timeout_seconds` without a sign of life, kill the child.

        A progress bar on the child's stderr is a sign of life, and its percentages go to `on_percent`.
        """
        if self._process is None:
            self._open()
            if self._start is not None:
                self._begin(self._start, timeout_seconds)
        self._on_percent = on_percent
        return self._ask(do, timeout_seconds, arguments)

    def close(self) -> None:
        """Kill the child, if there is one."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (process.stdin, process.stdout, process.stderr):
            _close(stream)

    def _open(self) -> None:
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we decide what becomes of the request.
        self._process = subprocess.Popen(
            # -P: no module in the user's folder may stand in for the client.
            [sys.executable, "-P", "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._answers = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read_answers, args=(self._process.stdout, self._answers), daemon=True),
            threading.Thread(target=self._read_signs, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _begin(self, start: str, timeout_seconds: float) -> None:
        try:
            self._ask(start, timeout_seconds, {})
        except ChildFailure as failure:
            self.close()  # a child that has not signed in is of no use
            failure.sent = False
            raise

    def _ask(self, do: str, timeout_seconds: float, arguments: dict[str, object]) -> Any:  # noqa: ANN401
        try:
            self._write({"do": do, "arguments": arguments})
            answer = json.loads(self._wait(timeout_seconds))
        except BaseException:  # Ctrl-C too: a child cannot be used again in the middle of a request
            self.close()
            raise
        if "error" in answer:
            raise ChildFailure(**answer["error"])
        return answer["result"]

    def _write(self, request: dict[str, object]) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ChildFailure("died", self._ending()) from error

    def _wait(self, timeout_seconds: float) -> bytes:
        self._heard = time.monotonic()
        while True:
            left = self._heard + timeout_seconds - time.monotonic()
            if left <= 0:
                raise ChildFailure("silent", f"no answer for {timeout_seconds:g} s")
            try:
                line = self._answers.get(timeout=left)
            except queue.Empty:
                continue
            if not line:
                raise ChildFailure("died", self._ending())
            return line

    def _ending(self) -> str:
        assert self._process is not None
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return ""
        return f"signal {-status}" if status < 0 else f"status {status}"

    def _read_answers(self, stream: IO[bytes], answers: queue.Queue[bytes]) -> None:
        for line in stream:
            answers.put(line)
        answers.put(b"")

    def _read_signs(self, stream: IO[bytes]) -> None:
        while block := os.read(stream.fileno(), 1 << 16):
            self._heard = time.monotonic()
            percents = PERCENT.findall(block)
            if percents and self._on_percent is not None:
                self._on_percent(int(percents[-1]))


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with suppress(OSError):  # what was not yet sent to a killed child
            stream.close()
