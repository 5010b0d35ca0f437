"""One POST of a form, with a deadline, by the standard library."""

from __future__ import annotations

import http.client
import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from compete import AccessError, UnreachableError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_BYTES = 1 << 20


class Answer(NamedTuple):
    """An answer: its HTTP status, and its JSON object (empty when it is none)."""

    code: int
    body: dict[str, Any]


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the form and the token would go to wherever it points."""

    def redirect_request(self, *_: object) -> None:
        return None


def post_form(
    url: str,
    fields: Mapping[str, str],
    *,
    platform: str,
    timeout_seconds: float,
    file: tuple[str, Path] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """POST fields, and at most one file. Raise `UnreachableError` without an answer."""
    refuse_plain_http(url)
    kind, data = _url_encoded(fields) if file is None else _multipart(fields, *file)
    request = urllib.request.Request(url, data, {"Content-Type": kind, **(headers or {})}, method="POST")
    try:
        return _send(request, timeout_seconds)
    except TimeoutError as error:
        raise UnreachableError(f"{platform} is silent: no answer for {timeout_seconds:g} s", silent=True) from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.URLError) and isinstance(error.reason, TimeoutError):
            raise UnreachableError(f"{platform} cannot be reached within {timeout_seconds:g} s") from error
        raise UnreachableError(f"the connection to {platform} broke") from error


def refuse_plain_http(url: str) -> None:
    """Raise for an address where a token would travel unprotected."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise AccessError(f"{url}: a token is only sent over https.")


def _send(request: urllib.request.Request, timeout_seconds: float) -> Answer:
    opener = urllib.request.build_opener(_StayHere)
    try:
        with opener.open(request, timeout=timeout_seconds) as response:
            return Answer(response.status, _object(response.read(MOST_BYTES)))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _object(error.read(MOST_BYTES)))


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _url_encoded(fields: Mapping[str, str]) -> tuple[str, bytes]:
    return "application/x-www-form-urlencoded", urllib.parse.urlencode(fields).encode()


def _multipart(fields: Mapping[str, str], name: str, path: Path) -> tuple[str, bytes]:
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{path.name}"\r\n'
    parts.append(f"{head}Content-Type: text/csv\r\n\r\n".encode() + path.read_bytes() + b"\r\n")
    return f"multipart/form-data; boundary={boundary}", b"".join(parts) + f"--{boundary}--\r\n".encode()
