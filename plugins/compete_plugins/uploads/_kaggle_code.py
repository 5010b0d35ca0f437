"""An entry to a Kaggle code competition: a private dataset, a notebook that runs without internet, its output.

Each step looks at what an earlier call has done before it does anything, and none is taken twice within the hour in
which a lost request may still be at work.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from compete import CodeEntry, PendingError, PlatformError, Receipt, UnreachableError

from ._child import ChildFailure
from ._kaggle_errors import SITE, explain
from ._kaggle_upload import send_bytes

Ask = Callable[..., Any]
OUTPUT = "submission.csv"
SETTLED_SECONDS = 3600.0
SHORTEST_NAME, LONGEST_NAME = 6, 50  # of datasets and notebooks
LOG_LINES = 8
SOURCES = ("invalidDatasetSources", "invalidCompetitionSources", "invalidKernelSources", "invalidModelSources")
CALL = """
# {nonce}
run({model!r}, inputs="/kaggle/input", competition={competition!r}, output="/kaggle/working")
"""


class KaggleCode:
    """One entry. `ask` queries the child; `see` does so too, and returns None for what is not there."""

    def __init__(self, competition: str, entry: CodeEntry, accelerator: str, ask: Ask, call: Ask) -> None:
        self._competition = competition
        self._entry = entry
        self._accelerator = accelerator
        self._ask_competition = ask
        self._call = call
        self._slug = slug_of(f"{competition}-{entry.name}")
        self._owner = ""

    def send(self, path: Path, state: dict[str, Any], save: Callable[[], None]) -> None:
        """Bring the dataset over, push the notebook and wait for its end: what is left of it."""
        self._owner = self._owner or self._ask("account")
        if "dataset" not in state:
            self._make_dataset(path, state, save)
        if "ready" not in state:
            self._await_dataset(path, state, save)
        if "version" not in state:
            self._push(path.name, state, save)
        if "complete" not in state:
            self._await_notebook(state, save)

    def create(self, path: Path, message: str, state: dict[str, Any]) -> Receipt:  # noqa: ARG002 - Kaggle has it
        """Submit the output of the version that was pushed."""
        owner, version = self._owner or self._ask("account"), state.get("version")
        if not version:
            raise PlatformError(
                "the notebook's version is not known any more, because others could read the record that held it. "
                "If the submission is not on Kaggle's page, repeat the command with --code --again"
            )
        answer = self._ask_competition(
            "create_code",
            slug=self._competition,
            owner=owner,
            kernel=self._slug,
            version=version,
            file=OUTPUT,
            message=message,
        )
        return receipt_of(answer)

    def _make_dataset(self, path: Path, state: dict[str, Any], save: Callable[[], None]) -> None:
        """Make the dataset, or a new version of it, unless it holds this very file."""
        status = self._dataset_status()
        if status == "READY" and self._is_listed(path.name):
            state["dataset"] = "there"
            save()
            return
        if "making_at" in state:
            if status == "FAILED":
                raise PlatformError(self._unusable())
            wait_for_settled(state["making_at"], f"the dataset {self._page('datasets')} was made")
            for key in ("making_at", "token", "sent"):
                state.pop(key, None)
        send_bytes(self._ask, "start_blob", {}, path, state, save)
        state["making_at"] = time.time()
        save()
        try:
            answer = self._create_dataset(status is not None, path.name, state["token"])
        except Exception as error:
            _forget_unless_lost("making_at", error, state, save)
            raise
        problem = str(answer.get("error") or "")
        if problem or str(answer.get("status") or "ok").lower() != "ok":
            raise PlatformError(f"Kaggle did not make the dataset {self._slug}: {problem or answer['status']}")
        state["dataset"] = "made"
        save()

    def _create_dataset(self, exists: bool, notes: str, token: str) -> Mapping[str, Any]:
        place = {"owner": self._owner, "slug": self._slug, "token": token}
        if exists:
            return self._ask("create_dataset_version", notes=notes, **place)  # type: ignore[no-any-return]
        return self._ask("create_dataset", title=self._slug, **place)  # type: ignore[no-any-return]

    def _await_dataset(self, path: Path, state: dict[str, Any], save: Callable[[], None]) -> None:
        """Raise `PendingError` until the dataset is ready and holds the file."""
        status = self._dataset_status()
        if status in {"FAILED", "DELETED"}:
            raise PlatformError(self._unusable())
        if status != "READY":
            raise PendingError(f"Kaggle prepares the dataset {self._slug}")
        if not self._is_listed(path.name):
            # The newest version may not be shown yet; a version without the file would fail in the notebook.
            wait_for_settled(state.get("making_at", 0.0), f"{path.name} is in the dataset", "it was made without it")
        state["ready"] = True
        save()

    def _push(self, model: str, state: dict[str, Any], save: Callable[[], None]) -> None:
        """Push the notebook, which runs at once; look first for what a lost try has pushed."""
        if "pushing_at" in state:
            found = self._see("kernel", owner=self._owner, slug=self._slug) or {}
            version = (found.get("metadata") or {}).get("currentVersionNumber")
            if version and state["nonce"] in str((found.get("blob") or {}).get("source")):
                state.update(version=version, url=self._page("code"))
                save()
                return
            wait_for_settled(state["pushing_at"], f"the notebook {self._page('code')} was pushed")
        state.update(nonce=f"compete-{secrets.token_hex(8)}", pushing_at=time.time())
        save()
        text = self._entry.program + CALL.format(nonce=state["nonce"], model=model, competition=self._competition)
        try:
            answer = self._ask(
                "save_kernel",
                owner=self._owner,
                slug=self._slug,
                title=self._slug,
                text=notebook_text(text),
                dataset=f"{self._owner}/{self._slug}",
                competition=self._competition,
                accelerator=self._accelerator,
            )
        except Exception as error:
            _forget_unless_lost("pushing_at", error, state, save)
            raise
        refused = [str(name) for key in SOURCES for name in answer.get(key) or ()]
        if answer.get("error") or refused:
            reason = answer.get("error") or f"it does not know the data sources {', '.join(refused)}"
            raise PlatformError(f"Kaggle did not take the notebook {self._slug}: {reason}")
        if not answer.get("versionNumber"):
            raise UnreachableError("Kaggle's answer has no version number of the notebook")
        state.update(version=answer["versionNumber"], url=str(answer.get("url") or self._page("code")))
        save()

    def _await_notebook(self, state: dict[str, Any], save: Callable[[], None]) -> None:
        """Raise `PendingError` until this version of the notebook is complete and has written the file."""
        place = {"owner": self._owner, "slug": self._slug, "version": state["version"]}
        answer = self._ask("kernel_status", **place)
        status, name = str(answer.get("status") or "QUEUED"), f"version {state['version']} of {state['url']}"
        if status in {"ERROR", "CANCEL_REQUESTED", "CANCEL_ACKNOWLEDGED"}:
            what = "failed" if status == "ERROR" else "was cancelled"
            reason = str(answer.get("failureMessage") or "Kaggle gives no reason")
            raise PlatformError(f"the notebook {what}: {reason}. Its log: {name}{self._log_end(place)}")
        if status != "COMPLETE":
            known = {"QUEUED": "waits in Kaggle's queue", "NEW_SCRIPT": "waits in Kaggle's queue"}
            raise PendingError(f"the notebook {known.get(status, f'is {status.lower()}')}: {name}")
        written, token = list[str](), ""
        while True:
            page = self._ask("kernel_output", page_token=token, **place)
            written += [str(file.get("fileName")) for file in page.get("files") or ()]
            token = str(page.get("nextPageToken") or "")
            if OUTPUT in written or not token:
                break
        if OUTPUT not in written:
            raise PlatformError(f"the notebook wrote no {OUTPUT}. Its log: {name}")
        state["complete"] = True
        save()

    def _log_end(self, place: Mapping[str, Any]) -> str:
        """Return the last lines of a notebook's log, if it can be had."""
        try:
            log = str(self._ask("kernel_output", page_token="", **place).get("log") or "")
        except PlatformError:
            return ""
        try:
            text = "".join(str(part.get("data", "")) for part in json.loads(log))
        except (ValueError, AttributeError):
            text = log
        lines = [line.rstrip() for line in text.splitlines() if line.strip()][-LOG_LINES:]
        return "".join(f"\n  {line}" for line in lines)

    def _dataset_status(self) -> str | None:
        """Return the status of the dataset's newest version, or None if there is no dataset."""
        found = self._see("dataset_status", owner=self._owner, slug=self._slug)
        return None if found is None else str(found.get("status") or "NOT_YET_PERSISTED").upper()

    def _is_listed(self, name: str) -> bool:
        files = (self._see("dataset_files", owner=self._owner, slug=self._slug) or {}).get("datasetFiles") or ()
        return any(str(file.get("name")) == name for file in files)

    def _unusable(self) -> str:
        return (
            f"Kaggle could not prepare the dataset; the reason is on its page, {self._page('datasets')}. "
            "Delete it there, then repeat the command"
        )

    def _page(self, kind: str) -> str:
        return f"{SITE}/{kind}/{self._owner}/{self._slug}"

    def _ask(self, do: str, **arguments: object) -> Any:  # noqa: ANN401 - any JSON
        try:
            return self._call(do, **arguments)
        except ChildFailure as failure:
            raise explain(failure) from failure

    def _see(self, do: str, **arguments: object) -> Any:  # noqa: ANN401 - any JSON
        """Query what may not be there, which Kaggle calls forbidden."""
        try:
            return self._call(do, **arguments)
        except ChildFailure as failure:
            if failure.kind == "http" and failure.code in {403, 404} and not failure.foreign:
                return None
            raise explain(failure) from failure


