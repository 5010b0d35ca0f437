"""Competitions on Hugging Face Spaces: one POST to the competition's Space."""

from __future__ import annotations

import re
from collections.abc import Iterator
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

from ._http import LOOPBACK, Answer, post_form
from ._limits import check_timezone

PLATFORM = "the Hugging Face Space"
# Nothing may stand around the host: every user part, port or path is a way to another server, or to another reading.
ONLY_TO = "your token is only sent to a Space, over https: https://<organisation>-<name>.hf.space"
ADDRESS = re.compile(rf"https://[a-z0-9][a-z0-9-]*\.hf\.space|{LOOPBACK}")


def _check(*, address: str, timezone: str, **_: object) -> Iterator[str]:
    """Refuse an address that would get the token and is not a Space, and an unknown time zone."""
    if address and not ADDRESS.fullmatch(address.rstrip("/")):
        yield f'address = "{address}": {ONLY_TO}'
    yield from check_timezone(timezone=timezone)


@component(check=_check)
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

    `competition` is the Space, "organisation/name"; `address` replaces https://<organisation>-<name>.hf.space by
    another Space's, and the token goes to no other host. It is that of `hf auth login`, or of the variable HF_TOKEN.
    No score comes back: enter it with `compete score`. `max_per_day` counts days of `timezone`; like
    `min_interval_minutes` and `final_picks`, it is kept here.
    """
    base = address.rstrip("/") or f"https://{re.sub('[^a-z0-9]+', '-', competition.lower())}.hf.space"

    def check() -> None:
        _token(base)

    def create(path: Path, message: str, state: dict[str, Any]) -> Receipt:  # noqa: ARG001
        answer = post_form(
            f"{base}/new_submission",
            # The competition's server requires the field even when no model is submitted.
            {"hub_model": "None", "submission_comment": message},
            ("submission_file", path),
            platform=PLATFORM,
            timeout_seconds=timeout_seconds,
            token=_token(base),
        )
        return _receipt(answer)

    return Uploader(
        platform=PLATFORM,
        competition=competition,
        create=create,
        check=check,
        limits=Limits(max_per_day, min_interval_minutes, final_picks, timezone),
    )


def _token(base: str) -> str:
    """Return the token that may be sent to an address."""
    from huggingface_hub import get_token

    if not ADDRESS.fullmatch(base):
        raise AccessError(f"{base}: {ONLY_TO}")
    help_text = "Run `hf auth login`, or set the variable HF_TOKEN."
    try:
        token = get_token()
    except (OSError, ValueError) as error:  # a home or a file that cannot be read
        raise AccessError(f"The token of Hugging Face cannot be read: {error}. {help_text}") from error
    if not token:
        raise AccessError(f"You are not signed in to Hugging Face. {help_text}")
    if not re.fullmatch(r"[!-~]+", token):
        raise AccessError(f"The token of Hugging Face has characters that no token has. {help_text}")
    return token


def _receipt(answer: Answer) -> Receipt:
    """Parse the Space's answer: one sentence, also for a refusal."""
    sentence = (answer.body.get("response") or answer.body.get("detail") or "")[:300]
    if answer.code == 200 and sentence.lower().startswith("success"):
        return Receipt(notes=(sentence,))
    if answer.code in {401, 403} or re.search(r"invalid token", sentence, re.IGNORECASE):
        raise AccessError(
            f"{PLATFORM} does not accept your token ({sentence or answer.code}). Run `hf auth login` again."
        )
    if answer.code == 429:
        raise BusyError(f"{PLATFORM} asks to slow down")
    if answer.code >= 500 or not sentence:
        what = sentence or answer.instead or "JSON without a response"
        raise UnreachableError(f"{PLATFORM} failed ({answer.code}): {what}")
    raise PlatformError(f"{PLATFORM} refused: {sentence}")
