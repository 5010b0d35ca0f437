"""The child's side of `_child`: answer requests, one JSON line each, and die with the parent."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TextIO

Action = Callable[..., Any]


def serve(actions: Mapping[str, Action], explain: Callable[[BaseException], dict[str, Any]]) -> None:
    """Answer requests from stdin until it ends; `explain` turns an exception into the answer's `error`."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What a client prints on stdout (help, even tokens) must not mix with the answers or reach a log.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # A client that calls exit() closes sys.stdin, so requests are read from another object.
    source, sys.stdin = sys.stdin, open(os.devnull)  # noqa: PTH123, SIM115 - for as long as the process lives
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(source, requests), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        try:
            answer = {"result": actions[request["do"]](**request["arguments"])}
        except BaseException as error:  # SystemExit too: a client may call exit()
            answer = {"error": explain(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _read(source: TextIO, requests: queue.Queue[str]) -> None:
    for line in source:
        requests.put(line)
    # The parent is gone, and nobody would record the outcome of a request under way.
    os._exit(0)