def slug_of(name: str) -> str:
    """Return the name of a dataset or notebook in its address; a long one keeps its end, which has the run's number."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())
    slug = slug[-LONGEST_NAME:].strip("-")
    return slug if len(slug) >= SHORTEST_NAME else f"compete-{slug}"


def notebook_text(code: str) -> str:
    """Return a notebook with one cell."""
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    cell: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": code}
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": [cell]})


def receipt_of(row: Mapping[str, Any]) -> Receipt:
    """Return a submission's number, or count the answer as lost."""
    number = str(row.get("ref", ""))
    if not number.isdecimal() or not int(number):
        raise UnreachableError("Kaggle's answer has no submission number")
    return Receipt(number)


def wait_for_settled(tried_at: float, what: str, otherwise: str = "") -> None:
    """Raise `PendingError` while it is not known `what` a lost request has done; after an hour it has done nothing.

    With `otherwise`, raise `PlatformError` then.
    """
    if time.time() < tried_at + SETTLED_SECONDS:
        raise PendingError(f"it is not known yet whether {what}")
    if otherwise:
        raise PlatformError(f"it is not known whether {what}: {otherwise}. Repeat the command with --code --again")


def _forget_unless_lost(key: str, error: Exception, state: dict[str, Any], save: Callable[[], None]) -> None:
    """Forget a try that certainly did nothing: a refusal, or a request that never left this machine."""
    if not isinstance(error, UnreachableError) or not error.sent:
        del state[key]
        save()
