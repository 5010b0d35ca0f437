"""The official `kaggle` package, in a process of its own, which `_kaggle` starts (`_kaggle_serve`) and queries.

Importing `kaggle` signs in: it reads files, prints, and makes an HTTP call that may never end. None of its calls has
a timeout. That is why it does not run in compete's own process.
"""

from __future__ import annotations

import errno
import io
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

SERVICE = "competitions.CompetitionApiService"
LONGEST_MESSAGE = 500
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG)
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

_api: Any = None
_secrets: list[str] = []


class _Refused(Exception):  # noqa: N818 - becomes the answer's error
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Json:
    """Takes the place of the client's response types.

    Those raise KeyError for an unknown submission status, and one such row spoils a whole list.
    """

    @classmethod
    def prepare_from(cls, response: Any) -> Any:  # noqa: ANN401
        body = response.json()
        if not isinstance(body, dict):
            raise _Refused("odd", f"JSON of type {type(body).__name__} instead of an object")
        return body


def sign_in() -> dict[str, str]:
    """Import the package, which signs in; return the user and the method. Raise the reason it hides when it fails."""
    global _api
    try:
        import kaggle
    except OSError as error:
        if error.filename is None:
            raise
        raise _Refused("home", f"cannot write {error.filename}: {error.strerror}") from error
    from kagglesdk import get_access_token_from_env

    _api = kaggle.api
    token, _ = get_access_token_from_env()
    _secrets.extend(secret for secret in (token,) if secret)
    if "auth_method" not in _api.config_values:  # the import hides the reason; a second try raises it
        try:
            _api.authenticate()
        except SystemExit:
            raise (_Refused("stale", _source()) if token else _Refused("no credentials", "")) from None
    values = _api.config_values
    _secrets.extend(values[name] for name in ("key", "token") if values.get(name))
    return {"user": str(values.get("username", "")), "method": str(values["auth_method"])}


def user() -> str:
    """Return the name of the user who is signed in."""
    name = str(_api.config_values.get("username") or "")
    if not name:
        raise _Refused("fault", "it does not know the user's name")
    return name


def competition(slug: str) -> Any:  # noqa: ANN401
    """Return a competition's facts."""
    return _call("GetCompetition", "ApiGetCompetitionRequest", competition_name=slug)


def entered() -> list[str]:
    """Return the slugs of the user's competitions."""
    from kagglesdk.competitions.types.competition_enums import CompetitionListTab

    tab = CompetitionListTab.COMPETITION_LIST_TAB_ENTERED
    answer = _call("ListCompetitions", "ApiListCompetitionsRequest", group=tab, page=1, page_size=100)
    # `ref` is the competition's URL.
    return [str(row.get("ref", "")).rstrip("/").rpartition("/")[2] for row in answer.get("competitions", [])]


def limits(slug: str) -> Any:  # noqa: ANN401
    """Return the numbers of submissions made and left."""
    return _call("GetSubmissionLimits", "ApiGetSubmissionLimitsRequest", competition_name=slug)


def start(slug: str, name: str, size: int, modified: int) -> Any:  # noqa: ANN401
    """Ask for an upload address; return its token and URL."""
    return _call(
        "StartSubmissionUpload",
        "ApiStartSubmissionUploadRequest",
        competition_name=slug,
        file_name=name,
        content_length=size,
        last_modified_epoch_seconds=modified,
    )


def upload(path: str, url: str, resume: bool) -> dict[str, str]:
    """Upload the bytes, or those still missing; return "COMPLETE", "FAILED" or "INCOMPLETE", and why."""
    from kaggle.models.kaggle_models_extended import ResumableUploadResult as Result

    names = {getattr(Result, name): name for name in ("COMPLETE", "FAILED", "INCOMPLETE")}
    printed = io.StringIO()
    with redirect_stdout(printed):  # where the client prints what broke
        result = _api.upload_complete(path, url, False, resume=resume)
    reason = printed.getvalue().strip().rpartition("\n")[2]
    # The address of the upload, which the message repeats, is as good as a key.
    reason = re.sub(r"^.*\(Caused by (.*)\)$|Max retries exceeded with url: \S+", r"\1", reason.replace(url, "***"))
    # An upload session that is gone is EXPIRED since kaggle 2.2.5 and was FAILED before; both need a new one.
    return {"outcome": names.get(result, "FAILED"), "reason": _clean(reason)}


def create(slug: str, token: str, message: str) -> Any:  # noqa: ANN401
    """Make the submission."""
    return _call(
        "CreateSubmission",
        "ApiCreateSubmissionRequest",
        competition_name=slug,
        blob_file_tokens=token,
        submission_description=message,
    )


def submissions(slug: str, page_token: str) -> Any:  # noqa: ANN401
    """Return a page of submissions, newest first. Kaggle does not always honour the page size: 20 or 50 come."""
    return _call(
        "ListSubmissions", "ApiListSubmissionsRequest", competition_name=slug, page_token=page_token, page_size=50
    )


def submission(ref: int) -> Any:  # noqa: ANN401
    """Return one submission."""
    return _call("GetSubmission", "ApiGetSubmissionRequest", ref=ref)


def download(slug: str, folder: str) -> None:
    """Download the competition's files as one archive; resume where an earlier call stopped."""
    _api.competition_download_files(slug, path=folder, quiet=False)


def call(service: str, module: str, method: str, request_type: str, **fields: object) -> Any:  # noqa: ANN401
    """Call a method of Kaggle's API; fields that are None are left out."""
    types = import_module(f"kagglesdk.{module}")
    request = getattr(types, request_type)()
    for name, value in fields.items():
        if value is not None:
            setattr(request, name, value)
    with _api.build_kaggle_client() as client:
        return client.http_client().call(service, method, request, _Json)


