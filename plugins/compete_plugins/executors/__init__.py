"""Executors: where members are trained."""

from __future__ import annotations

from collections.abc import Callable

from compete import Member, MemberResult, hookimpl

from ._processes import processes
from ._ray import ray


def local(members: list[Member], train: Callable[[Member], MemberResult]) -> list[MemberResult]:
    """Train the members in this process, one after another."""
    return [train(member) for member in members]


@hookimpl
def register_executors() -> dict[str, Callable[..., list[MemberResult]]]:
    """Offer the executors by name."""
    return {"local": local, "processes": processes, "ray": ray}
