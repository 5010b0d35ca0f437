"""Open the store behind a URL, retry what may pass, and say what cannot be read; no secret is ever printed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from compete.errors import CompeteError, DataError, StoreError
from compete.text import did_you_mean, without_secrets

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

TRIES, FIRST_WAIT_S = 4, 0.5  # each wait is twice the one before
CONNECT_S, READ_S = 10, 20  # READ_S without a byte
PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs",
    "http": "aiohttp", "https": "aiohttp", "hf": "huggingface_hub", "sftp": "paramiko", "ssh": "paramiko",
}  # fmt: skip
LOCAL = ("file", "local")
USUAL = ("s3://", "gs://", "az://", "hf://", "https://")
# What fsspec lists as protocols but is no store of files: wrappers around others, and data inside the URL itself.
WRAPPERS = {
    "asynclocal", "async_wrapper", "blockcache", "cached", "dask", "data", "dir", "filecache", "generic", "libarchive",
    "reference", "root", "simplecache", "tar", "zip",
}  # fmt: skip
CREDENTIALS = (
    "Credentials belong to fsspec's configuration (~/.config/fsspec, FSSPEC_... or the store's own variables), "
    "never into a URL, which is written to the run's config.toml"
)
ANONYMOUS = {"s3": """FSSPEC_S3='{"anon": true}'""", "gs": """FSSPEC_GS='{"token": "anon"}'"""}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>]+")
_DENIED, _ABSENT, _PASSING = {401, 403}, {404, 410}, {408, 425, 429}


def is_url(text: object) -> bool:
    """Return whether a text is a URL (`s3://bucket/folder`), not a path."""
    return isinstance(text, str) and _URL.match(text) is not None


def scheme_of(url: str) -> str:
    """Return a URL's scheme, such as `s3`."""
    found = _URL.match(url)
    return found[1].lower() if found else ""


def place_of(text: str) -> Path | str:
    """Return what names a place: a path, also for `file://`, or the URL of a store without a final slash."""
    if not is_url(text):
        return Path(text)
    if scheme_of(text) in LOCAL:
        return Path(unquote(_URL.sub("", text)))
    scheme, _, rest = text.partition("://")
    return f"{scheme.lower()}://{rest.rstrip('/')}"


def masked(url: str) -> str:
    """Return a URL as it may be printed: without user, password, query and fragment."""
    scheme, _, rest = url.partition("://")
    rest = re.split(r"[?#]", rest)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def url_problems(url: str) -> Iterator[str]:
    """Yield what is wrong with a store's URL, without opening it."""
    from fsspec import available_protocols

    scheme, rest = scheme_of(url), _URL.sub("", url, count=1)
    known = sorted(set(available_protocols()) - WRAPPERS)
    if "::" in url:
        yield "chained URLs (with ::) are not read. Name the store itself."
    elif scheme not in known:
        near = did_you_mean(f"{scheme}://", [f"{name}://" for name in known])
        yield f"unknown scheme '{scheme}://'.{near} Usual: {', '.join(USUAL)}, and others of fsspec."
    if "@" in rest.partition("/")[0] and not scheme.startswith("abfs"):  # abfs://container@account
        yield f"a user or password in a URL. {CREDENTIALS}."
    if "?" in rest or "#" in rest:
        yield f"a query or fragment, which may hold a token. {CREDENTIALS}."
    if ".." in rest.split("/"):
        yield "'..' is not part of a store's paths."
    if not rest.strip("/") and scheme not in ("memory", *LOCAL):
        yield "names no bucket, host or repository."


def open_store(url: str) -> tuple[AbstractFileSystem, str]:
    """Return a store's filesystem and the path in it that a URL names, without a request where it can.

    Options come from fsspec's configuration. Raise `DataError` for a wrong URL and a package that is missing.
    """
    from fsspec import get_filesystem_class

    scheme = scheme_of(url)
    if problems := list(url_problems(url)):
        raise DataError(f"{masked(url)}: {problem}" for problem in problems)
    try:
        kind = get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        package = PACKAGES.get(scheme, "")
        how = f"pip install {package}" if package else without_secrets(str(error))
        raise DataError(f"{masked(url)}: reading {scheme}:// needs {package or 'a package'}: {how}") from error
    try:
        return kind(**_options(scheme)), str(kind._strip_protocol(url)).rstrip("/")
    except Exception as error:
        raise explained(error, url) from error