def _call(method: str, request_type: str, **fields: object) -> Any:  # noqa: ANN401
    return call(SERVICE, "competitions.types.competition_api_service", method, request_type, **fields)


def _source() -> str:
    """Name the source of the credentials that are sent.

    A token takes precedence: when it is rejected, the client falls back to an older key, yet keeps sending the token.
    """
    from kagglesdk import get_access_token_from_env

    token, source = get_access_token_from_env()
    if token:
        return "the file ~/.kaggle/access_token" if source == "access_token" else f"the variable {source}"
    if os.environ.get("KAGGLE_TOKEN"):
        return "the variable KAGGLE_TOKEN"
    if _api.config_values.get("auth_method") == "OAUTH":
        return "`kaggle auth login`"
    return "the variables KAGGLE_USERNAME and KAGGLE_KEY" if os.environ.get("KAGGLE_KEY") else f"the file {_api.config}"


def explain(error: BaseException) -> dict[str, Any]:
    """Describe a failure: `http` with its code, `odd` (no JSON), `disk`, `missing` (a package), or a `_Refused`.

    Without an answer it is `certificate`, `proxy`, `offline` or `connection`; `fault` is anything else.
    """
    if isinstance(error, _Refused):
        return {"kind": error.kind, "message": str(error)}
    if isinstance(error, ModuleNotFoundError):
        return {"kind": "missing", "message": str(error.name)}
    from requests.exceptions import HTTPError, JSONDecodeError, RequestException

    if isinstance(error, HTTPError) and error.response is not None:
        details = _explain_http(error.response)
        return {"kind": "stale", "message": _source()} if details["code"] == 401 else details
    if isinstance(error, JSONDecodeError):
        return {"kind": "odd", "message": _describe(error.doc)}
    if isinstance(error, OSError) and (error.errno in DISK_ERRORS or error.filename):
        return {"kind": "disk", "message": f"cannot write {error.filename or 'to the disk'}: {error.strerror}"}
    if isinstance(error, RequestException | OSError):
        return _explain_connection(error)
    return {"kind": "fault", "message": _clean(f"{type(error).__name__}: {error}")}


def _explain_connection(error: OSError) -> dict[str, Any]:
    """Describe why no answer came; `sent` is False where the request cannot have left this machine."""
    from requests.exceptions import InvalidProxyURL, ProxyError
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    causes = list(_causes(error))
    last = causes[-1]
    reason = _clean(str(getattr(last, "strerror", None) or getattr(last, "reason", None) or last))
    bundle = next((f"{name} = {os.environ[name]}" for name in BUNDLES if os.environ.get(name)), "")
    if "TLS CA certificate bundle" in str(error):
        return {"kind": "certificate", "message": f"no such file: {bundle}", "sent": False}
    # After a redirect the first request was sent all the same.
    sent = getattr(getattr(error, "request", None), "method", "POST") != "POST"
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return {"kind": "certificate", "message": f"{reason}{f'; {bundle}' if bundle else ''}", "sent": sent}
    unopened = any(isinstance(cause, NewConnectionError | ConnectTimeoutError) for cause in causes)
    # A request that is lost behind a proxy is a ProxyError as well, but it may have arrived.
    if isinstance(error, InvalidProxyURL) or (isinstance(error, ProxyError) and (unopened or "Tunnel" in reason)):
        return {"kind": "proxy", "message": f"{_proxy()} ({reason})", "sent": sent}
    if unopened:
        return {"kind": "offline", "message": reason, "sent": sent}
    return {"kind": "connection", "message": reason}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it wraps; urllib3 keeps them among the arguments."""
    yield error
    inner = [getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
    found = next((cause for cause in inner if isinstance(cause, BaseException)), None)
    if found is not None:
        yield from _causes(found)


def _proxy() -> str:
    """Name the proxy in use, without a password."""
    names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")
    name = next((name for name in names if os.environ.get(name)), "")
    return f"{name} = {os.environ[name].rpartition('@')[2]}" if name else "the system's proxy"


def _describe(text: str) -> str:
    """Describe a body that is not JSON."""
    if not text.strip():
        return "an empty answer"
    if not text.lstrip().startswith("<"):
        return "an answer that is not JSON"
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return "a web page" + (f" titled '{_clean(title[1])}'" if title and title[1].strip() else "")


def _explain_http(response: Any) -> dict[str, Any]:  # noqa: ANN401
    """Describe an HTTP failure. An error may come with status 200 and its code in the body."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    foreign = not body and response.text.lstrip().startswith("<")
    body = body if isinstance(body, dict) else {}
    code = body.get("code")
    wait = str(response.headers.get("Retry-After", ""))
    return {
        "kind": "http",
        "code": code if isinstance(code, int) and code else response.status_code,
        "message": _clean(str(body.get("message") or response.reason or "")),
        "wait_seconds": float(wait) if wait.isascii() and wait.isdigit() else None,
        "foreign": _describe(response.text) if foreign else "",
    }


def _clean(text: str) -> str:
    """Shorten a message and mask tokens and keys, which a server might repeat."""
    for secret in _secrets:
        text = text.replace(secret, "***")
    return " ".join(text.split())[:LONGEST_MESSAGE]


ACTIONS = {
    action.__name__: action
    for action in (
        sign_in, competition, entered, limits, start, upload, create, submissions, submission, download,
    )
}  # fmt: skip
