"""Kaggle, through the official `kaggle` package in a child process (`_kaggle_serve`)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from compete import (
    AccessError,
    CodeEntry,
    Limits,
    PlatformError,
    Quota,
    Receipt,
    Status,
    UnreachableError,
    Uploader,
    component,
    did_you_mean,
    format_list,
)

from ._child import Child, ChildFailure
from ._kaggle_code import KaggleCode, receipt_of
from ._kaggle_errors import SITE, explain
from ._kaggle_upload import send_bytes

CLIENT = f"{__package__}._kaggle_serve"
# Between two tries of a download, the client sleeps for up to 62 s and prints nothing.
DOWNLOAD_PAUSE_SECONDS = 65.0
MOST_PAGES = 1000


def _check_name(*, competition: str, **_: object) -> Iterator[str]:
    """Refuse a competition name that Kaggle cannot have."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", competition):
        yield (
            f'competition = "{competition}": the name of a Kaggle competition is the last part of its address, '
            "www.kaggle.com/competitions/<this>: lower-case letters, digits and '-'."
        )


@component(check=_check_name)
def kaggle(
    *,
    competition: str,
    accelerator: str = "",
    final_picks: Annotated[int, Field(ge=1, le=100)] = 2,
    timeout_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0,
) -> Uploader:
    """Submit to a Kaggle competition, a file or code, through the official `kaggle` package.

    `competition` is the last part of its address, www.kaggle.com/competitions/<this>. `accelerator` is what the
    notebook of `compete submit --code` runs on, such as "NvidiaTeslaT4"; empty: a CPU. `final_picks` is the number
    of submissions that count in the end. Kaggle counts as silent after `timeout_seconds` without an answer.
    """
    client = _Kaggle(competition, timeout_seconds)
    uploader = Uploader(
        platform="Kaggle",
        competition=competition,
        limits=Limits(final_picks=final_picks),
        check=client.check,
        quota=client.quota,
        send=client.send,
        create=client.create,
        find=client.find,
        status=client.status,
        download=client.download,
        close=client.close,
    )
    return replace(uploader, code=lambda entry: client.as_code(entry, uploader, accelerator))


