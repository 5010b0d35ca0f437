"""Platforms with a web form only: a checklist now, the score entered later."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from compete import Limits, Receipt, Uploader, component

from ._limits import check_timezone


@component(check=check_timezone)
def manual(
    *,
    competition: str,
    site: str = "",
    checklist: list[str] = [],  # noqa: B006 - read only; a TOML option's default
    max_per_day: Annotated[int, Field(ge=1, le=10_000)] | None = None,
    min_interval_minutes: Annotated[float, Field(ge=0, le=100_000)] = 0.0,
    final_picks: Annotated[int, Field(ge=1, le=100)] | None = None,
    timezone: str = "UTC",
) -> Uploader:
    """Submit by hand in a web form (AI Stages, Dacon, DrivenData and others): print a checklist; send and open nothing.

    `competition` is its name there, `site` the address of the form, `checklist` further lines to print. The platform
    reports nothing, so its rules are kept here: at most `max_per_day` submissions on a day of `timezone`,
    `min_interval_minutes` between two, `final_picks` that count in the end. Enter the score with `compete score`.
    """

    def create(path: Path, message: str, state: dict[str, Any]) -> Receipt:  # noqa: ARG001
        where = site or f"the page of {competition}"
        steps = [f"Open {where}", f"Upload {path}", f"As its note, write: {message}", *checklist]
        return Receipt(notes=tuple(f"[ ] {step}" for step in steps))

    return Uploader(
        platform="the web form",
        competition=competition,
        create=create,
        limits=Limits(max_per_day, min_interval_minutes, final_picks, timezone),
    )
