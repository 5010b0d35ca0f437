"""Competitions on Hugging Face Spaces: one POST to the competition's Space."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from compete import (
    AccessError,
    BusyError,
    Limits,
    PlatformError,
    Receipt,
    UnreachableError,
    Uploader,
    component,
)

from ._http import Answer, post_form, refuse_plain_http
from ._limits import check_timezone

PLATFORM = "the Hugging Face Space"


@component(check=check_timezone)
def huggingface(
    *,
    competition: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")],
    address: str = "",
    max_per_day: Annotated[int, Field(ge=1, le=10_000)] | None = None,
    min_interval_minutes: Annotated[float, Field(ge=0, le=100_000)] = 0.0,
    final_picks: Annotated[int, Field(ge=1, le=100)] | None = None,
    timezone: str = "UTC",
    timeout_seconds: Annotated[float, Field(gt=0, le=86_400)] = 120.0,
) -> Uploader:
    """Submit to a competition that runs as a Hugging Face Space (the `competitions` package).

    `competition` is the Space, "organisation/name"; `address` replaces https://<organisation>-<name>.hf.space. The
    token is the one of `hf auth login`, or of the variable HF_TOKEN. No score comes back: enter it with `compete
    score`. `max_per_day` counts days of `timezone`; like `min_interval_minutes` and `final_picks`, it is kept here.
    """
    base = address.rstrip("/") or f"https://{competition.replace('/', '-')}.hf.space"

    def check() -> None:
        refuse_plain_http(base)
        _token()

    def create(path: Path, message: str, state: dict[str, Any]) -> Receipt:  # noqa: ARG001
        answer = post_form(
            f"{base}/new_submission",
            # The competition's server requires the field even when no model is submitted.
            {"hub_model": "None", "submission_comment": message},
            ("submission_file", path),
            platform=PLATFORM,
            timeout_seconds=timeout_seconds,
            headers={"Authorization": f"Bearer {_token()}"},
        )
        return _receipt(answer)

    return Uploader(
        platform=PLATFORM,
        competition=competition,
        create=create,
        check=check,
        limits=Limits(max_per_day, min_interval_minutes, final_picks, timezone),
    )


def _token() -> str:
    from huggingface_hub import get_token

    token = get_token()
    if not token:
        raise AccessError("You are not signed in to Hugging Face. Run `hf auth login`, or set the variable HF_TOKEN.")
    return token


def _receipt(answer: Answer) -> Receipt:
    """Parse the Space's answer: one sentence, also for a refusal."""
    sentence = str(answer.body.get("response") or answer.body.get("detail") or "")[:300]
    if answer.code == 200 and sentence.lower().startswith("success"):
        return Receipt(notes=(sentence,))
    if answer.code in {401, 403} or re.search(r"invalid token", sentence, re.IGNORECASE):
        raise AccessError(
            f"{PLATFORM} does not accept your token ({sentence or answer.code}). Run `hf auth login` again."
        )
    if answer.code == 429:
        raise BusyError(f"{PLATFORM} asks to slow down")
    if answer.code >= 500 or not sentence:
        raise UnreachableError(f"{PLATFORM} failed ({answer.code})")
    raise PlatformError(f"{PLATFORM} refused: {sentence}")
