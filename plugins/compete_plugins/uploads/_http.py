"""One POST of a form, with a deadline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from compete import AccessError, UnreachableError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Answer(NamedTuple):
    """An answer: its HTTP status, and its JSON object (empty when it is none)."""

    code: int
    body: dict[str, Any]


def post_form(
    url: str,
    fields: Mapping[str, str],
    file: tuple[str, Path],
    *,
    platform: str,
    timeout_seconds: float,
    headers: Mapping[str, str],
) -> Answer:
    """POST fields and a file. Raise `UnreachableError` without an answer.

    No redirect is followed: the form and the token would go to wherever it points.
    """
    import requests

    refuse_plain_http(url)
    name, path = file
    try:
        with path.open("rb") as opened:
            response = requests.post(
                url,
                data=dict(fields),
                files={name: (path.name, opened, "text/csv")},
                headers=dict(headers),
                auth=lambda request: request,  # else ~/.netrc could replace the token
                timeout=timeout_seconds,
                allow_redirects=False,
            )
    except requests.exceptions.ReadTimeout as error:
        raise UnreachableError(f"{platform} is silent: no answer for {timeout_seconds:g} s", silent=True) from error
    except requests.exceptions.ConnectTimeout as error:
        raise UnreachableError(f"{platform} cannot be reached within {timeout_seconds:g} s") from error
    except requests.exceptions.RequestException as error:
        raise UnreachableError(f"the connection to {platform} broke") from error
    return Answer(response.status_code, _object(response))


def refuse_plain_http(url: str) -> None:
    """Raise for an address where a token would travel unprotected."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise AccessError(f"{url}: a token is only sent over https.")


def _object(response: Any) -> dict[str, Any]:  # noqa: ANN401 - a response of requests
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
