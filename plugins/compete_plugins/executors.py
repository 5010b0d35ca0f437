"""Executors: where members are trained."""

from __future__ import annotations

from collections.abc import Callable

from compete import Member, MemberResult, hookimpl


def local(members: list[Member], train: Callable[[Member], MemberResult]) -> list[MemberResult]:
    """Train the members on this machine, one after another."""
    return [train(member) for member in members]


@hookimpl
def register_executors() -> dict[str, Callable[..., list[MemberResult]]]:
    """Offer the executors by name."""
    return {"local": local}
