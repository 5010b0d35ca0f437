"""Ranks in forked processes, over gloo on this machine's CPU."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable
from typing import Any

import pytest
import torch

from compete.ranks.group import join_ranks

CPU = torch.device("cpu")


@pytest.fixture
def on_ranks() -> Callable[..., list[Any]]:
    """Return a function that calls `work(ranks)` in so many processes, and returns what each returned, or its error."""

    def start(count: int, work: Callable[..., Any]) -> list[Any]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        context = multiprocessing.get_context("fork")
        results = [context.Pipe(duplex=False) for _ in range(count)]

        def child(rank: int) -> None:
            world = {"RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            with pytest.MonkeyPatch.context() as patch:
                for name, value in world.items():
                    patch.setenv(name, value)
                try:
                    results[rank][1].send(work(join_ranks(CPU)))
                except Exception as error:
                    results[rank][1].send(error)

        children = [context.Process(target=child, args=(rank,)) for rank in range(count)]
        for process in children:
            process.start()
        try:
            found = [receive.recv() if receive.poll(60) else TimeoutError("a rank hangs") for receive, _ in results]
        finally:
            for process in children:
                process.kill()
                process.join()
        return found

    return start
