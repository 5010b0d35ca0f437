"""The first of several nodes: it waits for the others, checks that they run the same, and tells them how it ended."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from compete.errors import ConfigError, TrainingError, is_a_stop
from compete.jobs.failures import failure, failure_record
from compete.ranks.nodes import Link, Message, Nodes
from compete.ranks.place import Place
from compete.text import duration, echo, format_list
from compete.toml.read import flat_keys

if TYPE_CHECKING:
    from compete.config.load import Config

WAIT_SECONDS = 600.0  # from the first machine's start to the last one's
HELLO_SECONDS = 5.0


def settings_of(configs: Sequence[Config], options: Mapping[str, object]) -> Message:
    """Return all settings of a command's TOMLs, by dotted key, and those of its options that are given."""
    found: dict[str, Any] = {name: value for name, value in options.items() if value not in (None, False)}
    for number, config in enumerate(configs):
        found |= flat_keys(config.resolved(), "" if len(configs) == 1 else f"TOML {number + 1}")
    return {key: str(value) for key, value in found.items()}


@contextmanager
def gathered(place: Place, settings: Message, seconds: float = WAIT_SECONDS) -> Iterator[Nodes]:
    """Wait for the other nodes, which must have the same settings, and tell them at the end how it ended.

    Raise `CompeteError` where one is missing after so many seconds, and `ConfigError` where one has other settings.
    """
    links: dict[int, tuple[str, Link]] = {}
    over: Message = {"do": "over", "how": "finished"}
    try:
        _gather(place, settings, links, seconds)
        yield Nodes(place.address, links)
    except BaseException as error:
        over |= {"how": "stopped"} if is_a_stop(error) else {"how": "failed", "failure": failure_record(error)}
        raise
    finally:
        for _, link in links.values():
            link.send(over)
            link.close()


def _gather(place: Place, settings: Message, links: dict[int, tuple[str, Link]], seconds: float) -> None:
    """Accept the other nodes into `links`."""
    until, others = time.monotonic() + seconds, set(range(1, place.count))
    with _listening(place) as server:
        echo(f"{place}: waiting for {_numbers(others)} at {place.address}:{place.port}, {duration(seconds)} at most")
        while missing := others - set(links):
            server.settimeout(max(0.01, until - time.monotonic()))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                raise TrainingError(
                    f"{_numbers(missing)} of {place.count}: not here after {duration(seconds)}. Start the same command "
                    f"there with NODE_RANK={min(missing)} MASTER_ADDR={place.address} MASTER_PORT={place.port}, and "
                    "check that a firewall lets them through."
                ) from None
            _accept(place, settings, links, connection)
    echo(f"{place}: {_numbers(others)} joined: {format_list(host for host, _ in links.values())}")


def _numbers(nodes: set[int]) -> str:
    return f"node{'s' if len(nodes) > 1 else ''} {', '.join(map(str, sorted(nodes)))}"


def _listening(place: Place) -> socket.socket:
    try:
        return socket.create_server(("", place.port))
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is in use on this machine" if taken else f"cannot be listened on: {error.strerror}"
        raise ConfigError(f"MASTER_PORT = {place.port}: {why}. Set another one on every node.") from error


def _accept(place: Place, settings: Message, links: dict[int, tuple[str, Link]], connection: socket.socket) -> None:
    """Take a node in. A stranger is passed over; what is wrong with a node is raised, for all to hear."""
    connection.settimeout(HELLO_SECONDS)
    link = Link(connection)
    hello = link.receive() or {}
    theirs = hello.get("settings")
    if not isinstance(hello.get("node"), int) or not isinstance(theirs, dict):
        link.close()
        return
    connection.settimeout(None)
    node, host = hello["node"], str(hello.get("host"))
    twice = links.get(node)
    links[node if twice is None else -len(links)] = (host, link)  # so that it hears of its own mistake
    if "failure" in hello:
        raise failure(hello["failure"])
    if twice or node not in range(1, place.count):
        other = f", as {twice[0]} has" if twice else ""
        raise ConfigError(f"{host} has NODE_RANK={node}{other}: number the machines from 0 to {place.count - 1}.")
    here, there = "on node 0", f"on node {node} ({host})"
    differ = [
        f"{key}: {settings.get(key, 'not set')} {here}, {theirs.get(key, 'not set')} {there}"
        for key in sorted(settings.keys() | theirs.keys())
        if settings.get(key) != theirs.get(key)
    ]
    if differ:
        raise ConfigError([*differ, "Run the same TOML with the same options on every node."])
