"""What the machines (nodes) of a run say to each other: lines of JSON over one TCP connection to the leading node.

Gradients do not go this way: the ranks of a member exchange them among each other.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

Message = dict[str, Any]
SILENT_SECONDS = 30  # until a machine that answers nothing any more counts as lost
LONGEST = 1 << 26  # characters of a line


class Link:
    """A connection to another node; it notices also a machine that lost its power."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("r", encoding="utf-8")
        self._sending = threading.Lock()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", SILENT_SECONDS // 2),
            ("TCP_KEEPINTVL", SILENT_SECONDS // 6),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", SILENT_SECONDS * 1000),
        ):
            if hasattr(socket, name):  # Linux has all of them
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send(self, message: Message) -> None:
        """Send a message; whoever receives from a lost node learns that it is."""
        with self._sending, suppress(OSError):
            self._connection.sendall((json.dumps(message) + "\n").encode())

    def receive(self) -> Message | None:
        """Return the next message, or None where the connection ended, or speaks another language."""
        try:
            line = self._lines.readline(LONGEST)
            message = json.loads(line) if line.endswith("\n") else None
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def close(self) -> None:
        """End the connection."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # ends the wait of a thread that receives
        self._lines.close()
        self._connection.close()


class Nodes:
    """The other nodes, as the leading one sees them; there may be none.

    Every start of a member's ranks is a turn. `records` has what its ranks report, of this machine too, as (turn, rank,
    record); `lost` the nodes that are gone.
    """

    def __init__(self, address: str = "127.0.0.1", links: Mapping[int, tuple[str, Link]] | None = None) -> None:
        self.address = address
        self.turn = 0
        self.records: queue.SimpleQueue[tuple[int, int, Message]] = queue.SimpleQueue()
        self.lost: list[Message] = []
        self._links = dict(links or {})
        for node in self._links:
            threading.Thread(target=self._read, args=(node,), daemon=True).start()

    def __bool__(self) -> bool:
        """Return whether there are other nodes."""
        return bool(self._links)

    def send(self, message: Message) -> None:
        """Send a message to all nodes."""
        for _, link in self._links.values():
            link.send(message)

    def _read(self, node: int) -> None:
        host, link = self._links[node]
        why = "is gone: its process was killed, or the machine or its network failed"
        while message := link.receive():
            if "left" in message:
                why = message["left"]
            else:
                self.records.put((message["turn"], message["rank"], message["record"]))
        problem = (
            f"node {node} ({host}) {why}. The member resumes from its last checkpoint when you run the same command "
            "again on every node."
        )
        lost = {"event": "died", "failure": {"kind": "TrainingError", "problems": [problem]}}
        self.lost.append(lost)
        self.records.put((0, -1, lost))  # whatever the turn
