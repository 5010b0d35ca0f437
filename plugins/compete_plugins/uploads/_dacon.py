"""Dacon, through its own `dacon_submit_api` package in a child process (`_dacon_client`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from compete import AccessError, Limits, PlatformError, Quota, Receipt, UnreachableError, Uploader, component

from ._child import Child, ChildFailure
from ._http import post_form
from ._limits import check_timezone

CLIENT = f"{__package__}._dacon_client"
HOST = "https://app.dacon.io"


@component(check=check_timezone)
def dacon(
    *,
    competition: Annotated[str, Field(pattern=r"^\d+$")],
    team: str,
    address: str = HOST,
    max_per_day: Annotated[int, Field(ge=1)] | None = None,
    min_interval_minutes: Annotated[float, Field(ge=0)] = 0.0,
    final_picks: Annotated[int, Field(ge=1)] | None = None,
    timezone: str = "Asia/Seoul",
    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0,
) -> Uploader:
    """Submit to a Dacon competition through Dacon's own package, `dacon_submit_api` (a wheel from dacon.io).

    `competition` is the number in the competition's address, `team` the name in its team tab. The token comes from
    the variable DACON_TOKEN. `address` is where the quota is asked. No score comes back: enter it with `compete score`.
    Where Dacon tells no quota, `max_per_day` (days of `timezone`) and `min_interval_minutes` are kept here;
    `final_picks` submissions count in the end.
    """
    client = _Dacon(competition, team, address.rstrip("/"), timeout_seconds)
    return Uploader(
        platform="Dacon",
        competition=competition,
        create=client.create,
        check=client.check,
        quota=client.quota,
        limits=Limits(max_per_day, min_interval_minutes, final_picks, timezone),
        close=client.close,
    )


class _Dacon:
    """One competition, and the team that submits."""

    def __init__(self, competition: str, team: str, address: str, timeout_seconds: float) -> None:
        self._competition = competition
        self._team = team
        self._address = address
        self._timeout = timeout_seconds
        self._child = Child(CLIENT)
        self.close = self._child.close

    def check(self) -> None:
        """Raise without a token."""
        _require_token()

    def quota(self) -> Quota | None:
        """Ask what is left; None where Dacon does not say (it is known to for code competitions)."""
        form = {"cptId": self._competition, "teamName": self._team, "apiToken": _require_token()}
        url = f"{self._address}/api/v1/code-submission/validate"
        answer = post_form(url, form, platform="Dacon", timeout_seconds=self._timeout)
        left = answer.body.get("quota")
        return Quota(left) if answer.code == 200 and isinstance(left, int) else None

    def create(self, path: Path, message: str, state: dict[str, Any]) -> Receipt:  # noqa: ARG002
        """Submit in one step; Dacon gives no number."""
        _require_token()
        try:
            answer = self._child.call(
                "submit",
                self._timeout,
                path=str(path),
                competition=self._competition,
                team=self._team,
                message=message,
            )
        except ChildFailure as failure:
            raise self._explain(failure) from failure
        if answer["submitted"]:
            return Receipt(notes=(answer["detail"],) if answer["detail"] else ())
        if "max submission count" in answer["detail"].lower():
            raise AccessError("Dacon: today's submissions are used up.")
        raise PlatformError(f"Dacon refused: {answer['detail'] or 'no reason given'}")

    def _explain(self, failure: ChildFailure) -> Exception:
        if failure.kind == "missing":
            return AccessError(
                f"Dacon needs the Python package '{failure.message}'. It is not in the package index: install the "
                "wheel from https://dacon.io (Submission API) with pip."
            )
        if failure.kind == "silent":
            return UnreachableError(f"Dacon is silent: {failure.message}", silent=True)
        return UnreachableError("the connection to Dacon broke")


def _require_token() -> str:
    token = os.environ.get("DACON_TOKEN", "")
    if not token:
        raise AccessError("Dacon needs your token: set the variable DACON_TOKEN (dacon.io, my page, account).")
    return token