def retried(call: Callable[[], T], url: str, tries: int = TRIES) -> T:
    """Return what a request to a store gives, after some tries where its failure may pass.

    Raise `FileNotFoundError` for what is not there, `DataError` for a definite refusal, `StoreError` after the last
    try.
    """
    for number in range(tries):
        try:
            return call()
        except CompeteError:
            raise
        except Exception as error:  # each store raises its own types
            failure = explained(error, url)
            if _is_absent(error):
                raise FileNotFoundError(f"no file {masked(url)}") from error
            if not isinstance(failure, StoreError) or number == tries - 1:
                raise failure from error
            time.sleep(FIRST_WAIT_S * 2**number)
    raise AssertionError


def at_first(call: Callable[[], T], url: str) -> T:
    """Return what the first request to a store gives. Raise `DataError` for any failure: the URL may be wrong."""
    try:
        return retried(call, url)
    except FileNotFoundError:
        raise DataError(f"{masked(url)}: no such bucket, folder or file.") from None
    except StoreError as error:
        raise DataError(str(error)) from error


def explained(error: Exception, url: str) -> CompeteError:
    """Return the error of a store in words: `DataError` for a definite refusal, else `StoreError`."""
    error = _root(error)
    place, status = masked(url), _status(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    if _is_absent(error):
        return DataError(f"{place}: no such bucket, folder or file.")
    if names & {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "TokenRetrievalError"}:
        public = ANONYMOUS.get(scheme_of(url), "")
        hint = f" For a public bucket: export {public}" if public else ""
        return DataError(f"{place}: no credentials for {scheme_of(url)}://. {CREDENTIALS}.{hint}")
    if isinstance(error, PermissionError) or status in _DENIED:
        return DataError(f"{place}: no permission to read it. {CREDENTIALS}.")
    if isinstance(error, TimeoutError) or any("Timeout" in name for name in names):
        return StoreError(f"{place}: the store does not answer in time ({type(error).__name__}).")
    what = f"{type(error).__name__}: {_clean(error)}" if str(error) else type(error).__name__
    if status is not None and 400 <= status < 500 and status not in _PASSING:
        return DataError(f"{place}: the store refuses: {what}")
    return StoreError(f"{place}: the store cannot be read: {what}")


def masked_in(text: str) -> str:
    """Return a text with every URL in it masked."""
    return _IN_TEXT.sub(lambda found: masked(found[0]), text)


def _clean(error: Exception) -> str:
    return masked_in(without_secrets(str(error).partition("\n")[0][:500]))


def _is_absent(error: Exception) -> bool:
    return isinstance(_root(error), FileNotFoundError) or _status(error) in _ABSENT


def _root(error: Exception) -> Exception:
    """Return what an error stems from: fsspec's HTTP calls a server that cannot be reached a file that is not there."""
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    failed = isinstance(cause, OSError) or (isinstance(cause, Exception) and _status(cause) not in {None, *_ABSENT})
    return cause if failed and isinstance(cause, Exception) else error


def _status(error: Exception) -> int | None:
    """Return the HTTP status that an error carries, as those of aiohttp, requests, httpx and botocore do."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        response = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    for found in (getattr(error, "status", None), response, getattr(response, "status_code", None)):
        if isinstance(found, int):
            return found
    return None


def _options(scheme: str) -> dict[str, Any]:
    """Return a filesystem's options beside the user's own: no listing that may be old, and time limits for HTTP."""
    from fsspec.config import conf

    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme in ("http", "https") and "client_kwargs" not in conf.get(scheme, {}):
        from aiohttp import ClientTimeout

        options["client_kwargs"] = {"timeout": ClientTimeout(sock_connect=CONNECT_S, sock_read=READ_S)}
    return options


def is_web(url: str) -> bool:
    """Return whether a URL is of a web server, which lists no folders."""
    return scheme_of(url) in ("http", "https")