class _Kaggle:
    """One competition, queried through the child process."""

    def __init__(self, slug: str, timeout_seconds: float) -> None:
        self._slug = slug
        self._timeout = timeout_seconds
        self._child = Child(CLIENT, start="sign_in")
        self.close = self._child.close

    def check(self) -> None:
        """Raise if this competition accepts no files, or these credentials cannot see it."""
        if self._open_facts().get("isKernelsSubmissionsOnly"):
            raise AccessError(
                f"Kaggle competition '{self._slug}' accepts notebooks only, not files. "
                "Have its machines predict with the run: compete submit RUN --code"
            )

    def _open_facts(self) -> Mapping[str, Any]:
        """Return the competition's facts; raise if it is over, or these credentials cannot see it."""
        facts: Mapping[str, Any] = self._ask("competition", slug=self._slug)
        if facts.get("submissionsDisabled"):
            raise AccessError(f"Kaggle competition '{self._slug}' no longer accepts submissions.")
        return facts

    def as_code(self, entry: CodeEntry, uploader: Uploader, accelerator: str) -> Uploader:
        """Return the platform for an entry of code."""
        code = KaggleCode(self._slug, entry, accelerator, self._ask, self._call)
        return replace(uploader, check=self.check_code, send=code.send, create=code.create, code=None)

    def check_code(self) -> None:
        """Raise if this competition accepts nothing, or these credentials cannot see it."""
        self._open_facts()

    def quota(self) -> Quota:
        """Return the number of submissions left today."""
        limits, facts = self._ask("limits", slug=self._slug), self._ask("competition", slug=self._slug)
        today, total, left = (_count(limits, name) for name in ("numToday", "numTotal", "numAllowedNow"))
        entered = facts.get("userHasEntered")  # left out when false, as every default
        if entered is False or not (entered or total):
            raise AccessError(self._rules())
        if not (today or total or left):  # not on a team yet
            return Quota(_count(facts, "maxDailySubmissions"))
        by_total = limits.get("limitedByTotal")
        renewal = "The competition's total limit is reached." if by_total else "Kaggle's day ends at midnight UTC."
        return Quota(left, renewal)

    def send(self, path: Path, state: dict[str, Any], save: Callable[[], None]) -> None:
        """Upload the bytes, or those that are still missing."""
        send_bytes(self._ask, "start", {"slug": self._slug}, path, state, save)

    def create(self, path: Path, message: str, state: dict[str, Any]) -> Receipt:  # noqa: ARG002 - the bytes are there
        """Submit the uploaded bytes."""
        if "token" not in state:
            raise PlatformError(
                "the address of the upload was dropped, because others could read the record that held it. "
                "If the submission is not on Kaggle's page, repeat the command with --again"
            )
        answer = self._ask("create", slug=self._slug, token=state["token"], message=message)
        return receipt_of(answer)

    def find(self, marker: str) -> Receipt | None:
        """Look for the marker in the descriptions of all submissions, page after page."""
        token, seen = "", set[str]()
        while True:
            page = self._ask("submissions", slug=self._slug, page_token=token)
            for row in _rows(page):
                if marker in str(row.get("description", "")):
                    return receipt_of(row)
            token = str(page.get("nextPageToken") or "")
            if not token:
                return None
            if token in seen or len(seen) >= MOST_PAGES:
                raise UnreachableError("Kaggle's list of submissions has no end")
            seen.add(token)

    def status(self, reference: str) -> Status:
        """Return the status of a submission. A missing status means pending."""
        if not reference.isdecimal():
            raise PlatformError(f"'{reference}' is not the number of a Kaggle submission; its record is damaged")
        row = self._ask("submission", ref=int(reference))
        if str(row.get("ref", reference)) != reference:
            raise UnreachableError(f"Kaggle answered about submission {row['ref']} instead of {reference}")
        public, private = _score(row.get("publicScore")), _score(row.get("privateScore"))
        state = str(row.get("status") or "PENDING")
        match state.lower():
            case "pending":
                return Status("pending")
            case "complete":
                return Status("complete", public, private)
            case "error":
                return Status("error", reason=str(row.get("errorDescription") or "Kaggle gives no reason"))
        return Status("unknown", public, private, state)

    def download(self, folder: Path, progress: Callable[[int], None]) -> Path:
        """Fetch the archive; the client resumes from a marker file of its own."""
        self._ask(
            "download",
            timeout_seconds=self._timeout + DOWNLOAD_PAUSE_SECONDS,
            on_percent=progress,
            slug=self._slug,
            folder=str(folder),
        )
        files = [file for file in folder.glob(f"{self._slug}.*") if file.suffix != ".kaggle-partial"]
        if not files:
            raise PlatformError(f"Kaggle sent no file for '{self._slug}'")
        return max(files, key=lambda file: file.stat().st_mtime)

    def _ask(
        self,
        do: str,
        timeout_seconds: float | None = None,
        on_percent: Callable[[int], None] | None = None,
        **arguments: object,
    ) -> Any:  # noqa: ANN401 - any JSON
        try:
            return self._call(do, timeout_seconds, on_percent, **arguments)
        except ChildFailure as failure:
            raise self._explain(failure) from failure

    def _call(
        self,
        do: str,
        timeout_seconds: float | None = None,
        on_percent: Callable[[int], None] | None = None,
        **arguments: object,
    ) -> Any:  # noqa: ANN401 - any JSON
        return self._child.call(do, timeout_seconds or self._timeout, on_percent, **arguments)

    def _explain(self, failure: ChildFailure) -> Exception:
        """Return the error that tells the user what to do about a failure."""
        if failure.kind == "http" and failure.code == 403 and "rules" in failure.message.lower():
            return AccessError(self._rules())
        if failure.kind == "http" and failure.code in {403, 404} and not failure.foreign:
            return AccessError(self._no_such_competition(failure.message))
        return explain(failure)

    def _rules(self) -> str:
        return (
            f"You have not accepted the rules of Kaggle competition '{self._slug}'. "
            f"Do so at {SITE}/competitions/{self._slug}/rules and repeat the command."
        )

    def _no_such_competition(self, message: str) -> str:
        """Explain a 403, which Kaggle also answers to a mistyped name: compare it with the user's competitions."""
        try:
            entered = self._child.call("entered", self._timeout)
        except ChildFailure:
            entered = []
        if self._slug in entered:
            return f"Kaggle does not allow this in competition '{self._slug}': {message}."
        listed = f" Yours: {format_list(entered)}." if entered else ""
        return (
            f"Kaggle has no competition '{self._slug}', or you have not joined it ({message})."
            f"{did_you_mean(self._slug, entered)}{listed}"
        )


def _rows(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = page.get("submissions") or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UnreachableError("Kaggle's list of submissions is not a list")
    return rows


def _count(answer: Mapping[str, Any], name: str) -> int:
    """Return a number of submissions, which is left out when it is 0."""
    value = answer.get(name) or 0
    if not re.fullmatch(r"-?\d{1,9}", str(value)):
        raise UnreachableError(f"Kaggle's answer is odd: {name} = {str(value)[:50]!r}")
    return int(value)


def _score(text: object) -> float | None:
    """Parse a score, which Kaggle sends as a string, empty until there is one."""
    try:
        score = float(str(text))
    except ValueError:
        return None
    return score if math.isfinite(score) else None
