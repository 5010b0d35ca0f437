"""Bring a file to Kaggle's store, which resumes where an earlier call stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from compete import PlatformError, UnreachableError


def send_bytes(
    ask: Callable[..., Any],
    start: str,
    about: Mapping[str, str],
    path: Path,
    state: dict[str, Any],
    save: Callable[[], None],
) -> None:
    """Upload the bytes, or those that are still missing, to an address that the request `start` returns.

    In the end `state` has the upload's `token`, and `sent`.
    """
    if state.get("sent"):
        return
    resume = "url" in state
    if not resume:
        file = path.stat()
        upload = ask(start, name=path.name, size=file.st_size, modified=int(file.st_mtime), **about)
        state.update(token=_text(upload, "token"), url=_text(upload, "createUrl"))
        save()
    answer = ask("upload", path=str(path), url=state["url"], resume=resume)
    outcome, reason = answer["outcome"], f" ({answer['reason']})" if answer["reason"] else ""
    if outcome == "INCOMPLETE":
        raise UnreachableError(f"the connection to Kaggle's file store broke during the upload{reason}")
    del state["url"]
    if outcome == "FAILED":
        # The upload address may have expired: ask for a new one, once.
        again = not state.get("refused")
        state["refused"] = True
        save()
        failure = UnreachableError if again else PlatformError
        raise failure(f"Kaggle's file store rejected {path.name}")
    state["sent"] = True
    save()


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise UnreachableError(f"Kaggle's answer is odd: it has no {name}")
    return value
