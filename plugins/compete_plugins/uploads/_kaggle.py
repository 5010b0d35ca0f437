"""Kaggle, through the official `kaggle` package in a child process (`_kaggle_client`)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from compete import (
    AccessError,
    BusyError,
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

CLIENT = f"{__package__}._kaggle_client"
SITE = "https://www.kaggle.com"
TOKEN_HELP = (
    f"Create an API token at {SITE}/settings and put it into the file ~/.kaggle/access_token, "
    "or into the variable KAGGLE_API_TOKEN."
)
# The client sleeps up to 62 s between two tries of a download, without a sign of life.
DOWNLOAD_PAUSE_SECONDS = 65.0


def _check_name(*, competition: str, **_: object) -> Iterator[str]:
    """Refuse what cannot be a competition's name."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", competition):
        yield (
            f'competition = "{competition}": the name of a Kaggle competition is the last part of its address, '
            "www.kaggle.com/competitions/<this>: small letters, digits and '-'."
        )


@component(check=_check_name)
def kaggle(
    *,
    competition: str,
    final_picks: Annotated[int, Field(ge=1)] = 2,
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0,
) -> Uploader:
    """Submit to a Kaggle competition that takes a file, through the official `kaggle` package.

    `competition` is the last part of its address, www.kaggle.com/competitions/<this>. `final_picks` is how many
    submissions count in the end. After `timeout_seconds` without an answer Kaggle counts as silent.
    """
    client = _Kaggle(competition, timeout_seconds)
    return Uploader(
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


class _Kaggle:
    """One competition, asked through the child process."""

    def __init__(self, slug: str, timeout_seconds: float) -> None:
        self._slug = slug
        self._timeout = timeout_seconds
        self._child = Child(CLIENT, start="sign_in")
        self.close = self._child.close

    def check(self) -> None:
        """Raise when this competition takes no files, or cannot be seen with these credentials."""
        facts = self._ask("competition", slug=self._slug)
        if facts.get("isKernelsSubmissionsOnly"):
            raise AccessError(
                f"Kaggle competition '{self._slug}' takes notebooks only, no files. "
                "Put the run's weights into a Kaggle dataset and submit a notebook that uses them."
            )
        if facts.get("submissionsDisabled"):
            raise AccessError(f"Kaggle competition '{self._slug}' takes no submissions any more.")

    def quota(self) -> Quota:
        """Return what is left today."""
        limits = self._ask("limits", slug=self._slug)
        if any(limits.get(name) for name in ("numToday", "numTotal", "numAllowedNow")):
            total = limits.get("limitedByTotal")
            renewal = "The competition allows no more in all." if total else "Kaggle's day ends at midnight UTC."
            return Quota(int(limits.get("numAllowedNow", 0)), renewal)
        # All zero also means: not on a team yet. That is so before the rules are accepted.
        facts = self._ask("competition", slug=self._slug)
        if not facts.get("userHasEntered"):
            raise AccessError(self._rules())
        return Quota(int(facts.get("maxDailySubmissions", 0)))

    def send(self, path: Path, state: dict[str, Any], save: Callable[[], None]) -> None:
        """Upload the bytes, or what is missing of them."""
        if state.get("sent"):
            return
        resume = "url" in state
        if not resume:
            about = path.stat()
            place = self._ask(
                "start", slug=self._slug, name=path.name, size=about.st_size, modified=int(about.st_mtime)
            )
            state.update(token=place["token"], url=place["createUrl"])
            save()
        outcome = self._ask("upload", path=str(path), url=state["url"], resume=resume)
        if outcome == "INCOMPLETE":
            raise UnreachableError("the connection to Kaggle's file store broke in mid-upload")
        del state["url"]
        if outcome == "FAILED":
            # The place may have expired: a new one is asked for, once.
            again = not state.get("refused")
            state["refused"] = True
            save()
            failure = UnreachableError if again else PlatformError
            raise failure(f"Kaggle's file store did not take {path.name}")
        state["sent"] = True
        save()

    def create(self, path: Path, message: str, state: dict[str, Any]) -> Receipt:  # noqa: ARG002 - the bytes are there
        """Make the submission of the uploaded bytes."""
        answer = self._ask("create", slug=self._slug, token=state["token"], message=message)
        if not answer.get("ref"):
            raise UnreachableError("Kaggle's answer has no submission number")
        return Receipt(str(answer["ref"]))

    def find(self, marker: str) -> Receipt | None:
        """Look for the marker in the descriptions of the newest submissions."""
        for row in self._ask("submissions", slug=self._slug):
            if marker in str(row.get("description", "")):
                return Receipt(str(row["ref"]))
        return None

    def status(self, reference: str) -> Status:
        """Return what became of a submission. A missing status means pending."""
        row = self._ask("submission", ref=int(reference))
        public, private = _score(row.get("publicScore")), _score(row.get("privateScore"))
        word = str(row.get("status") or "PENDING")
        match word.lower():
            case "pending":
                return Status("pending")
            case "complete":
                return Status("complete", public, private)
            case "error":
                return Status("error", reason=str(row.get("errorDescription") or "Kaggle gives no reason"))
        return Status("unknown", public, private, word)

    def download(self, folder: Path, progress: Callable[[int], None]) -> Path:
        """Fetch the archive; the client goes on where it stopped, by a marker file of its own."""
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
            return self._child.call(do, timeout_seconds or self._timeout, on_percent, **arguments)
        except ChildFailure as failure:
            raise self._explain(failure) from failure

    def _explain(self, failure: ChildFailure) -> Exception:
        """Turn a failure into the error that says what to do."""
        match failure.kind:
            case "http":
                return self._explain_http(failure)
            case "missing":
                return AccessError(
                    f"Kaggle needs the Python package '{failure.message}', which is not installed: "
                    "pip install 'compete[kaggle]'"
                )
            case "no credentials":
                return AccessError(f"You are not signed in to Kaggle. {TOKEN_HELP}")
            case "stale":
                return AccessError(
                    f"Kaggle does not accept the credentials from {failure.message}: mistyped, expired or revoked. "
                    f"As long as they are there, no others are used. Replace or remove them. {TOKEN_HELP}"
                )
            case "silent":
                return UnreachableError(f"Kaggle is silent: {failure.message}", silent=True)
            case "disk":
                return PlatformError(f"{failure.message}. Make room, or choose another place, and repeat the command.")
        return UnreachableError("the connection to Kaggle broke" + (f" ({failure.message})" if failure.message else ""))

    def _explain_http(self, failure: ChildFailure) -> Exception:
        code, message = failure.code, failure.message
        if code == 403 and "rules" in message.lower():
            return AccessError(self._rules())
        if code in {403, 404}:
            return AccessError(self._no_such_competition(message))
        if code == 429:
            return BusyError("Kaggle asks to slow down", failure.wait_seconds)
        if code == 408 or code >= 500:
            # A gateway that gave up waiting does not stop what it waited for.
            return UnreachableError(f"Kaggle's server failed ({code} {message})", silent=code in {408, 504})
        return PlatformError(f"Kaggle refused: {message} ({code})")

    def _rules(self) -> str:
        return (
            f"You have not accepted the rules of Kaggle competition '{self._slug}'. "
            f"Do so at {SITE}/competitions/{self._slug}/rules and repeat the command."
        )

    def _no_such_competition(self, message: str) -> str:
        """Kaggle answers 403 to a mistyped name, so the user's own competitions are looked through."""
        try:
            mine = self._child.call("entered", self._timeout)
        except ChildFailure:
            mine = []
        if self._slug in mine:
            return f"Kaggle does not let you do this in competition '{self._slug}': {message}."
        listed = f" Yours: {format_list(mine)}." if mine else ""
        return (
            f"Kaggle knows no competition '{self._slug}', or you have not joined it ({message})."
            f"{did_you_mean(self._slug, mine)}{listed}"
        )


def _score(text: object) -> float | None:
    """Read a score, which Kaggle sends as text; empty while there is none."""
    try:
        score = float(str(text))
    except ValueError:
        return None
    return score if math.isfinite(score) else None
