"""One POST of a form, with a deadline; the answer is bounded, and repeats no secret."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from compete import PlatformError, UnreachableError, without_secrets

LOOPBACK = r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?"
MOST_ANSWER_BYTES = 1_000_000


class Answer(NamedTuple):
    """An answer: its HTTP status, its JSON object in texts (empty when it is none), and what it is instead of one."""

    code: int
    body: dict[str, str]
    instead: str = ""


def post_form(
    url: str,
    fields: Mapping[str, str],
    file: tuple[str, Path],
    *,
    platform: str,
    timeout_seconds: float,
    token: str,
) -> Answer:
    """POST fields and a file with a bearer token. Raise `UnreachableError` where the answer is lost.

    No redirect is followed: the form and the token would go to wherever it points. Raise `PlatformError` where no
    connection came about, so that nothing was sent.
    """
    import requests

    name, path = file
    host = urlsplit(url).hostname or ""
    try:
        with path.open("rb") as opened:
            response = requests.post(
                url,
                data=dict(fields),
                files={name: (path.name, opened, "text/csv")},
                auth=lambda request: _signed(request, token),  # else ~/.netrc could replace the token
                timeout=timeout_seconds,
                allow_redirects=False,
                stream=True,
                proxies={"http": None} if re.match(LOOPBACK, url) else None,
            )
            with response:
                return _answer(response, timeout_seconds, token)
    except requests.exceptions.ReadTimeout as error:
        raise UnreachableError(f"{platform} is silent: no answer for {timeout_seconds:g} s", silent=True) from error
    except requests.exceptions.RequestException as error:
        cause = _cause(error, host, timeout_seconds)
        if cause is None:
            raise UnreachableError(f"the connection to {platform} broke before its answer was complete") from error
        raise PlatformError(f"{platform} cannot be reached, and nothing was sent: {cause}") from error


def _signed(request: Any, token: str) -> Any:  # noqa: ANN401 - a prepared request of requests
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _cause(error: Exception, host: str, timeout_seconds: float) -> str | None:
    """Say why no connection came about, or return None where one did."""
    import requests
    import urllib3

    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"the certificate of {host} is not accepted ({_short(reason or error)}). A company's proxy may stand "
            "between: name its certificates in the variable REQUESTS_CA_BUNDLE."
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy in the variable HTTPS_PROXY does not answer ({_short(reason or error)})."
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection to {host} within {timeout_seconds:g} s."
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return f"{_short(reason)}. Check the network, and the name of the competition."
    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return None
    return f"{_short(error)}."  # an address, a proxy or a header that cannot be used


def _short(error: object) -> str:
    """Return what a nested error of the client says in the end."""
    text = re.split(r"(?<=[a-z)]): ", str(error))[-1]
    return without_secrets(text).strip(" .()'\"")[:200]


def _answer(response: Any, timeout_seconds: float, token: str) -> Answer:  # noqa: ANN401 - a response of requests
    """Read an answer within the time and a bounded size; secrets in it are masked."""
    import requests

    deadline, data = time.monotonic() + timeout_seconds, b""
    for block in response.iter_content(1 << 14):
        data += block
        if len(data) > MOST_ANSWER_BYTES:
            return Answer(response.status_code, {}, f"more than {MOST_ANSWER_BYTES:,} bytes")
        if time.monotonic() > deadline:
            raise requests.exceptions.ReadTimeout
    text = data.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        texts = {key: "" if value is None else without_secrets(str(value), [token]) for key, value in body.items()}
        return Answer(response.status_code, texts)
    return Answer(response.status_code, {}, _what_it_is(response, text, [token]))


def _what_it_is(response: Any, text: str, secrets: list[str]) -> str:  # noqa: ANN401
    """Describe an answer that is not a JSON object."""
    if response.is_redirect:
        return f"a redirect to {without_secrets(response.headers['Location'], secrets)[:200]}, which is not followed"
    if re.match(r"\s*<(!doctype|html|head|body|\?xml)", text, re.IGNORECASE):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        called = f" ('{' '.join(without_secrets(title[1], secrets).split())[:100]}')" if title else ""
        return f"a web page{called} instead of JSON, such as a login or a proxy sends, or a Space that is asleep"
    shown = " ".join(without_secrets(text, secrets).split())[:100]
    return f"'{shown}' instead of a JSON object" if shown else "an empty answer"
